"""The client and a real server: every kind of request, connections that break, stop and resume."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chatkit.client import ChatKitClient, TurnStream
from chatkit.errors import NotFoundError, UnsupportedOperationError
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageItem,
    AudioInput,
    Capabilities,
    FeedbackKind,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
)
from chatkit.web import create_app, single_user
from tests.client.scripted import cutting_proxy
from tests.support.live_server import live_server
from tests.support.scale import scaled


class Counting(ChatKitServer[Any]):
    """Counts as far as the message says; ``wait`` never ends."""

    def __init__(self) -> None:
        super().__init__(MemoryStore[Any]())
        self.feedback: list[tuple[str, list[str], str]] = []

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = "" if input is None else input.content[0].text
        item = AssistantMessageItem(id=new_id("message"), content=[TextContent(text="")])
        yield ThreadItemAddedEvent(item=item)
        for number in range(int(text) if text.isdigit() else 3):
            yield ThreadItemUpdatedEvent(id=item.id, delta=TextDelta(text=f"{number} "))
            await asyncio.sleep(0)
        if text == "wait":
            await asyncio.Event().wait()
        yield ThreadItemDoneEvent(id=item.id)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Any
    ) -> None:
        self.feedback.append((thread_id, item_ids, feedback))

    async def transcribe(self, audio_input: AudioInput, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text=f"{audio_input.media_type} {audio_input.data.hex()}")


def counted(number: int) -> str:
    return "".join(f"{each} " for each in range(number))


@pytest.fixture(scope="module")
def server() -> Counting:
    return Counting()


@pytest.fixture(scope="module")
def url(server: Counting) -> Iterator[str]:
    with live_server(create_app(server, context=single_user())) as live:
        yield f"{live.url}/chatkit"


@pytest.fixture
async def chat(url: str) -> AsyncIterator[ChatKitClient]:
    async with ChatKitClient(url, timeout=scaled(20), backoff=0) as client:
        yield client


async def play(stream: TurnStream) -> TurnStream:
    async with stream:
        return await stream.until_done()


async def thread_of(chat: ChatKitClient) -> str:
    thread_id = (await play(chat.create_thread("3"))).thread_id
    assert thread_id is not None
    return thread_id


async def test_a_conversation_is_what_is_stored(chat: ChatKitClient) -> None:
    first = await play(chat.create_thread("5"))
    assert (first.status, first.text, first.error) == ("completed", counted(5), None)
    assert first.thread_id is not None
    second = await play(chat.send_message(first.thread_id, "2"))
    view = await chat.get_thread(first.thread_id)
    assert view.items.data == [*first.items, *second.items]
    assert view.active_turn is None
    again = await play(chat.retry(first.thread_id, first.items[0].id))
    assert again.text == counted(5)
    assert (await chat.get_thread(first.thread_id)).items.data == [first.items[0], *again.items]


async def test_paging_both_ways(chat: ChatKitClient) -> None:
    thread_id = await thread_of(chat)
    for _ in range(11):
        await play(chat.send_message(thread_id, "1"))
    items = [item.id async for item in chat.iterate_items(thread_id, page_size=5)]
    assert len(items) == len(set(items)) == 24
    assert [item.id async for item in chat.iterate_items(thread_id, order="desc", page_size=7)] == items[::-1]
    page = await chat.list_items(thread_id, 10, order="asc")
    assert ([item.id for item in page.data], page.has_more) == (items[:10], True)
    threads = [thread.id async for thread in chat.iterate_threads(page_size=1)]
    assert threads[0] == thread_id
    assert [thread.id async for thread in chat.iterate_threads(order="asc")] == threads[::-1]


async def test_the_smaller_requests(chat: ChatKitClient, server: Counting) -> None:
    thread_id = await thread_of(chat)
    assert (await chat.rename(thread_id, "Numbers")).title == "Numbers"
    item = (await chat.list_items(thread_id, 1)).data[0]
    await chat.feedback(thread_id, [item.id], "negative")
    assert server.feedback == [(thread_id, [item.id], "negative")]
    assert await chat.transcribe(b"\x01\xff", "audio/webm;codecs=opus") == "audio/webm 01ff"
    (found,) = (await chat.search_threads("numb", 5)).data
    assert (found.thread.id, found.title_ranges) == (thread_id, [(0, 7)])
    with pytest.raises(UnsupportedOperationError):
        await chat.create_attachment("a.txt", 3, "text/plain")
    with pytest.raises(UnsupportedOperationError):
        await chat.delete_attachment("atc_1")
    await chat.delete_thread(thread_id)
    with pytest.raises(NotFoundError):
        await chat.get_thread(thread_id)


async def test_what_the_server_can_do(chat: ChatKitClient) -> None:
    assert await chat.capabilities() == Capabilities(transcription=True, search=True, resume=True, stop=True)


async def test_stop_keeps_what_was_written(chat: ChatKitClient) -> None:
    async with asyncio.timeout(scaled(30)), chat.create_thread("wait") as stream:
        async for _ in stream:
            if stream.text == counted(3):
                break
        await stream.stop()
        await stream.stop()
        await stream.until_done()
    assert stream.status == "stopped"
    assert stream.thread_id is not None
    assert (await chat.get_thread(stream.thread_id)).items.data == stream.items
    assert (await chat.stop(stream.thread_id)).stopped == []


async def test_stop_before_anything_was_read(chat: ChatKitClient) -> None:
    async with asyncio.timeout(scaled(30)), chat.create_thread("wait") as stream:
        await stream.stop()
        await stream.until_done()
    assert stream.status == "stopped"


async def test_a_turn_that_was_left_goes_on_and_is_resumed_after_what_was_read(chat: ChatKitClient) -> None:
    events: list[ThreadStreamEvent] = []
    async with asyncio.timeout(scaled(30)):
        async with chat.create_thread("wait") as stream:
            async for event in stream:
                events.append(event)
                if len(events) == 5:
                    break
        assert stream.thread_id is not None
        view = await chat.get_thread(stream.thread_id)
        assert view.active_turn is not None
        assert view.active_turn.id == stream.turn_id
        async with chat.resume(stream.thread_id, stream.last_event_id) as rest:
            await rest.stop()
            events += [event async for event in rest]
        async with chat.resume(stream.thread_id) as whole:
            assert [event async for event in whole] == events
    assert whole.text == counted(3)
    assert whole.status == "stopped"


async def test_leaving_a_turn_that_is_not_resumable_stops_it(url: str) -> None:
    async with asyncio.timeout(scaled(30)), ChatKitClient(url, resumable=False) as chat:
        async with chat.create_thread("wait") as stream:
            async for _ in stream:
                if stream.text == counted(3):
                    break
        assert (stream.turn_id, stream.last_event_id) == (None, None)
        assert stream.thread_id is not None
        while (view := await chat.get_thread(stream.thread_id)).active_turn is not None:
            await asyncio.sleep(0)
        assert view.items.data[-1] == stream.items[-1]


@pytest.mark.parametrize("length", [40, 1500])
async def test_a_connection_that_breaks_anywhere_loses_and_doubles_nothing(url: str, length: int) -> None:
    # Head and body of the answer alike: within the headers, within a frame, between two, near the end.
    for start in (0, 1, 150, 200, 420, 900):
        cuts = [start, 300 + start, 271, 1024, 350, 4000]
        async with (
            asyncio.timeout(scaled(60)),
            cutting_proxy(url, *cuts) as proxy,
            ChatKitClient(proxy.url, backoff=0, retries=8) as broken,
            ChatKitClient(url) as chat,
        ):
            async with broken.create_thread(str(length)) as stream:
                events = [event async for event in stream]
            assert proxy.connections > 1
            assert stream.status == "completed"
            assert stream.text == counted(length)
            assert stream.thread_id is not None
            assert (await chat.get_thread(stream.thread_id)).items.data == stream.items
            deltas = [event for event in events if isinstance(event, ThreadItemUpdatedEvent)]
            assert len(deltas) == length


async def test_a_message_that_is_sent_twice_is_one_turn(chat: ChatKitClient) -> None:
    thread_id = await thread_of(chat)
    key = os.urandom(12).hex()
    first = await play(chat.send_message(thread_id, "4", idempotency_key=key))
    second = await play(chat.send_message(thread_id, "4", idempotency_key=key))
    assert second.items == first.items
    assert len((await chat.get_thread(thread_id)).items.data) == 4
