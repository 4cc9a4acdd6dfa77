"""A conversation with the real command, as a user would have it: `chatkit serve` in an empty folder, over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.client import ChatKitClient, ThreadView, TurnStream
from chatkit.errors import NotFoundError
from chatkit.types import (
    AssistantMessageItem,
    ErrorEvent,
    ThreadItem,
    ThreadItemUpdatedEvent,
    UserMessageItem,
    WidgetItem,
)
from tests.acceptance.wire import Frame, Wire, message, resumable, text_of
from tests.cli.processes import Serving, serving
from tests.support.scale import is_within, scaled

BOUND = scaled(60)
"""Seconds for any single step."""
CHECKPOINT = 0.25
"""Seconds of streamed text that a crash may cost."""
SHUTDOWN = 3.0
"""Seconds from SIGTERM to the end of the process."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    return tmp_path


def run_command(folder: Path) -> Any:
    """Runs the command on a free port, in an empty working folder at first, with a HOME that has nothing in it."""
    return serving("--port", "0", folder=folder / "work", HOME=str(folder / "home"))


@pytest.fixture
def served(folder: Path) -> Iterator[Serving]:
    with run_command(folder) as server:
        yield server
    assert not list((folder / "home").iterdir()), "the server must not write into HOME"


@pytest.fixture
async def client(served: Serving) -> AsyncIterator[ChatKitClient]:
    async with ChatKitClient(served.url) as connected:
        yield connected


@pytest.fixture
async def wire(served: Serving) -> AsyncIterator[Wire]:
    async with Wire(served.url) as connected:
        yield connected


async def finished(stream: TurnStream) -> TurnStream:
    async with asyncio.timeout(BOUND), stream:
        return await stream.until_done()


async def answered(stream: TurnStream) -> TurnStream:
    done = await finished(stream)
    assert done.status == "completed"
    assert done.error is None
    return done


async def items_of(client: ChatKitClient, thread_id: str) -> list[ThreadItem]:
    return [item async for item in client.iterate_items(thread_id)]


def buttons(widget: WidgetItem) -> dict[str, dict[str, Any]]:
    """Returns the actions of a widget's buttons by their labels."""
    found: dict[str, dict[str, Any]] = {}

    def visit(node: Any) -> None:
        if isinstance(node, list):
            for child in node:
                visit(child)
        elif isinstance(node, dict):
            if node.get("type") == "Button":
                found[node["label"]] = node["onClickAction"]
            for child in node.values():
                visit(child)

    visit(widget.widget.model_dump(mode="json"))
    return found


async def test_a_conversation(client: ChatKitClient) -> None:
    # Create a thread, and see the answer stream.
    async with asyncio.timeout(BOUND), client.create_thread("Is there any tea?") as stream:
        deltas = [
            getattr(event.update, "delta", "")
            async for event in stream
            if isinstance(event, ThreadItemUpdatedEvent)
        ]
    assert stream.status == "completed"
    assert len(deltas) > 20
    assert stream.text == "".join(deltas)
    assert stream.text.startswith("I cannot answer that: I am the built-in guide")
    thread_id = stream.thread_id
    assert thread_id is not None
    first = await items_of(client, thread_id)
    assert [item.type for item in first] == ["user_message", "assistant_message"]
    assert first == stream.items

    # A second message, answered with a widget.
    second = await answered(client.send_message(thread_id, "widget"))
    widget = second.items[-1]
    assert isinstance(widget, WidgetItem)
    assert widget.copy_text == "Tea: 0 cups"

    # Press a button: the widget is replaced where it stands.
    action = buttons(widget)["One more"]
    pressed = await answered(client.action(thread_id, action["type"], action["payload"], item_id=widget.id))
    replaced = pressed.item(widget.id)
    assert isinstance(replaced, WidgetItem)
    assert replaced.copy_text == "Tea: 1 cup"
    stored = await items_of(client, thread_id)
    assert [item.type for item in stored] == ["user_message", "assistant_message", "user_message", "widget"]
    assert stored[-1] == replaced

    # And one whose answer is not streamed.
    action = buttons(replaced)["None"]
    assert action["streaming"] is False
    response = await client.sync_action(thread_id, action["type"], action["payload"], item_id=widget.id)
    assert isinstance(response.updated_item, WidgetItem)
    assert response.updated_item.copy_text == "Tea: 0 cups"
    assert (await items_of(client, thread_id))[-1] == response.updated_item

    # An error that offers a retry, and the retry.
    failed = await finished(client.send_message(thread_id, "error"))
    assert isinstance(failed.error, ErrorEvent)
    assert failed.error.allow_retry
    assert failed.error.reason == "guide_failure"
    asked = failed.items[-1]
    assert isinstance(asked, UserMessageItem)
    retried = await answered(client.retry(thread_id, asked.id))
    assert retried.text.startswith("The second try went well")
    stored = await items_of(client, thread_id)
    assert [item.type for item in stored[-2:]] == ["user_message", "assistant_message"]
    assert stored[-2] == asked

    # Retry the first message: everything behind it goes.
    again = await answered(client.retry(thread_id, first[0].id))
    stored = await items_of(client, thread_id)
    assert [item.type for item in stored] == ["user_message", "assistant_message"]
    assert stored[0] == first[0]
    assert stored[1].id != first[1].id
    assert again.text == stream.text

    # Rename.
    renamed = await client.rename(thread_id, "Tea ☕ & biscuits")
    assert renamed.title == "Tea ☕ & biscuits"
    assert (await client.get_thread(thread_id)).title == "Tea ☕ & biscuits"
    assert [thread.title for thread in (await client.list_threads()).data] == ["Tea ☕ & biscuits"]

    # Feedback, and a client tool that runs on this side.
    await client.feedback(thread_id, [stored[1].id], "positive")
    asking = await answered(client.send_message(thread_id, "tool"))
    assert asking.items[-1].type == "client_tool_call"
    told = await answered(client.add_tool_output(thread_id, {"time": "12:00"}))
    assert '"12:00"' in told.text

    # Delete: nothing of it is left.
    other = await answered(client.create_thread("notice"))
    assert other.thread_id is not None
    await client.delete_thread(thread_id)
    with pytest.raises(NotFoundError):
        await client.get_thread(thread_id)
    with pytest.raises(NotFoundError):
        await client.list_items(thread_id)
    assert [thread.id for thread in (await client.list_threads()).data] == [other.thread_id]


