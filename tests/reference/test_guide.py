"""docs/reference.md goes through the reference heading by heading, in words of its own, and its server answers."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from tests.reference.document import DOCUMENT
from tests.reference.turns import action, kinds, message, stream

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/reference.md"
_HEADING = re.compile(r"^#+ .+$", re.MULTILINE)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return _HEADING.sub("", _BLOCK.sub("", page.read_text()))


def sentences(page: Path) -> set[str]:
    found = re.split(r"[.:;|]\s", " ".join(prose(page).split()))
    return {sentence.strip("` ").lower() for sentence in found if len(sentence.split()) > 3}


def runs_of_code(page: Path) -> set[str]:
    """Returns each run of four lines of code."""
    lines = [
        line.strip()
        for block in _BLOCK.findall(page.read_text())
        for line in block.splitlines()
        if line.strip()
    ]
    return {"\n".join(lines[place : place + 4]) for place in range(len(lines) - 3)}


def headings(page: Path) -> list[str]:
    return _HEADING.findall(_BLOCK.sub("", page.read_text()))


def test_the_headings_are_the_references() -> None:
    title, *rest = headings(GUIDE)
    assert title == "# The integration reference"
    assert rest == headings(DOCUMENT)[1:]


def test_nothing_is_copied() -> None:
    assert sentences(DOCUMENT)
    assert sentences(GUIDE) & sentences(DOCUMENT) == set()
    assert runs_of_code(GUIDE) & runs_of_code(DOCUMENT) == set()


def load(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_its_server_answers_over_the_store_of_the_example(tmp_path: Path) -> None:
    (block,) = (text for text in _BLOCK.findall(GUIDE.read_text()) if text.startswith("# shop.py"))
    (tmp_path / "shop.py").write_text(block)
    store = load("store", ROOT / "examples/reference/store.py").SQLiteStore(str(tmp_path / "shop.db"))
    server = load("shop", tmp_path / "shop.py").ShopServer(store)

    events = await stream(server, message("Tea?"))
    assert events[-1]["item"]["content"][0]["text"] == "You asked: Tea?"
    assert kinds(events)[-6:] == ["thread.item.added", *["thread.item.updated"] * 4, "thread.item.done"]
    thread_id = events[0]["thread"]["id"]
    events = await stream(server, action(thread_id, "order", {"product": "tea"}))
    assert events[-1]["item"]["content"][0]["text"] == "Ordered: tea"

    item = (await store.load_thread_items(thread_id))[-1]
    assert await store.load_item(thread_id, item.id) == item
    await store.delete_thread_item(thread_id, item.id)
    assert await store.load_item(thread_id, item.id) is None
    await store.delete_thread(thread_id)
    assert await store.load_thread_items(thread_id) == []
    assert await store.load_threads() == []
