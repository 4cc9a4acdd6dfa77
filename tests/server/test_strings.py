"""Strings that a handler yields: an assistant message that streams, and ends like any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import InvalidEventError
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageItem,
    ErrorEvent,
    NoticeEvent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    decode,
    done,
    drain,
    events,
    kinds,
    progress,
    read,
    texts,
)
from tests.stateful.plain_store import PlainStore
from tests.support.scale import examples


class Word(StrEnum):
    YES = "yes"


def yielding(*values: Any) -> Any:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for value in values:
            yield value

    return script


async def test_strings_in_a_row_are_one_message_that_streams() -> None:
    server = ScriptedServer(yielding("Hel", "", "lo", Word.YES))
    result = await server.create()
    shown = (await events(result))[3:]
    item_id = shown[0]["item"]["id"]
    assert kinds(shown) == [
        "thread.item.added",
        *["thread.item.updated"] * 4,
        "thread.item.done",
    ]
    assert shown[0]["item"]["content"] == []
    assert [event["update"]["type"].rpartition(".")[2] for event in shown[1:-1]] == [
        "added",
        *["text_delta"] * 3,
    ]
    assert [event["update"].get("delta") for event in shown[2:-1]] == ["Hel", "lo", "yes"]
    assert {event.get("item_id", item_id) for event in shown} == {item_id}
    stored = (await server.items(result.thread_id))[-1]
    assert (stored.id, stored.thread_id, texts([stored])) == (item_id, result.thread_id, ["Helloyes"])


async def test_strings_are_sent_as_the_events_of_a_message() -> None:
    """So stop, resume, recovery and hand-over, which read the log, cannot tell them apart."""
    ids = iter(range(100))

    class Counting(MemoryStore[Any]):
        def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
            return f"{item_type}-{next(ids)}"

    async def by_hand(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        item_id = server.store.generate_item_id("message", thread, context)
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id=item_id, content=[]))
        for text in ("Hel", "lo"):
            yield ThreadItemUpdatedEvent(id=item_id, delta=TextDelta(text=text))
        yield ThreadItemDoneEvent(id=item_id)
        yield progress()

    shown: list[Any] = []
    for script in (yielding("Hel", "lo", progress()), by_hand):
        ids = iter(range(100))
        server = ScriptedServer(script, Counting())
        events_of_script = (await events(await server.create()))[3:]
        for event in events_of_script:
            event.get("item", {}).pop("created_at", None)
            event.get("item", {}).pop("thread_id", None)
        shown.append(events_of_script)
    assert shown[0] == shown[1]


async def test_strings_over_a_store_of_the_reference() -> None:
    server = ScriptedServer(yielding("Hel", "lo"), PlainStore())
    result = await server.create()
    await drain(result)
    items = await server.items(result.thread_id)
    assert texts(items) == ["Hello"]
    assert items[-1].id


async def test_any_event_ends_the_message() -> None:
    widget = ThreadItemDoneEvent(item=WidgetItem(widget=DynamicWidgetRoot(type="Card", children=[])))
    server = ScriptedServer(
        yielding(
            "one", progress(), "two", widget, done("three"), "four", NoticeEvent(level="info", message="x")
        )
    )
    result = await server.create()
    shown = await events(result)
    ends = [
        event.get("item", {}).get("content", [{}])[0].get("text", event["type"])
        for event in shown[3:]
        if event["type"] not in {"thread.item.added", "thread.item.updated"}
    ]
    assert ends == ["one", "progress_update", "two", "thread.item.done", "three", "four", "notice"]
    assert texts(await server.items(result.thread_id)) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]])
async def test_what_is_no_text_is_told_as_before(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer(yielding("kept", value))
    result = await server.create()
    shown = await events(result)
    assert kinds(shown)[-2:] == ["thread.item.done", "error"]
    assert "which is no thread stream event" in caplog.text
    assert texts(await server.items(result.thread_id)) == ["kept"]


async def test_an_empty_text_is_no_message_and_a_blank_one_is_taken_back() -> None:
    server = ScriptedServer(yielding("", "", progress()))
    result = await server.create()
    assert kinds(await events(result))[3:] == ["progress_update"]
    server.script = yielding(" ", progress())
    assert kinds(await events(await server.say(result.thread_id)))[-2:] == [
        "thread.item.removed",
        "progress_update",
    ]
    assert texts(await server.items(result.thread_id)) == []


async def test_an_exception_keeps_the_partial_text_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield "half"
        raise RuntimeError("no")

    server = ScriptedServer(failing)
    result = await server.create()
    shown = await events(result)
    assert kinds(shown)[-2:] == ["thread.item.done", "error"]
    assert shown[-1]["allow_retry"] is True
    assert texts(await server.items(result.thread_id)) == ["half"]
    # The retry writes a message of its own.
    server.script = yielding("whole")
    message = (await server.items(result.thread_id))[0]
    await server.ask("threads.retry_after_item", thread_id=result.thread_id, item_id=message.id)
    assert texts(await server.items(result.thread_id)) == ["whole"]


async def test_a_stop_keeps_the_partial_text() -> None:
    waiting = asyncio.Event()

    async def endless(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield "so "
        yield "far"
        await waiting.wait()

    server = ScriptedServer(endless)
    result = await server.create("Hi", None, {"resumable": True})
    stream = aiter(result)
    shown = decode(await read(stream, 7))
    assert shown[-1]["update"]["delta"] == "far"
    await server.ask("turns.stop", thread_id=result.thread_id)
    assert decode(await drain(stream))[-1]["type"] == "thread.item.done"
    assert texts(await server.items(result.thread_id)) == ["so far"]


async def test_a_reader_comes_back_to_the_text() -> None:
    go_on = asyncio.Event()

    async def slow(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield "so "
        await go_on.wait()
        yield "far"

    server = ScriptedServer(slow)
    result = await server.create("Hi", None, {"resumable": True})
    stream = aiter(result)
    await read(stream, 6)
    await result.aclose()
    again = await server.send("turns.resume", ADA, thread_id=result.thread_id)
    go_on.set()
    shown = decode(await drain(again))
    assert shown[-1]["item"]["content"][0]["text"] == "so far"
    assert texts(await server.items(result.thread_id)) == ["so far"]


async def test_an_action_and_the_thread_too() -> None:
    class Acting(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            yield "done: "
            thread.title = "Acted"
            yield action.type

    server = Acting()
    thread_id = await server.new_thread()
    shown = await server.ask(
        "threads.custom_action", thread_id=thread_id, action={"type": "buy", "payload": {}}
    )
    assert "thread.updated" in kinds(shown)
    assert texts(await server.items(thread_id)) == ["done: buy"]


async def test_an_event_of_an_error_ends_the_message_too() -> None:
    server = ScriptedServer(yielding("text", ErrorEvent(message="No")))
    assert kinds(await events(await server.create()))[-2:] == ["thread.item.done", "error"]


class FailingOnce(MemoryStore[Any]):
    """Does not store the first assistant message that it is given."""

    failed = False

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self._fail(item)
        await super().add_thread_item(thread_id, item, context)

    async def put_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self._fail(item)
        await super().put_thread_item(thread_id, item, context)

    def _fail(self, item: Any) -> None:
        if item.type == "assistant_message" and not self.failed:
            self.failed = True
            raise InvalidEventError("Not this one.")


async def test_a_store_that_fails_at_the_end_of_a_text_is_told(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer(yielding("text", progress(), "more"), FailingOnce())
    result = await server.create()
    shown = await events(result)
    assert kinds(shown)[-2:] == ["thread.item.done", "error"]
    assert texts(await server.items(result.thread_id)) == ["text"]


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.text(max_size=3) | st.just(None), max_size=8))
def test_what_is_shown_is_what_is_stored(pieces: list[str | None]) -> None:
    async def scenario() -> None:
        server = ScriptedServer(yielding(*(progress() if piece is None else piece for piece in pieces)))
        result = await server.create()
        shown = await events(result)
        done_texts = [
            event["item"]["content"][0]["text"] for event in shown[3:] if event["type"] == "thread.item.done"
        ]
        assert done_texts == texts(await server.items(result.thread_id))
        runs = "".join("\0" if piece is None else piece.replace("\0", "0") for piece in pieces).split("\0")
        assert [text.replace("\0", "0") for text in done_texts] == [run for run in runs if run.strip()]

    async def bounded() -> None:
        async with asyncio.timeout(LIMIT):
            await scenario()

    asyncio.run(bounded())
