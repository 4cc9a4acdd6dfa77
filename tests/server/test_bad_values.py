"""Values that no store could read back end as an error event, and leave what is stored as it was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import InvalidEventError
from chatkit.server.threads import ThreadEdits, checked_edits
from chatkit.server.turns.state import storable
from chatkit.types import (
    ClosedStatus,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    WidgetItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import ScriptedServer, added, events, kinds, message, progress

pytestmark = pytest.mark.filterwarnings(
    "error", "ignore:Classes of single components are deprecated:DeprecationWarning"
)


def closed_by_number() -> Any:
    status = ClosedStatus(reason="x")
    status.reason = 5  # type: ignore[assignment] # what is tested
    return status


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 123),
        ("status", None),
        ("status", "closed"),
        ("status", closed_by_number()),
        ("allowed_image_domains", "example.org"),
        ("metadata", {"a": object()}),
        ("metadata", [1]),
    ],
)
async def test_a_bad_edit_of_the_thread(field: str, value: Any, store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        thread.title, thread.metadata = "Good", {"good": 1}
        setattr(thread, field, value)
        yield progress()
        yield progress()

    server = ScriptedServer(script, store)
    result = await server.create()
    assert kinds(await events(result))[-1] == "error"
    threads = await server.ask("threads.list", limit=10)
    assert [entry["id"] for entry in threads["data"]] == [result.thread_id]
    assert threads["data"][0].get("title") == (None if field == "title" else "Good")


def bad_widget() -> Any:
    item = WidgetItem(id="wid", widget=Card(children=[Text(value="W")]))
    item.widget.children = "oops"  # type: ignore[union-attr, assignment] # what is tested
    return item


def bad_message() -> Any:
    item = message("text", "msg_bad")
    item.content[0].text = None
    return item


@pytest.mark.parametrize("kind", [ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent])
@pytest.mark.parametrize("make", [bad_widget, bad_message])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_a_bad_item(make: Any, kind: Any, store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield kind(item=make())

    server = ScriptedServer(script, store)
    result = await server.create()
    # An added message without any text is withdrawn like an empty one.
    assert kinds(await events(result))[-1] in {"error", "thread.item.removed"}
    page = await server.ask("items.list", thread_id=result.thread_id, order="asc", limit=100)
    assert [item["type"] for item in page["data"]] == ["user_message"]


def test_a_field_gets_its_last_value_back_and_other_edits_stay() -> None:
    thread = ThreadMetadata(id="thr", title="Old")
    edits = ThreadEdits(thread)
    thread.title = 5  # type: ignore[assignment] # what is tested
    thread.metadata["a"] = 1
    with pytest.raises(InvalidEventError, match=r"thread\.title"):
        edits.take()
    assert thread.title == "Old"
    assert edits.take() == {"metadata": {"a": 1}}
    assert edits.take() == {}


def test_good_edits_pass() -> None:
    good = {
        "title": None,
        "status": ClosedStatus(reason=None),
        "metadata": {"a": [1]},
        "allowed_image_domains": ["x"],
    }
    assert checked_edits(good) == good


def test_checking_a_long_message_is_cheap() -> None:
    item = message("x" * 20_000)
    storable(item)
    spent: list[float] = []
    for _ in range(200):
        begun = time.perf_counter()
        storable(item)
        spent.append(time.perf_counter() - begun)
    assert min(spent) < 100e-6
