"""The twelve faults in which this package differs from openai-chatkit 1.6.5, which fails these tests.

1. An exception before respond() breaks the open stream and can leave an empty thread behind.
2. Partial text is lost when the consumer leaves or on an exception; pending widgets, images, workflows on a cancel.
3. After a cancel the handler's own work goes on, and its tasks leak.
4. A replacement by a hidden item is sent; a page can be empty and yet have more.
5. A retry after an unknown item succeeds; a retry deletes item by item.
6. Ids have 32 random bits.
7. Negative limits are accepted.
8. Invalid JSON, or an unknown type, is an unhandled exception.
9. Times are naive and local.
10. Items of models behind Chat Completions share one id: tested with the Agents SDK integration, which makes them.
11. Filtering changes the objects that the store returned.
12. Unknown fields of stored widgets, and Card.border, are dropped when they are read again.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError, MalformedRequestError, NotFoundError
from chatkit.store import MemoryStore, default_generate_id
from chatkit.types import (
    AssistantMessageItem,
    HiddenContextItem,
    Page,
    TextContent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    WidgetItem,
)
from chatkit.widgets import Card
from tests.server.recorded.plain_store import PlainStore
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    delta,
    done,
    drain,
    events,
    hello,
    kinds,
    read,
    texts,
    user_input,
)


async def test_fault_1_what_is_wrong_at_first_is_an_error_of_process_and_leaves_nothing(store: Any) -> None:
    server = ScriptedServer(hello, store)
    with pytest.raises(NotFoundError):
        await server.send("threads.create", input=user_input(attachments=["atc_none"]))
    with pytest.raises(NotFoundError):
        await server.send("threads.add_user_message", thread_id="thr_none", input=user_input())
    assert (await server.ask("threads.list"))["data"] == []


@pytest.mark.parametrize("way", ["leave", "fail"])
async def test_fault_2_partial_text_is_kept(way: str, store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added()
        yield delta("Partial")
        yield delta(" text")
        if way == "fail":
            raise RuntimeError
        await asyncio.Event().wait()

    server = ScriptedServer(script, store)
    result = await server.create()
    if way == "fail":
        await drain(result)
    else:
        await read(result.json_events, 7)
        await result.aclose()
    assert texts(await server.items(result.thread_id)) == ["Partial text"]


async def test_fault_3_nothing_of_a_stopped_turn_runs_on() -> None:
    ended: list[str] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("work")

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            yield added("Partial")
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    result = await ScriptedServer(script).create()
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert ended == ["work"]
    assert asyncio.all_tasks() == before


async def test_fault_4_a_replacement_by_a_hidden_item_is_not_sent(store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Shown")
        yield ThreadItemReplacedEvent(item=HiddenContextItem(id="msg_1", content="secret"))

    server = ScriptedServer(script, store)
    result = await server.create()
    found = await events(result)
    assert kinds(found)[-1] == "thread.item.removed"
    assert "secret" not in json.dumps(found)
    assert (await server.items(result.thread_id))[1].type == "hidden_context_item"


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_fault_4_a_page_is_never_empty_while_there_is_more(order: str, store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Old", "msg_old")
        for number in range(7):
            item = HiddenContextItem(id=f"hid_{number}", content="secret")
            yield ThreadItemDoneEvent(item=item)
        yield done("New", "msg_new")

    server = ScriptedServer(script, store)
    result = await server.create()
    await drain(result)
    after: dict[str, str] = {}
    found: list[str] = []
    while True:
        page = await server.ask("items.list", thread_id=result.thread_id, limit=2, order=order, **after)
        assert page["data"] or not page["has_more"]
        found += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["after"]}
    assert found[1:] == ["msg_old", "msg_new"] if order == "asc" else found[:2] == ["msg_new", "msg_old"]
    assert len(found) == 3


async def test_fault_5_a_retry_after_an_unknown_item_is_refused(store: Any) -> None:
    server = ScriptedServer(hello, store)
    result = await server.create()
    await drain(result)
    before = await server.items(result.thread_id)
    with pytest.raises(NotFoundError):
        await server.send("threads.retry_after_item", thread_id=result.thread_id, item_id="msg_none")
    assert await server.items(result.thread_id) == before


async def test_fault_5_a_retry_deletes_in_one_step() -> None:
    class Store(MemoryStore[Any]):
        calls: list[str]

        async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
            raise AssertionError("deleted item by item")

    server = ScriptedServer(hello, Store())
    created = await events(await server.create())
    ask = {"thread_id": created[0]["thread"]["id"], "item_id": created[1]["item"]["id"]}
    found = await server.ask("threads.retry_after_item", **ask)
    assert kinds(found) == ["stream_options", "thread.item.done"]


def test_fault_6_ids_have_at_least_96_random_bits() -> None:
    made = [default_generate_id("message") for _ in range(100_000)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"msg_[0-9A-Za-z]{20,32}", each) for each in made[:1000])


@pytest.mark.parametrize("kind", ["threads.list", "items.list"])
@pytest.mark.parametrize("limit", [-1, -9999, 10_000, 1.5, "5", True])
async def test_fault_7_limits_are_checked(kind: str, limit: Any) -> None:
    server = ScriptedServer()
    params = {"thread_id": await server.new_thread()} if kind == "items.list" else {}
    with pytest.raises(InvalidRequestError):
        await server.send(kind, limit=limit, **params)


@pytest.mark.parametrize("body", [b"{", b'{"type": "threads.explode", "params": {}}', b"null"])
async def test_fault_8_what_is_no_request_is_an_error_with_a_status(body: bytes) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        await ScriptedServer().process(body, ADA)
    assert caught.value.status == 400
    # The ValidationError of 1.6.5 is one, and applications catch it as such.
    assert isinstance(caught.value, ValueError)


async def test_fault_9_times_are_utc_and_say_so(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:

        async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
            item = AssistantMessageItem(
                id="msg_1",
                content=[TextContent(text="Now")],
                created_at=datetime.now(),  # noqa: DTZ005 -- as applications of 1.6.5 do
            )
            yield ThreadItemDoneEvent(item=item)

        server = ScriptedServer(script, store)
        created, said, _, answered = await events(await server.create())
        for holder in (created["thread"], said["item"], answered["item"]):
            assert holder["created_at"].endswith("Z")
            moment = datetime.fromisoformat(holder["created_at"])
            assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_fault_11_what_a_store_returns_is_not_changed() -> None:
    hidden = HiddenContextItem(id="hid", thread_id="thr", content="secret")
    widget = WidgetItem(id="wid", thread_id="thr", widget=Card(children=[]))

    class Store(PlainStore):
        async def load_thread(self, thread_id: str, context: Any) -> Any:
            return self.threads[thread_id]

        async def load_thread_items(self, *args: Any) -> Any:
            return page

        async def load_item(self, *args: Any) -> Any:
            return widget

    class Server(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            thread.metadata["seen"] = True
            sender.widget.size = "sm"
            yield done("Acted")

    server = Server(hello, Store())
    thread_id = await server.new_thread()
    thread = await server._chatkit_store().load_thread(thread_id, ADA)
    page = Page[Any](data=[hidden, widget], has_more=False)
    before = (thread.model_copy(deep=True), page.model_copy(deep=True), widget.model_copy(deep=True))
    for kind, params in (
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("threads.custom_action", {"item_id": "wid", "action": {"type": "go"}}),
        ("threads.update", {"title": "New"}),
    ):
        await server.ask(kind, thread_id=thread_id, **params)
        assert (thread, page, widget) == before


async def test_fault_12_widgets_survive_a_round_trip(store: Any) -> None:
    given = {
        "type": "Card",
        "border": {"size": 1, "color": "red"},
        "futureOption": {"deep": [1, None]},
        "children": [{"type": "HologramV2", "glow": True}, {"type": "Text", "value": "Hi", "sparkle": 3}],
    }

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        item = WidgetItem.model_validate({"id": "wid", "widget": given})
        yield ThreadItemDoneEvent(item=item)

    server = ScriptedServer(script, store)
    result = await server.create()
    sent = (await events(result))[-1]["item"]["widget"]
    page = await server.ask("items.list", thread_id=result.thread_id)
    assert page["data"][0]["widget"] == sent
    assert sent["border"] == {"size": 1, "color": "red"}
    assert sent["futureOption"]["deep"][0] == 1
    assert sent["children"][0] == {"type": "HologramV2", "glow": True}
    assert sent["children"][1]["sparkle"] == 3
