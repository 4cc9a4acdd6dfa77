from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from chatkit.server import StreamingResult
from chatkit.sse import KEEP_ALIVE
from chatkit.store import MemoryStore
from chatkit.web import EventStreamResponse
from tests.support.scale import scaled
from tests.web.sample import SampleServer, message

FRAMES = [b'data: {"n":%d}\n\n' % number for number in range(3)]


class Client:
    """The other side of a response: records what is sent, and leaves when told to.

    Args:
        spec_version: Of ASGI; servers differ, the response must not.
        broken_after: Messages that can be sent before ``failure`` is raised instead.
        failure: What a send raises.
    """

    def __init__(
        self, spec_version: str = "2.3", *, broken_after: int = sys.maxsize, failure: Exception | None = None
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
        }
        self.messages: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.sent = asyncio.Condition()
        self._broken_after = broken_after
        self._failure = failure or OSError("closed")
        self._body_left = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> dict[str, Any]:
        if self._body_left:
            return self._body_left.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.messages) >= self._broken_after:
            raise self._failure
        self.messages.append(message)
        async with self.sent:
            self.sent.notify_all()

    async def until(self, condition: Callable[[Client], bool]) -> None:
        async with self.sent:
            await asyncio.wait_for(self.sent.wait_for(lambda: condition(self)), scaled(5))

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def complete(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    async def get(self, response: EventStreamResponse) -> None:
        await asyncio.wait_for(response(self.scope, self.receive, self.send), scaled(10))


class Source:
    """A stream that tells when it was closed."""

    def __init__(self, frames: list[bytes] | None = None, *, then: BaseException | str | None = None) -> None:
        self.closed = asyncio.Event()
        self.cleaned_up = asyncio.Event()
        self.slow_clean_up: asyncio.Event | None = None
        self._frames = FRAMES if frames is None else frames
        self._then = then
        self.result = StreamingResult(self._read())

    async def _read(self) -> AsyncGenerator[bytes, None]:
        try:
            for frame in self._frames:
                yield frame
            if self._then == "hold":
                await asyncio.get_running_loop().create_future()
            elif isinstance(self._then, BaseException):
                raise self._then
        finally:
            self.closed.set()
            if self.slow_clean_up is not None:
                await self.slow_clean_up.wait()
            self.cleaned_up.set()


@pytest.mark.parametrize("spec_version", ["2.0", "2.3", "2.4", "2.5"])
async def test_a_stream_is_sent_whole(spec_version: str) -> None:
    client, source = Client(spec_version), Source()
    await client.get(EventStreamResponse(source.result))
    assert client.body == b"".join(FRAMES)
    assert client.complete
    assert source.cleaned_up.is_set()


async def test_the_head_says_that_it_is_a_stream_nobody_may_buffer() -> None:
    client = Client()
    await client.get(EventStreamResponse(Source().result, headers={"X-Trace": "1"}))
    headers = {name.decode(): value.decode() for name, value in client.messages[0]["headers"]}
    assert client.messages[0]["status"] == 200
    assert headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-trace": "1",
    }


async def test_the_first_frame_is_sent_while_the_turn_goes_on() -> None:
    client, source = Client(), Source(FRAMES[:1], then="hold")
    task = asyncio.create_task(client.get(EventStreamResponse(source.result)))
    await client.until(lambda c: len(c.messages) == 2)
    assert client.body == FRAMES[0]
    client.gone.set()
    await task


@pytest.mark.parametrize("spec_version", ["2.0", "2.3", "2.4", "2.5"])
async def test_a_client_that_leaves_ends_the_stream(spec_version: str) -> None:
    client, source = Client(spec_version), Source(then="hold")
    task = asyncio.create_task(client.get(EventStreamResponse(source.result)))
    await client.until(lambda c: c.body == b"".join(FRAMES))
    client.gone.set()
    await task
    assert source.cleaned_up.is_set()
    assert not client.complete, "nothing is sent to nobody"


