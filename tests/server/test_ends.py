"""Whatever way a turn ends: partial text is kept, what is empty goes, the client is told, nothing runs on."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from chatkit.errors import BaseStreamError, CustomStreamError, ErrorCode, ShuttingDownError, StreamError
from chatkit.server import Interrupted, StreamingResult
from chatkit.server.turns import cancellation as cancellation_module
from chatkit.server.turns import results as results_module
from chatkit.store import MemoryStore
from chatkit.types import (
    ClientToolCallItem,
    CustomTask,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemReplacedEvent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import (
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    events,
    kinds,
    message,
    parse,
    progress,
    read,
    silent,
    texts,
)

pytestmark = pytest.mark.filterwarnings(
    "error", "ignore:Classes of single components are deprecated:DeprecationWarning"
)

WORKFLOW = Workflow(
    type="custom",
    tasks=[
        CustomTask(title="a", status_indicator="loading"),
        CustomTask(title="b", status_indicator="complete"),
    ],
)
IMAGE = GeneratedImage(id="g", url="https://i.example/1.png")
PENDING = 10
"""Events of ``pending_everything`` that a client gets, before it waits."""


async def pending_everything(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    """Leaves one item of each kind pending."""
    yield done("Finished before", "msg_0")
    yield added(None, "msg_1")
    yield delta("Partial", "msg_1")
    yield delta(" text", "msg_1")
    yield added("  ", "msg_empty")
    yield ThreadItemAddedEvent(item=WidgetItem(id="wid", widget=Card(children=[Text(value="W")])))
    yield ThreadItemAddedEvent(item=GeneratedImageItem(id="img_empty"))
    yield ThreadItemAddedEvent(item=GeneratedImageItem(id="img", image=IMAGE))
    yield ThreadItemAddedEvent(item=WorkflowItem(id="wf", workflow=WORKFLOW))
    yield ThreadItemAddedEvent(item=HiddenContextItem(id="hid", content="secret"))
    yield ThreadItemAddedEvent(item=ClientToolCallItem(id="tc", call_id="c", name="n", arguments={}))


KEPT = ["msg_0", "msg_1", "wid", "img", "wf", "hid"]
GONE = {"msg_empty", "img_empty", "tc"}


class Gate:
    """Lets a test meet a handler at a point."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.open.wait()


def then(end: Any) -> Any:
    """Returns a handler that leaves everything pending and goes on with ``end``."""

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async for event in pending_everything(thread, message, context):
            yield event
        await end()

    return script


async def until_waiting(result: StreamingResult, gate: Gate) -> list[Any]:
    """Reads what comes before the handler waits."""
    found: list[Any] = []
    async with asyncio.timeout(LIMIT):
        while not gate.reached.is_set() or len(found) < 3 + PENDING + 1:
            found.append(parse(await anext(result.json_events)))
            if len(found) == 3 + PENDING + 1:
                await gate.reached.wait()
    return found


async def assert_kept(server: ScriptedServer, thread_id: str, *, note: bool) -> None:
    items = (await server.items(thread_id))[1:]
    expected = [*KEPT, "sdk_hidden_context"] if note else KEPT
    assert [item.type if item.type == "sdk_hidden_context" else item.id for item in items] == expected
    by_id = {item.id: item for item in items}
    assert by_id["msg_1"].content[0].text == "Partial text"
    assert by_id["img"].image == IMAGE
    tasks = by_id["wf"].workflow.tasks
    assert [task.status_indicator for task in tasks] == ["none", "complete"]
    page = await server.ask("items.list", thread_id=thread_id, order="asc", limit=100)
    assert [item["id"] for item in page["data"]][1:] == [name for name in KEPT if name != "hid"]


def assert_closed(closing: list[Any]) -> None:
    """The client is told of each visible pending item, and of nothing hidden."""
    ended = {event["item"]["id"]: event["item"] for event in closing if event["type"] == "thread.item.done"}
    assert list(ended) == ["msg_1", "wid", "img", "wf"]
    assert ended["msg_1"]["content"][0]["text"] == "Partial text"
    assert {event["item_id"] for event in closing if event["type"] == "thread.item.removed"} == GONE
    assert "secret" not in str(closing)


