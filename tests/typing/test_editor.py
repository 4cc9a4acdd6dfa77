"""What an editor offers inside the handlers of the README's servers, asked of a language server."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from tests.typing import servers
from tests.typing.language_server import editor

README = (Path(__file__).parents[2] / "README.md").read_text()


def program(name: str) -> str:
    found = re.search(rf"^# {name}\n.*?(?=^```$)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group()


def body_of(source: str, method: str) -> int:
    """Returns the number of the first line of a method's body."""
    lines = source.splitlines()
    start = next(number for number, line in enumerate(lines) if f"def {method}(" in line)
    return 1 + next(number for number in range(start, len(lines)) if lines[number].endswith("):"))


def probing(
    source: str, probes: list[tuple[str, str, set[str]]]
) -> tuple[str, list[tuple[int, int, set[str]]]]:
    """Returns a program with expressions as the first lines of its methods, and the places after them.

    Args:
        source: The program.
        probes: Method, expression, and what is to be offered after it; the last method of the program first.
    """
    lines = source.splitlines()
    places: list[tuple[int, int, set[str]]] = []
    for method, expression, names in probes:
        number = body_of("\n".join(lines), method)
        lines.insert(number, f"        {expression}")
        places = [(line + 1, character, wanted) for line, character, wanted in places]
        places.append((number, len(lines[number]), names))
    return "\n".join(lines) + "\n", places


async def test_an_editor_completes_and_explains_inside_handlers(tmp_path: Path) -> None:
    hello = (
        program("hello.py"),
        [
            ("respond", "thread.", {"title", "status", "metadata"}),
            ("respond", "if input: input.", {"content", "attachments"}),
        ],
    )
    shop = (
        program("shop.py"),
        [
            ("action", "thread.", {"title"}),
            ("action", "action.", {"type", "payload"}),
            ("action", "if sender: sender.", {"widget", "copy_text"}),
            ("respond", "thread.", {"title"}),
            ("respond", "if input: input.", {"content"}),
            ("respond", "context.", {"get"}),
            ("respond", "self.store.", {"load_thread_items"}),
        ],
    )
    async with editor(tmp_path) as speaking:
        for name, (source, probes) in (("hello.py", hello), ("shop.py", shop)):
            text, places = probing(source, probes)
            uri = await speaking.open(name, text)
            for line, character, names in places:
                assert names <= await speaking.completions(uri, line, character), text.splitlines()[line]
        lines = text.splitlines()
        for method, words in (
            ("respond", "Strings in a row are one"),
            ("action", "Yields what answers a click"),
        ):
            number = next(number for number, line in enumerate(lines) if f"def {method}(" in line)
            shown = await speaking.hover(uri, number, lines[number].index(method) + 1)
            assert words in shown, shown
        number = next(number for number, line in enumerate(lines) if "thread.title = " in line)
        shown = await speaking.hover(uri, number, lines[number].index("thread") + 1)
        assert "ThreadMetadata" in shown


def test_help_explains_the_handlers() -> None:
    own = servers.FullServer
    assert "Strings in a row are one" in (inspect.getdoc(own.respond) or "")
    assert "Yields what answers a click" in (inspect.getdoc(own.action) or "")
    assert "A SyncCustomActionResponse" in (inspect.getdoc(own.sync_action) or "")
