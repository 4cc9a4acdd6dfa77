"""The tables of docs/element.md name the options, methods and events that the element's sources know, and no others."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/element.md").read_text()
SOURCES = ROOT / "ui/src"


def first_cells(heading: str) -> list[str]:
    section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    (found,) = [part for part in section if part.startswith(f"{heading}\n")]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in found.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def block(file: str, begin: str, end: str) -> str:
    text = (SOURCES / file).read_text()
    assert text.count(begin) == 1, f"{file} begins its list in another way"
    return text.partition(begin)[2].partition(end)[0]


def known_options() -> set[str]:
    """Returns the options as the check of ``setOptions`` lists them: those with fields by their fields."""
    found: set[str] = set()
    lines = block("element/options.ts", "const KNOWN: Record<string, readonly string[] | null> = {\n", "\n};")
    for line in lines.splitlines():
        match = re.fullmatch(r"  (\w+): (?:null|\[(.*)\]),", line)
        assert match is not None, line
        name, fields = match.groups()
        found |= {name} if fields is None else {f"{name}.{field}" for field in re.findall(r'"(\w+)"', fields)}
    return found


def methods() -> set[str]:
    """Returns the public methods of the element's class, without those of every element."""
    body = block("element/chatkit.ts", "export class ChatKitElement extends StyledElement {\n", "\n}\n")
    found = set(re.findall(r"^  (?:async )?(\w+)\(", body, re.MULTILINE)) - {"constructor"}
    face = set(re.findall(r'"(\w+)"', block("element/chatkit.ts", "Pick<OpenAIChatKit, ", ">;")))
    assert face <= found, "the stock element's methods are found in the class"
    return found


def test_every_option_is_in_the_table_once() -> None:
    named = first_cells("Options")
    # May be a text as well.
    assert named.count("theme") == 1
    named.remove("theme")
    assert sorted(named) == sorted(known_options())


def test_every_method_is_in_the_table_once() -> None:
    assert sorted(call.partition("(")[0] for call in first_cells("Methods")) == sorted(methods())


def test_every_event_is_in_the_table_once() -> None:
    events = re.findall(
        r'^  "([\w.]+)":',
        block("controllers/app.ts", "export interface AppEvents {\n", "\n}\n"),
        re.MULTILINE,
    )
    assert len(events) > 10
    assert sorted(first_cells("Events")) == sorted(events)


def test_details_are_those_of_the_events() -> None:
    lines = block("controllers/app.ts", "export interface AppEvents {\n", "\n}\n")
    for name, detail in re.findall(r'^  "([\w.]+)": (.*);$', lines, re.MULTILINE):
        row = re.search(rf"^\| `{re.escape(name)}` \|(.*?)\|", TEXT, re.MULTILINE)
        assert row is not None
        assert re.findall(r"\w+", row[1]) == re.findall(r"(\w+)\??:", detail), name