@pytest.mark.parametrize(
    "failure",
    [
        OSError("broken pipe"),
        ConnectionResetError(),
        ClientDisconnect(),
        anyio.BrokenResourceError(),
        anyio.ClosedResourceError(),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_send_that_fails_is_a_client_that_left(failure: Exception, after: int) -> None:
    client, source = Client(broken_after=after, failure=failure), Source(then="hold")
    await client.get(EventStreamResponse(source.result))
    # A generator that was never entered has nothing to clean up.
    assert source.cleaned_up.is_set() == (after > 0)
    await source.result.aclose()


async def test_a_send_that_fails_otherwise_is_a_fault_to_be_seen() -> None:
    client, source = Client(broken_after=2, failure=AssertionError("wrong message")), Source(then="hold")
    with pytest.raises(AssertionError, match="wrong message"):
        await client.get(EventStreamResponse(source.result))
    assert source.cleaned_up.is_set()


def held(source: Source, *, resumable: bool) -> EventStreamResponse:
    source.result.resumable = resumable
    return EventStreamResponse(source.result)


async def test_a_resumable_stream_ends_in_order_when_the_process_does() -> None:
    client, source = Client(), Source(then="hold")
    response = held(source, resumable=True)
    task = asyncio.create_task(client.get(response))
    await client.until(lambda c: c.body == b"".join(FRAMES))
    response.leave()
    await task
    assert client.complete
    assert client.body == b"".join(FRAMES), "nothing that looks like the end of a turn"
    assert source.cleaned_up.is_set()


async def test_another_stream_is_left_to_the_http_server_which_hears_of_no_fault() -> None:
    client, source = Client(), Source(then="hold")
    response = held(source, resumable=False)
    task = asyncio.create_task(response(client.scope, client.receive, client.send))
    await client.until(lambda c: c.body == b"".join(FRAMES))
    response.leave()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await task
    assert not client.complete
    assert source.cleaned_up.is_set()


async def test_a_cancelled_request_waits_for_the_clean_up() -> None:
    client, source = Client(), Source(then="hold")
    source.slow_clean_up = asyncio.Event()
    response = EventStreamResponse(source.result)
    task = asyncio.create_task(response(client.scope, client.receive, client.send))
    await client.until(lambda c: c.body == b"".join(FRAMES))
    task.cancel()
    await asyncio.wait_for(source.closed.wait(), scaled(5))
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    assert not source.cleaned_up.is_set()
    source.slow_clean_up.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.cleaned_up.is_set()


async def started(
    server: SampleServer, *, resumable: bool = False
) -> tuple[Client, asyncio.Task[None], StreamingResult]:
    """Returns a client that has read the beginning of an answer, and the task that sends it."""
    request = {**message("hold"), "metadata": {"resumable": resumable}}
    result = await server.process(json.dumps(request), {"user_id": "ada"})
    assert isinstance(result, StreamingResult)
    client = Client()
    task = asyncio.create_task(EventStreamResponse(result)(client.scope, client.receive, client.send))
    await client.until(lambda c: b'"hold"}' in c.body)
    return client, task, result


async def stored(store: MemoryStore[Any], result: StreamingResult) -> list[str]:
    page = await store.load_thread_items(result.thread_id, None, 10, "asc", {"user_id": "ada"})
    return [item.type for item in page.data]


def last_event(client: Client) -> dict[str, Any]:
    return json.loads(client.body.rstrip().rpartition(b"data: ")[2])


async def test_an_answer_that_the_http_server_cuts_off_is_interrupted_and_its_client_told() -> None:
    store: MemoryStore[Any] = MemoryStore()
    client, task, result = await started(SampleServer(store))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.complete
    assert (last_event(client)["type"], last_event(client)["reason"]) == ("error", "interrupted")
    assert await stored(store, result) == ["user_message", "assistant_message"], "nobody stopped it"


async def test_an_answer_that_is_cut_off_since_its_client_left_was_stopped() -> None:
    store: MemoryStore[Any] = MemoryStore()
    client, task, result = await started(SampleServer(store))
    client.gone.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(store, result) == ["user_message", "assistant_message", "sdk_hidden_context"]


@pytest.mark.parametrize("resumable", [False, True])
async def test_an_answer_that_outlives_its_reader_goes_on_when_the_stream_is_cut_off(
    resumable: bool,
) -> None:
    store: MemoryStore[Any] = MemoryStore()
    server = SampleServer(store, on_disconnect="continue")
    client, task, result = await started(server, resumable=resumable)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.complete
    last = last_event(client)
    if resumable:
        assert last["update"]["delta"] == "hold", "it comes back for the rest"
    else:
        assert (last["type"], last["reason"]) == ("error", "interrupted")
    assert await stored(store, result) == ["user_message"], "its turn runs"
    await server.shutdown()
    assert await stored(store, result) == ["user_message", "assistant_message"]


async def test_silence_is_filled_with_comments() -> None:
    client, source = Client(), Source(FRAMES[:1], then="hold")
    task = asyncio.create_task(client.get(EventStreamResponse(source.result, keep_alive=0.01)))
    await client.until(lambda c: c.body.count(KEEP_ALIVE) >= 3)
    client.gone.set()
    await task
    assert client.body.startswith(FRAMES[0] + KEEP_ALIVE)


async def test_a_stream_that_is_never_silent_gets_no_comments() -> None:
    async def busy() -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        end = clock() + 0.3
        for number in itertools.count():
            if clock() > end:
                return
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0)

    client = Client()
    await client.get(EventStreamResponse(StreamingResult(busy()), keep_alive=0.2))
    assert KEEP_ALIVE not in client.body
    assert client.complete


async def test_a_comment_waits_for_nothing_that_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    client, source = Client(), Source(then="hold")
    interval, looks, looked_often = 0.001, itertools.count(1), asyncio.Event()
    sleep = asyncio.sleep

    async def counted(delay: float) -> None:
        # Only who found the channel taken sleeps for a whole interval.
        if delay == interval and blocked.is_set() and next(looks) == 3:
            looked_often.set()
        await sleep(delay)

    monkeypatch.setattr(asyncio, "sleep", counted)
    blocked, release = asyncio.Event(), asyncio.Event()
    entered: list[bytes] = []

    async def slow(message: Any) -> None:
        if message["type"] == "http.response.body":
            entered.append(message["body"])
            blocked.set()
            await release.wait()
        await client.send(message)

    response = EventStreamResponse(source.result, keep_alive=interval)
    task = asyncio.create_task(response(client.scope, client.receive, slow))
    await asyncio.wait_for(blocked.wait(), scaled(5))
    await asyncio.wait_for(looked_often.wait(), scaled(5))
    assert entered == FRAMES[:1], "one message at a time"
    release.set()
    await client.until(lambda c: b"".join(FRAMES) in c.body.replace(KEEP_ALIVE, b""))
    client.gone.set()
    await asyncio.wait_for(task, scaled(5))


async def test_a_client_found_gone_by_a_comment_ends_the_stream() -> None:
    client, source = Client(broken_after=4), Source(then="hold")
    await client.get(EventStreamResponse(source.result, keep_alive=0.01))
    assert source.cleaned_up.is_set()


async def test_what_still_escapes_becomes_an_error_event(caplog: pytest.LogCaptureFixture) -> None:
    client, source = Client(), Source(FRAMES[:1], then=ValueError("secret detail"))
    await client.get(EventStreamResponse(source.result))
    assert client.body == FRAMES[0] + b'data: {"type":"error","code":"stream.error","allow_retry":true}\n\n'
    assert client.complete
    assert "secret detail" in caplog.text


async def test_a_handler_that_was_cancelled_ends_its_stream() -> None:
    client, source = Client(), Source(FRAMES[:1], then=asyncio.CancelledError())
    await client.get(EventStreamResponse(source.result))
    assert client.body == FRAMES[0]
    assert client.complete


async def test_a_client_that_cannot_be_watched_is_served() -> None:
    client, source = Client(), Source()

    async def receive() -> dict[str, Any]:
        raise RuntimeError("called twice")

    await asyncio.wait_for(EventStreamResponse(source.result)(client.scope, receive, client.send), scaled(5))
    assert client.body == b"".join(FRAMES)
    assert client.complete


async def test_background_work_runs_after_the_stream() -> None:
    client, source = Client(), Source()
    states: list[bool] = []

    async def work() -> None:
        states.append(client.complete)

    await client.get(EventStreamResponse(source.result, background=BackgroundTask(work)))
    assert states == [True]


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    client, source = Client(), Source(then="hold")
    task = asyncio.create_task(client.get(EventStreamResponse(source.result)))
    await client.until(lambda c: c.body == b"".join(FRAMES))
    client.gone.set()
    await task
    assert asyncio.all_tasks() == before
