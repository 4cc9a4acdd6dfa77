"""Ids that a handler gives more than once: nothing that was stored is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatkit.ids import made_at, new_id
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    TaskItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import ADA, BOB, LIMIT, ScriptedServer, added, delta, done, drain, events, message
from tests.stateful.plain_store import PlainStore


def stores(tmp_path: Path) -> dict[str, Any]:
    return {
        "memory": MemoryStore(),
        "sqlite": SQLiteStore(str(tmp_path / "chat.db")),
        "plain": PlainStore(),
    }


@pytest.fixture(params=["memory", "sqlite", "plain"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(store=stores(tmp_path)[request.param])
    yield server
    await server.close()


def yielding(*given: Any) -> Any:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for event in given:
            yield event

    return script


def text_of(item: Any) -> str:
    return "".join(part.text for part in item.content)


async def answers(server: ScriptedServer, thread_id: str) -> list[str]:
    return [text_of(item) for item in await server.items(thread_id) if item.type == "assistant_message"]


async def ask(server: ScriptedServer, thread_id: str, *given: Any) -> list[Any]:
    server.script = yielding(*given)
    return await events(await server.say(thread_id))


async def test_an_id_of_an_earlier_turn_gets_a_fresh_one(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    thread_id = await server.new_thread()
    given = "answer of " + type(server.store).__name__
    await ask(server, thread_id, done("One", given))
    with caplog.at_level(logging.WARNING, "chatkit.server"):
        shown = await ask(server, thread_id, done("Two", given))
        await ask(server, thread_id, done("Three", given))
    assert await answers(server, thread_id) == ["One", "Two", "Three"]
    assert shown[-1]["item"]["id"] != given
    assert [record.message for record in caplog.records if given in record.getMessage()][1:] == []
    assert given in caplog.text


async def test_later_events_of_the_turn_mean_the_fresh_one(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    await ask(server, thread_id, done("One", "answer"))
    shown = await ask(
        server,
        thread_id,
        added(None, "answer"),
        delta("Tw", "answer"),
        delta("o", "answer"),
        ThreadItemDoneEvent(id="answer"),
        ThreadItemReplacedEvent(id="answer", item=message("Two!", "answer")),
    )
    ids = {event["item"]["id"] if "item" in event else event["item_id"] for event in shown[2:]}
    assert len(ids) == 1
    assert "answer" not in ids
    assert await answers(server, thread_id) == ["One", "Two!"]
    await ask(
        server, thread_id, added("x", "answer"), delta("y", "answer"), ThreadItemRemovedEvent(id="answer")
    )
    assert await answers(server, thread_id) == ["One", "Two!"]


async def test_a_failed_turn_keeps_what_it_had_under_the_fresh_id(server: ScriptedServer) -> None:
    async def failing(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added(None, "answer")
        yield delta("half", "answer")
        raise RuntimeError("no more")

    thread_id = await server.new_thread()
    await ask(server, thread_id, done("One", "answer"))
    server.script = failing
    shown = await events(await server.say(thread_id))
    assert await answers(server, thread_id) == ["One", "half"]
    assert shown[-2]["item"]["id"] == shown[2]["item"]["id"] != "answer"


async def test_the_same_id_twice_in_one_turn(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    await ask(server, thread_id, done("One", "answer"), done("Two", "answer"), done("Three", "answer"))
    assert await answers(server, thread_id) == ["One", "Two", "Three"]


async def test_the_same_id_twice_while_the_first_is_pending(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    shown = await ask(
        server,
        thread_id,
        added("One", "answer"),
        added("Two", "answer"),
        delta("!", "answer"),
        ThreadItemDoneEvent(id="answer"),
    )
    assert await answers(server, thread_id) == ["One", "Two!"]
    assert [event["type"].rpartition(".")[2] for event in shown[2:]] == [
        "added",
        "done",
        "added",
        "updated",
        "done",
    ]


async def test_the_id_of_the_users_message(server: ScriptedServer) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Mine", message.id)

    thread_id = await server.new_thread()
    server.script = script
    await drain(await server.say(thread_id))
    assert [item.type for item in await server.items(thread_id)] == [
        "user_message",
        "user_message",
        "assistant_message",
    ]


async def test_two_turns_at_once_with_one_id(server: ScriptedServer) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("slow", "answer")
        begun.set()
        await asyncio.wait_for(go_on.wait(), LIMIT)
        yield ThreadItemDoneEvent(id="answer")

    if isinstance(server.store, PlainStore):
        pytest.skip("Such a store has no way to say that an id is taken.")
    thread_id = await server.new_thread()
    server.script = slow
    first = asyncio.create_task(drain(await server.say(thread_id)))
    await asyncio.wait_for(begun.wait(), LIMIT)
    await ask(server, thread_id, done("fast", "answer"))
    go_on.set()
    await first
    assert await answers(server, thread_id) == ["fast", "slow"]


def widget(text: str, **rest: Any) -> WidgetItem:
    return WidgetItem(widget=Card(children=[Text(value=text)]), **rest)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: widget(n, id="same"),
        lambda n: TaskItem(id="same", task=CustomTask(title=n)),
        lambda n: WorkflowItem(id="same", workflow=Workflow(type="custom", tasks=[CustomTask(title=n)])),
        lambda n: HiddenContextItem(id="same", content=n),
        lambda n: GeneratedImageItem(id="same", image=GeneratedImage(id="ig_1", url=f"data:,{n}")),
        lambda n: ClientToolCallItem(id="same", call_id="call_1", name=n, arguments={}),
    ],
)
async def test_items_of_every_kind(server: ScriptedServer, make: Any) -> None:
    thread_id = await server.new_thread()
    for number in ("1", "2"):
        await ask(server, thread_id, ThreadItemDoneEvent(item=make(number)))
    kept = [item for item in await server.items(thread_id) if item.type != "user_message"]
    assert len({item.id for item in kept}) == 2


async def test_items_that_go_on(server: ScriptedServer) -> None:
    """What was loaded and changed, or was given to the handler, is changed in its place."""
    thread_id = await server.new_thread()
    call = ClientToolCallItem(id="call", call_id="c", name="look", arguments={})
    steps = WorkflowItem(id="steps", workflow=Workflow(type="custom", tasks=[CustomTask(title="a")]))
    await ask(
        server,
        thread_id,
        ThreadItemDoneEvent(item=widget("old", id="card")),
        ThreadItemAddedEvent(item=steps),
        ThreadItemDoneEvent(item=call),
    )

    async def going_on(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        page = await server._chatkit_store().load_thread_items(thread.id, None, 9, "desc", context)
        found = {item.id: item for item in page.data}
        yield ThreadItemDoneEvent(
            item=found["card"].model_copy(update={"widget": widget("new", id="").widget})
        )
        tasks = [CustomTask(title="a"), CustomTask(title="b")]
        yield ThreadItemDoneEvent(
            item=WorkflowItem(id="steps", workflow=Workflow(type="custom", tasks=tasks))
        )
        done_call = ClientToolCallItem(
            id="call", call_id="c", name="look", arguments={}, status="completed", output=found["call"].output
        )
        yield ThreadItemDoneEvent(item=done_call)

    server.script = going_on
    await server.ask("threads.add_client_tool_output", thread_id=thread_id, result=1)
    stored = {item.id: item for item in await server.items(thread_id)}
    assert set(list(stored)[2:]) == {"card", "steps", "call"}
    assert stored["card"].widget == widget("new", id="").widget
    assert len(stored["steps"].workflow.tasks) == 2
    assert stored["call"].output == 1


async def test_the_widget_of_an_action_is_changed_in_its_place(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    await ask(server, thread_id, ThreadItemDoneEvent(item=widget("old", id="card")))

    async def action(self: Any, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemDoneEvent(item=widget("new", id=sender.id))

    kind = type("Acting", (ScriptedServer,), {"action": action})
    acting = kind(store=server.store)
    await acting.ask(
        "threads.custom_action", thread_id=thread_id, item_id="card", action={"type": "x", "payload": {}}
    )
    assert [item.id for item in await server.items(thread_id) if item.type == "widget"] == ["card"]


async def test_a_message_that_is_sent_again_with_more_text(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    said = message("One", "answer")
    more = said.model_copy(update={"content": [AssistantMessageContent(text="One and more")]})
    await ask(server, thread_id, ThreadItemDoneEvent(item=said), ThreadItemDoneEvent(item=more))
    assert await answers(server, thread_id) == ["One and more"]


async def test_two_answers_of_the_same_moment(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for text in ("One", "Two"):
        item = AssistantMessageItem(
            id="answer", created_at=moment, content=[AssistantMessageContent(text=text)]
        )
        await ask(server, thread_id, ThreadItemDoneEvent(item=item))
    assert await answers(server, thread_id) == ["One", "Two"]


async def test_threads_and_owners_may_use_the_same_id(tmp_path: Path) -> None:
    for kind in ("memory", "sqlite"):
        server = ScriptedServer(store=stores(tmp_path)[kind])
        server.script = yielding(done("Mine", "answer"))
        for context in (ADA, ADA, BOB):
            shown = await events(await server.create("Hi", context))
            assert shown[-1]["item"]["id"] == "answer"
        await server.close()


class CountingStore(MemoryStore[Any]):
    lookups = 0

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        self.lookups += 1
        return await super().load_item(thread_id, item_id, context)


async def test_the_check_costs_one_look_at_the_store_for_an_item() -> None:
    store = CountingStore()
    server = ScriptedServer(store=store)

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for item_id in (store.generate_item_id("message", thread, context), "own"):
            store.lookups = 0
            yield added(None, item_id)
            for _ in range(5):
                yield delta("x", item_id)
            yield ThreadItemDoneEvent(id=item_id)
            assert store.lookups == (1 if item_id == "own" else 0)

    server.script = script
    assert (await events(await server.create()))[-1]["type"] == "thread.item.done"


def test_when_an_id_was_made() -> None:
    made = made_at(new_id("message"))
    assert made is not None
    assert abs(made - datetime.now(UTC).timestamp() * 1e6) < 60e6
    for other in ("answer", "", "msg_1", "x" * 26, "msg_" + "-" * 26, "_" * 27):
        assert made_at(other) is None
