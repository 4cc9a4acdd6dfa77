"""What type-checks also runs, and what is reported also fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from chatkit.server import StreamingResult
from chatkit.store import MemoryStore
from chatkit.types import ThreadItem, ThreadStreamEvent, UserMessageTagContent, to_wire
from tests.stateful.plain_store import PlainStore
from tests.support.scale import scaled
from tests.typing import events, items, servers

ROOT = Path(__file__).parents[2]


def test_the_files_type_check() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("basedpyright")), "--outputjson", "--warnings", "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=scaled(110),
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] >= 4


@pytest.mark.parametrize(("reference", "full"), events.SAME)
def test_both_dialects_make_the_same_event(reference: ThreadStreamEvent, full: ThreadStreamEvent) -> None:
    assert reference == full
    assert to_wire(reference) == to_wire(full)


def test_every_class_of_events_is_there() -> None:
    shown = {type(event) for pair in events.SAME for event in pair} | {type(event) for event in events.ALONE}
    assert shown == classes_of(ThreadStreamEvent)


def test_every_class_of_items_is_there_in_both_dialects() -> None:
    assert [type(item) for item in items.SHORT] == [type(item) for item in items.FULL]
    assert {type(item) for item in items.SHORT} == classes_of(ThreadItem)


def test_items_without_an_id_have_an_empty_one() -> None:
    assert [item.id for item in items.UNNAMED] == [""] * 3


@pytest.mark.parametrize("item", [*items.SHORT, *items.FULL], ids=lambda item: item.type)
def test_an_item_survives_the_wire(item: ThreadItem) -> None:
    adapter: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
    assert adapter.validate_json(to_wire(item)) == item


def test_the_aliases() -> None:
    from chatkit.types import FileAttachment

    file = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain")
    tag = UserMessageTagContent(id="7", text="@Ada", data={}, group="people")
    assert items.read_aliases(file, tag) == ("atc_1", "people", "7")
    assert items.OTHERS


@pytest.mark.parametrize("call", [*events.WRONG, *items.WRONG])
def test_what_is_reported_fails(call: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        call()


async def test_the_servers_run(tmp_path: Path) -> None:
    store: MemoryStore[servers.Visitor] = MemoryStore()
    body = json.dumps(
        {
            "type": "threads.create",
            "params": {"input": {"content": [{"type": "input_text", "text": "Hi"}], "inference_options": {}}},
        }
    )
    answer = await servers.answer(servers.FullServer(store), body.encode())
    assert b'"text":"1 items"' in answer
    assert b'"allow_cancel":false' in answer
    listed = await servers.answer(servers.FullServer(store), b'{"type":"threads.list","params":{}}')
    assert len(json.loads(listed)["data"]) == 1
    built = servers.build(PlainStore(), str(tmp_path / "chat.db"))
    assert len(built) == 7
    for server in built:
        result = await server.process(body, servers.Visitor("ada"))
        assert isinstance(result, StreamingResult)
        assert b'"thread.item.done"' in b"".join([frame async for frame in result])
        await server.close()


def classes_of(union: object) -> set[type]:
    """Returns the classes of an annotated union."""
    return set(get_args(get_args(union)[0]))