@pytest.mark.parametrize("size", [1, 7, 20, 45, 100])
async def test_pages_both_ways(paged: tuple[ChatKitClient, str, list[str]], size: int) -> None:
    client, thread_id, ids = paged
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        after: str | None = None
        for number in range(1, 47):
            page = await client.list_items(thread_id, size, after, order)  # pyright: ignore[reportArgumentType] -- one of the two
            assert [item.id for item in page.data] == expected[(number - 1) * size : number * size]
            seen += [item.id for item in page.data]
            assert page.has_more == (len(seen) < 45)
            if not page.has_more:
                break
            assert page.after == seen[-1]
            after = page.after
        assert seen == expected


@pytest.fixture(scope="module")
def paging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--port", "0", folder=tmp_path_factory.mktemp("paging")) as server:
        yield server


@pytest.fixture(scope="module")
def thread_of_45(paging_server: Serving) -> tuple[str, list[str]]:
    async def fill() -> tuple[str, list[str]]:
        async with ChatKitClient(paging_server.url) as client:
            stream = await answered(client.create_thread("questions"))
            thread_id = stream.thread_id
            assert thread_id is not None
            ids = [item.id for item in stream.items]
            for _ in range(21):
                ids += [
                    item.id for item in (await answered(client.send_message(thread_id, "questions"))).items
                ]
            # A failure leaves nothing but the message.
            ids += [item.id for item in (await finished(client.send_message(thread_id, "error"))).items]
            return thread_id, ids

    thread_id, ids = asyncio.run(fill())
    assert len(ids) == len(set(ids)) == 45
    return thread_id, ids


@pytest.fixture
async def paged(
    paging_server: Serving, thread_of_45: tuple[str, list[str]]
) -> AsyncIterator[tuple[ChatKitClient, str, list[str]]]:
    async with ChatKitClient(paging_server.url) as client:
        yield client, *thread_of_45


async def test_the_thread_itself_shows_its_oldest_items(
    paged: tuple[ChatKitClient, str, list[str]],
) -> None:
    client, thread_id, ids = paged
    thread = await client.get_thread(thread_id)
    assert [item.id for item in thread.items.data] == ids[:20]
    assert thread.items.has_more
    assert thread.items.after == ids[19]


async def test_a_stop_in_mid_answer_keeps_the_text_so_far(client: ChatKitClient) -> None:
    async with asyncio.timeout(BOUND), client.create_thread("long 1000") as stream:
        async for event in stream:
            if isinstance(event, ThreadItemUpdatedEvent) and "Line 20 " in stream.text:
                break
        seen = stream.text
        assert stream.thread_id is not None
        stopped = await client.stop(stream.thread_id)
        assert stopped.stopped == [stream.turn_id]
        # What is acknowledged is saved already.
        stored = (await items_of(client, stream.thread_id))[-1]
        await stream.until_done()
    assert stream.status == "stopped"
    assert stream.error is None
    assert isinstance(stored, AssistantMessageItem)
    assert stored.content[0].text == stream.text
    assert stream.text.startswith(seen)
    assert "Line 500 " not in stream.text
    assert stream.items[-1] == stored
    assert (await client.get_thread(stream.thread_id)).active_turn is None
    assert (await client.stop(stream.thread_id)).stopped == []

    # The thread goes on as any other.
    after = await answered(client.send_message(stream.thread_id, "notice"))
    stored_items = await items_of(client, stream.thread_id)
    assert [item.type for item in stored_items] == ["user_message", "assistant_message"] * 2
    assert stored_items[-1] == after.items[-1]