async def fail() -> None:
    raise RuntimeError("secret internals")


async def test_exception(store: Any) -> None:
    server = ScriptedServer(then(fail), store)
    result = await server.create()
    found = await events(result)
    closing = found[3 + PENDING :]
    assert closing[-1] == {"type": "error", "code": "stream.error", "allow_retry": True}
    assert_closed(closing)
    assert "internals" not in str(found)
    await assert_kept(server, result.thread_id, note=False)


class Careless(BaseStreamError):
    def __init__(self) -> None:
        Exception.__init__(self, "Told anyway")


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (StreamError(ErrorCode.STREAM_ERROR), {"code": "stream.error", "allow_retry": True}),
        (
            StreamError(ErrorCode.STREAM_ERROR, allow_retry=False),
            {"code": "stream.error", "allow_retry": False},
        ),
        (
            CustomStreamError("Sorry", allow_retry=True),
            {"code": "custom", "message": "Sorry", "allow_retry": True},
        ),
        (Careless(), {"code": "custom", "message": "Told anyway", "allow_retry": False}),
        (ValueError("secret"), {"code": "stream.error", "allow_retry": True}),
        (ExceptionGroup("secret", [ValueError("x")]), {"code": "stream.error", "allow_retry": True}),
    ],
)
async def test_errors_become_events(error: Exception, event: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield progress()
        raise error

    assert (await events(await ScriptedServer(script).create()))[-1] == {"type": "error"} | event


async def test_the_handler_ends_without_closing_its_items(store: Any) -> None:
    server = ScriptedServer(pending_everything, store)
    result = await server.create()
    assert_closed((await events(result))[3 + PENDING :])
    await assert_kept(server, result.thread_id, note=False)


async def test_the_handler_raises_cancelled_error_itself(store: Any) -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    server = ScriptedServer(then(cancel), store)
    result = await server.create()
    found: list[Any] = []

    async def read_all() -> None:
        async for frame in result:
            found.append(parse(frame))  # noqa: PERF401 -- what came before the error counts

    with pytest.raises(asyncio.CancelledError):
        await read_all()
    assert_closed(found[3 + PENDING :])
    await assert_kept(server, result.thread_id, note=True)


async def end_by_aclose(result: StreamingResult) -> None:
    await result.aclose()
    await result.aclose()


async def end_by_generator_aclose(result: StreamingResult) -> None:
    await result.json_events.aclose()


async def end_by_cancel(result: StreamingResult) -> None:
    reader = asyncio.create_task(drain(result.json_events))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


@pytest.mark.parametrize("end", [end_by_aclose, end_by_generator_aclose, end_by_cancel])
async def test_the_reader_leaves(end: Any, store: Any) -> None:
    gate = Gate()
    server = ScriptedServer(then(gate.wait), store)
    result = await server.create()
    await until_waiting(result, gate)
    async with asyncio.timeout(LIMIT):
        await end(result)
    await assert_kept(server, result.thread_id, note=True)


async def test_the_reader_is_forgotten(store: Any) -> None:
    gate = Gate()
    server = ScriptedServer(then(gate.wait), store)
    result = await server.create()
    await until_waiting(result, gate)
    thread_id = result.thread_id
    turn = next(iter(server._chatkit_turns()._running.values()))
    del result
    gc.collect()
    async with asyncio.timeout(LIMIT):
        await turn.wait_finished()
    del turn
    await assert_kept(server, thread_id, note=True)


@pytest.mark.parametrize("policy", ["stop", "continue"])
async def test_a_stream_that_nobody_reads_counts_as_disconnected(
    policy: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_UNREAD_SECONDS", 0.0)

    async def long(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(100):
            yield done("x" * 10_000, f"msg_{number}")

    server = ScriptedServer(long, store, on_disconnect=policy)
    result = await server.create()
    turn = server._chatkit_turns()._running.get(result.turn_id)
    if turn is not None:
        async with asyncio.timeout(LIMIT):
            await turn.wait_finished()
    stored = texts(await server.items(result.thread_id))
    assert len(stored) == 100 if policy == "continue" else len(stored) < 100


@pytest.mark.parametrize("stands_still", [False, True])
async def test_the_time_to_begin_reading_counts_from_when_process_returns(
    stands_still: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_UNREAD_SECONDS", 0.05)
    monkeypatch.setattr(results_module, "_LATE_SECONDS", 0.02)

    class SlowStore(MemoryStore[Any]):
        async def add_thread_item(self, *args: Any) -> None:
            await super().add_thread_item(*args)
            # The same as a database that restarts: as long as a stream may be unread, and longer.
            slow = asyncio.Event()
            asyncio.get_running_loop().call_later(0.15, slow.set)
            await slow.wait()

    async def two(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One")
        await asyncio.sleep(0)
        if stands_still:
            # Another handler blocks the loop between process() and the first read.
            blocked_until = time.monotonic() + 0.15
            while time.monotonic() < blocked_until:
                pass
        for _ in range(9):
            await asyncio.sleep(0)
        yield delta(" two")

    server = ScriptedServer(two, SlowStore())
    result = await server.create()
    if stands_still:
        for _ in range(9):
            await asyncio.sleep(0)
    found = await events(result)
    assert kinds(found)[-1] == "thread.item.done"
    assert texts(await server.items(result.thread_id)) == ["One two"]


async def test_a_handler_that_swallows_the_cancellation(store: Any) -> None:
    gate = Gate()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        with suppress(asyncio.CancelledError):
            await gate.wait()
        yield delta(" and last words")
        yield delta(" never")

    server = ScriptedServer(script, store)
    result = await server.create()
    await read(result.json_events, 4)
    await gate.reached.wait()
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert texts(await server.items(result.thread_id)) == ["Partial and last words"]


async def test_a_handler_that_waits_again_after_the_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", 0.01)
    cancelled = 0

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal cancelled
        yield added("Partial")
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    server = ScriptedServer(script)
    result = await server.create()
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert cancelled == 2
    assert texts(await server.items(result.thread_id)) == ["Partial"]


def wrapped(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Makes a task as instrumentation does: of a coroutine that awaits the given one."""

    async def wrapper() -> Any:
        return await coroutine

    task = asyncio.Task(wrapper(), loop=loop, **options)
    # One that is cancelled before it begins has awaited nothing.
    task.add_done_callback(lambda _: coroutine.close())
    return task


@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("ignored", [asyncio.CancelledError, BaseException])
@pytest.mark.parametrize("end", ["aclose", "shutdown", "stop and shutdown"])
async def test_a_handler_that_ignores_every_cancellation(
    ignored: type[BaseException], end: str, store: Any, monkeypatch: pytest.MonkeyPatch, instrumented: bool
) -> None:
    if instrumented:
        asyncio.get_running_loop().set_task_factory(wrapped)
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", LIMIT if "shutdown" in end else 0.01)
    monkeypatch.setattr(cancellation_module, "_SHUTDOWN_SECONDS", 0.01)
    freed = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        while not freed.is_set():
            with suppress(ignored):
                await freed.wait()
        yield done("Never")

    server = ScriptedServer(script, store)
    result = await server.create()
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT / 2):
        if end == "aclose":
            await result.aclose()
        else:
            if end != "shutdown":
                next(iter(server._chatkit_turns()._running.values())).request_stop()
            await server.shutdown()
    assert texts(await server.items(result.thread_id)) == ["Partial"]
    assert not [
        task for task in asyncio.all_tasks() if task.get_name().endswith("handler") and not task.done()
    ]
    freed.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert texts(await server.items(result.thread_id)) == ["Partial"]


async def test_a_handler_that_was_abandoned_is_not_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", 0.01)
    started, freed, resumed = asyncio.Event(), asyncio.Event(), []

    async def ignoring() -> int:
        started.set()
        while not freed.is_set():
            with suppress(BaseException):
                await freed.wait()
        return 5

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        work = asyncio.ensure_future(ignoring())
        while not resumed:
            with suppress(asyncio.CancelledError):
                resumed.append(await work)
        yield done("Never")

    server = ScriptedServer(script)
    result = await server.create()
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await started.wait()
        await result.aclose()
    freed.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert resumed == []
    assert texts(await server.items(result.thread_id)) == ["Partial"]


async def test_a_thread_that_cannot_be_copied_leaves_no_turn_that_seems_to_run(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer(silent, store, concurrency="reject")
    thread_id = await server.new_thread()
    options = server.get_stream_options

    def bad_options(thread: Any, context: Any) -> Any:
        thread.metadata["lock"] = threading.Lock()
        return options(thread, context)

    with monkeypatch.context() as patch:
        patch.setattr(server, "get_stream_options", bad_options)
        with pytest.raises(TypeError):
            await server.say(thread_id)
    await events(await server.say(thread_id))


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseExceptionGroup("g", [SystemExit()])]
)
@pytest.mark.parametrize("early", [False, True])
async def test_a_handler_that_raises_what_ends_a_process(
    error: BaseException, early: bool, store: Any
) -> None:
    def at_once(thread: Any, message: Any, context: Any) -> Any:
        raise error

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        raise error

    server = ScriptedServer(at_once if early else script, store)
    result = await server.create()
    assert (await events(result))[-1] == {"type": "error", "code": "stream.error", "allow_retry": True}
    assert texts(await server.items(result.thread_id)) == ([] if early else ["Partial"])


async def test_a_handler_that_hangs_in_its_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", 0.01)

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield added("Partial")
            while True:
                yield progress()
        finally:
            await asyncio.Event().wait()

    server = ScriptedServer(script)
    result = await server.create()
    await read(result.json_events, 5)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert texts(await server.items(result.thread_id)) == ["Partial"]


async def test_stopping_twice_does_not_cut_the_handlers_clean_up() -> None:
    gate = Gate()
    cleaning = Gate()
    cleaned: list[bool] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield added("Partial")
            await gate.wait()
        finally:
            await cleaning.wait()
            cleaned.append(True)

    server = ScriptedServer(script)
    result = await server.create(metadata={"resumable": True})
    await read(result.json_events, 4)
    first = asyncio.create_task(server.ask("turns.stop", thread_id=result.thread_id))
    await cleaning.reached.wait()
    second = asyncio.create_task(server.ask("turns.stop", thread_id=result.thread_id, turn_id=result.turn_id))
    await asyncio.sleep(0)
    cleaning.open.set()
    assert await first == await second == {"stopped": [result.turn_id]}
    assert cleaned == [True]
    assert await server.ask("turns.stop", thread_id=result.thread_id) == {"stopped": []}
    closing = await drain(result)
    assert b'"status":"stopped"' in closing[-1]


async def test_stop_names_another_turn() -> None:
    gate = Gate()
    server = ScriptedServer(then(gate.wait))
    result = await server.create(metadata={"resumable": True})
    ask = {"thread_id": result.thread_id, "turn_id": "turn_other"}
    assert await server.ask("turns.stop", **ask) == {"stopped": []}
    gate.open.set()
    assert b'"status":"completed"' in (await drain(result))[-1]


async def test_stop_before_the_first_event(store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield progress("never")

    server = ScriptedServer(script, store)
    result = await server.create(metadata={"resumable": True})
    stopped = await server.ask("turns.stop", thread_id=result.thread_id)
    assert stopped == {"stopped": [result.turn_id]}
    assert kinds(decode(await drain(result))) == ["thread.created", "thread.item.done", "stream_options"]


async def test_stop_during_a_store_write(store: Any) -> None:
    gate = Gate()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial", "msg_2")
        yield done("Whole", "msg_1")
        yield done("never", "msg_3")

    server = ScriptedServer(script, store)
    add = store.add_thread_item

    async def slow(thread_id: str, item: Any, context: Any) -> None:
        if item.id == "msg_1":
            await gate.wait()
        await add(thread_id, item, context)

    store.add_thread_item = slow
    result = await server.create()
    await read(result.json_events, 4)
    leaving = asyncio.create_task(result.aclose())
    await gate.reached.wait()
    await asyncio.sleep(0)
    gate.open.set()
    async with asyncio.timeout(LIMIT):
        await leaving
    assert sorted(texts(await server.items(result.thread_id))) == ["Partial", "Whole"]


async def test_stop_while_the_handler_never_waits() -> None:
    async def endless(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        while True:
            yield progress()

    server = ScriptedServer(endless)
    result = await server.create()
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert texts(await server.items(result.thread_id)) == ["Partial"]


async def test_shutdown_tells_readers_to_try_again(store: Any) -> None:
    gate = Gate()
    errors: list[Any] = []

    class Server(ScriptedServer):
        async def handle_stream_error(self, thread: Any, pending: Any, error: Any, context: Any) -> None:
            errors.append(type(error))
            await super().handle_stream_error(thread, pending, error, context)

    server = Server(then(gate.wait), store)
    result = await server.create(metadata={"resumable": True})
    await gate.reached.wait()
    async with asyncio.timeout(LIMIT):
        await server.shutdown()
    frames = await drain(result)
    assert b'"status":"interrupted"' in frames[-1]
    closing = decode(frames)[3 + PENDING :]
    assert closing[-1] == {
        "type": "error",
        "code": "stream.error",
        "allow_retry": True,
        "reason": "interrupted",
    }
    assert_closed(closing)
    assert errors == [Interrupted]
    await assert_kept(server, result.thread_id, note=False)


async def test_a_drained_server_lets_turns_end_and_takes_no_new_ones(store: Any) -> None:
    gate = Gate()

    async def finish(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Par")
        await gate.wait()
        yield delta("tial")
        yield done("Partial")

    server = ScriptedServer(finish, store)
    result = await server.create(metadata={"resumable": True})
    await gate.reached.wait()
    draining = asyncio.create_task(server.drain(LIMIT))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDownError):
        await server.say(result.thread_id)
    assert not draining.done()
    gate.open.set()
    async with asyncio.timeout(LIMIT):
        await draining
    assert b'"status":"completed"' in (await drain(result))[-1]
    assert texts(await server.items(result.thread_id)) == ["Partial"]


async def test_a_turn_that_does_not_end_while_its_server_is_drained_is_interrupted(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    server = ScriptedServer(then(gate.wait), store)
    result = await server.create(metadata={"resumable": True})
    await gate.reached.wait()
    async with asyncio.timeout(LIMIT):
        await server.drain(0.01)
    assert b'"status":"interrupted"' in (await drain(result))[-1]
    assert "1 turns did not end within 0.01 s" in caplog.text
    await assert_kept(server, result.thread_id, note=False)


# Hooks that an application overrides are the only savers.


class Deciding(ScriptedServer):
    """Keeps the widget alone, under another text."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.offered: list[list[str]] = []

    async def keep(self, thread: Any, pending: list[Any], context: Any) -> None:
        self.offered.append([item.id for item in pending])
        for item in pending:
            if item.type == "widget":
                changed = item.model_copy(update={"copy_text": "kept"})
                await self._chatkit_store().add_thread_item(thread.id, changed, context)

    async def handle_stream_cancelled(self, thread: Any, pending_items: Any, context: Any) -> None:
        await self.keep(thread, pending_items, context)

    async def handle_stream_error(self, thread: Any, pending_items: Any, error: Any, context: Any) -> None:
        await self.keep(thread, pending_items, context)


async def test_an_overridden_error_hook_is_the_only_saver(store: Any) -> None:
    server = Deciding(then(fail), store)
    result = await server.create()
    closing = (await events(result))[3 + PENDING :]
    assert server.offered == [["msg_1", "wid", "img", "wf", "hid"]]
    assert [item.id for item in (await server.items(result.thread_id))[1:]] == ["msg_0", "wid"]
    ended = [event["item"] for event in closing if event["type"] == "thread.item.done"]
    assert [(item["id"], item["copy_text"]) for item in ended] == [("wid", "kept")]
    removed = {event["item_id"] for event in closing if event["type"] == "thread.item.removed"}
    assert removed == GONE | {"msg_1", "img", "wf"}


async def test_an_overridden_cancel_hook_is_the_only_saver(store: Any) -> None:
    gate = Gate()
    server = Deciding(then(gate.wait), store)
    result = await server.create()
    await until_waiting(result, gate)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert server.offered == [["msg_1", "wid", "img", "wf", "hid"]]
    assert [item.id for item in (await server.items(result.thread_id))[1:]] == ["msg_0", "wid"]


async def test_a_failing_hook_ends_the_turn_all_the_same() -> None:
    class Server(ScriptedServer):
        async def handle_stream_error(self, *args: Any) -> None:
            raise ValueError("secret internals")

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        thread.title = "Changed"
        raise RuntimeError("secret internals")

    server = Server(script)
    result = await server.create()
    found = await events(result)
    assert {"type": "error", "code": "stream.error", "allow_retry": True} in found
    assert "internals" not in str(found)
    assert (await server.ask("threads.get_by_id", thread_id=result.thread_id))["title"] == "Changed"


async def test_edits_of_the_thread_survive_every_end() -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield progress()
        thread.metadata["seen"] = True
        raise RuntimeError

    server = ScriptedServer(script)
    result = await server.create()
    assert kinds(await events(result))[-2:] == ["thread.updated", "error"]
    stored = await server._chatkit_store().load_thread(result.thread_id, {"user_id": "ada"})
    assert stored.metadata == {"seen": True}


async def test_what_was_stored_by_a_replacement_is_not_announced_as_removed() -> None:
    async def script(thread: Any, item: Any, context: Any) -> AsyncIterator[Any]:
        yield added(None, "msg_1")
        yield ThreadItemReplacedEvent(item=message(None, "msg_1"))

    server = ScriptedServer(script)
    result = await server.create()
    ended = (await events(result))[-1]
    stored = [item.id for item in await server.items(result.thread_id)][1:]
    assert (ended["type"], stored) == ("thread.item.done", ["msg_1"])


async def test_a_continuing_turn_finishes_without_its_reader(store: Any) -> None:
    gate = Gate()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One")
        await gate.wait()
        for number in range(60):
            yield delta("x" * 10_000)
            yield progress(str(number))
        yield done("All of it")

    server = ScriptedServer(script, store, on_disconnect="continue")
    result = await server.create()
    turn = server._chatkit_turns()._running[result.turn_id]
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
        gate.open.set()
        await turn.wait_finished()
    assert texts(await server.items(result.thread_id)) == ["All of it"]


async def test_a_turn_waits_for_a_reader_that_lags() -> None:
    made = 0

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal made
        yield added("One")
        for _ in range(10_000):
            made += 1
            yield delta("x" * 1024)

    server = ScriptedServer(script)
    result = await server.create()
    await read(result.json_events, 4)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert 256 <= made <= 256 + 2 * 64
    kept = server._chatkit_turns().log._local._turns[result.turn_id]  # type: ignore[attr-defined] # the log in memory
    assert kept.size < 400 * 1024
    await drain(result)
    assert made == 10_000


async def test_a_handler_that_never_waits_lets_others_run() -> None:
    made = 0
    seen: list[int] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield progress()

    async def watch() -> None:
        while made < 1000:
            seen.append(made)
            await asyncio.sleep(0)

    server = ScriptedServer(script)
    watching = asyncio.create_task(watch())
    await drain(await server.create())
    await watching
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= 64
    assert seen[-1] >= 1000 - 64


async def test_nothing_to_say() -> None:
    assert kinds(await events(await ScriptedServer(silent).create())) == [
        "thread.created",
        "thread.item.done",
        "stream_options",
    ]