async def test_a_stock_page_stops_by_leaving(client: ChatKitClient, wire: Wire) -> None:
    thread_id, received = "", ""
    async with asyncio.timeout(BOUND), wire.stream(message("long 1000")) as frames:
        async for frame in frames:
            assert frame.id == ""
            thread_id = thread_id or frame.data["thread"]["id"]
            received += frame.text
            if "Line 10 " in received:
                break
    view = await without_active_turn(client, thread_id)
    stored = view.items.data[-1]
    assert isinstance(stored, AssistantMessageItem)
    assert stored.content[0].text.startswith(received)
    assert "Line 500 " not in stored.content[0].text


async def without_active_turn(client: ChatKitClient, thread_id: str) -> ThreadView:
    """Polls, as a page that comes back would, until no turn runs in the thread."""
    async with asyncio.timeout(BOUND):
        while (view := await client.get_thread(thread_id)).active_turn is not None:
            pass
    return view


async def test_dropped_connections_lose_and_double_nothing(client: ChatKitClient, wire: Wire) -> None:
    frames: list[Frame] = []
    thread_id = ""

    async def read(request: dict[str, Any], until: str | None) -> None:
        """Reads until the text is there, then drops the connection."""
        nonlocal thread_id
        async with asyncio.timeout(BOUND), wire.stream(request) as stream:
            async for frame in stream:
                frames.append(frame)
                thread_id = thread_id or frame.data["thread"]["id"]
                if until is not None and until in "".join(frame.text for frame in frames):
                    return
        assert until is None, "the stream ended by itself"

    await read(resumable(message("long 100")), until="Line 10 ")
    for until in ("Line 11 ", "Line 40 ", "Line 70 ", None):
        view = await client.get_thread(thread_id)
        assert view.active_turn is not None
        assert frames[-1].id.startswith(f"{view.active_turn.id}:")
        await read(
            {"type": "turns.resume", "params": {"thread_id": thread_id, "after": frames[-1].id}}, until=until
        )

    *events, end = frames
    assert end.event == "turn.end"
    assert end.data["status"] == "completed"
    # Every event once, in order.
    turn_id = end.data["turn_id"]
    assert [frame.id for frame in events] == [f"{turn_id}:{number}" for number in range(1, len(events) + 1)]
    text = "".join(frame.text for frame in events)
    assert [line.split(":")[0] for line in text.splitlines()] == [
        f"Line {number} of 100" for number in range(1, 101)
    ]
    page = await wire.ask("items.list", thread_id=thread_id, order="asc")
    assert text_of(page["data"][-1]) == text
    assert events[-1].done_item == page["data"][-1]

    # A page that has lost its cursor, or comes late, gets the state.
    again: list[Frame] = []
    async with (
        asyncio.timeout(BOUND),
        wire.stream({"type": "turns.resume", "params": {"thread_id": thread_id}}) as stream,
    ):
        again.extend([frame async for frame in stream])
    assert [frame.done_item for frame in again if frame.done_item] == page["data"]
    assert again[-1].event == "turn.end"


async def test_the_client_repairs_its_stream_by_itself(served: Serving, folder: Path) -> None:
    async with DroppingProxy(served.url, drops=3, after=8_000) as proxy, ChatKitClient(proxy.url) as client:
        stream = await answered(client.create_thread("long 100"))
        assert proxy.dropped == 3
    async with Wire(served.url) as wire:
        page = await wire.ask("items.list", thread_id=stream.thread_id, order="asc")
    assert stream.text == text_of(page["data"][-1])
    assert len(stream.text.splitlines()) == 100


class DroppingProxy:
    """Passes bytes on to a server, and drops the first connections after so many bytes of their answers."""

    def __init__(self, target: str, *, drops: int, after: int) -> None:
        self._target = httpx2.URL(target)
        self._after = after
        self._left = drops
        self._drops = drops
        self.url = ""

    @property
    def dropped(self) -> int:
        return self._drops - self._left

    async def __aenter__(self) -> DroppingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = str(self._target.copy_with(port=port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        async with asyncio.timeout(BOUND):
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, onward = await asyncio.open_connection("127.0.0.1", self._target.port)

        async def forth() -> None:
            while data := await reader.read(65536):
                onward.write(data)
            onward.write_eof()

        sending = asyncio.create_task(forth())
        passed = 0
        try:
            while data := await upstream.read(512):
                writer.write(data)
                await writer.drain()
                passed += len(data)
                if self._left and passed > self._after:
                    self._left -= 1
                    writer.transport.abort()
                    return
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            writer.close()
            onward.close()
            await asyncio.gather(sending, return_exceptions=True)


async def test_a_killed_server_keeps_what_was_seen(folder: Path) -> None:
    seen_done: dict[str, dict[str, Any]] = {}
    partial: list[Frame] = []
    with run_command(folder) as server:
        async with Wire(server.url) as wire, ChatKitClient(server.url) as client:
            thread_id = ""
            async with asyncio.timeout(BOUND), wire.stream(message("markdown")) as frames:
                async for frame in frames:
                    thread_id = thread_id or frame.data["thread"]["id"]
                    if frame.done_item:
                        seen_done[frame.done_item["id"]] = frame.done_item
            await answered(client.send_message(thread_id, "workflow"))
            for item in (await wire.ask("items.list", thread_id=thread_id, order="asc"))["data"]:
                seen_done[item["id"]] = item
            async with (
                asyncio.timeout(BOUND),
                wire.stream(resumable(message("long 2000", thread_id))) as frames,
            ):
                async for frame in frames:
                    if frame.done_item:
                        seen_done[frame.done_item["id"]] = frame.done_item
                    if frame.text:
                        partial.append(frame)
                    if len(partial) == 40:
                        killed_at = time.monotonic()
                        os.kill(server.process.pid, signal.SIGKILL)
                        break
            assert server.process.wait(BOUND) == -signal.SIGKILL

    with run_command(folder) as server:
        async with Wire(server.url) as wire, ChatKitClient(server.url) as client:
            stored = (await wire.ask("items.list", thread_id=thread_id, order="asc"))["data"]
            assert len(seen_done) == 6
            assert {item["id"]: item for item in stored[:-1]} == seen_done
            text = text_of(stored[-1])
            received = "".join(frame.text for frame in partial)
            must = "".join(frame.text for frame in partial if frame.at <= killed_at - CHECKPOINT)
            assert must, "the turn was killed too early to say anything"
            assert text.startswith(must)
            # The server may have saved what was still on its way.
            assert received.startswith(text) or text.startswith(received)

            # No turn looks as if it ran, and the thread goes on.
            assert (await client.get_thread(thread_id)).active_turn is None
            going_on = await answered(client.send_message(thread_id, "notice"))
            after = (await wire.ask("items.list", thread_id=thread_id, order="asc"))["data"]
            assert after[:-2] == stored
            assert after[-1]["id"] == going_on.items[-1].id


async def test_sigterm_ends_open_streams_and_the_process(folder: Path) -> None:
    requests = [message("long 2000"), resumable(message("long 2000")), message("long 2000")]
    with run_command(folder) as server:
        async with Wire(server.url) as wire:
            reading = asyncio.Event()
            started = 0

            async def read(request: dict[str, Any]) -> list[Frame]:
                nonlocal started
                got: list[Frame] = []
                async with wire.stream(request) as frames:
                    async for frame in frames:
                        got.append(frame)
                        if len(got) == 30:
                            started += 1
                            if started == len(requests):
                                reading.set()
                return got

            async with asyncio.timeout(BOUND):
                readers = [asyncio.create_task(read(request)) for request in requests]
                await reading.wait()
                terminated = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                streams = await asyncio.gather(*readers)
            code = await asyncio.to_thread(server.process.wait, scaled(SHUTDOWN))
            took = time.monotonic() - terminated
            assert server.process.stderr is not None
            complaints = server.process.stderr.read()
    assert is_within(took, SHUTDOWN)
    # uvicorn ends its work, then hands the signal on, as a supervisor expects it.
    assert code in {0, -signal.SIGTERM}
    assert complaints == ""
    for request, frames in zip(requests, streams, strict=True):
        if "metadata" in request:
            end = frames.pop()
            assert end.event == "turn.end"
            assert end.data["status"] == "interrupted"
        assert frames[-1].data["type"] == "error"
        assert frames[-1].data["allow_retry"] is True
        assert frames[-2].done_item is not None

    # What the streams ended with is what the next server has.
    with run_command(folder) as server:
        async with Wire(server.url) as wire:
            for frames in streams:
                thread_id = frames[0].data["thread"]["id"]
                page = await wire.ask("items.list", thread_id=thread_id, order="asc")
                assert page["data"][-1] == frames[-2].done_item
                assert text_of(page["data"][-1]) == "".join(frame.text for frame in frames)
