"""An end hook of the application that raises, or does not end: the turn ends, and the page shows what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.server.turns import cancellation as cancellation_module
from chatkit.server.turns import ending as ending_module
from chatkit.store import MemoryStore
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    kinds,
    read,
    texts,
)

FAILED = {"type": "error", "code": "stream.error", "allow_retry": True}


async def raise_it(server: Hooked) -> None:
    raise ValueError("secret")


async def exit_it(server: Hooked) -> None:
    raise SystemExit(3)


async def cancel_it(server: Hooked) -> None:
    raise asyncio.CancelledError


async def hang(server: Hooked) -> None:
    await asyncio.Event().wait()


async def ignore_cancellation(server: Hooked) -> None:
    while not server.freed.is_set():
        with suppress(asyncio.CancelledError):
            await server.freed.wait()
    await server.store.add_thread_item(server.thread_id, server.pending[0], ADA)


class Hooked(ScriptedServer):
    """Its end hooks do what the test says."""

    def __init__(self, hook: Any, store: Any = None) -> None:
        super().__init__(pending, store)
        self.hook = hook
        self.freed = asyncio.Event()
        self.failing = asyncio.Event()
        self.pending: list[Any] = []
        self.thread_id = ""

    async def handle_stream_cancelled(self, thread: Any, pending_items: list[Any], context: Any) -> None:
        self.pending, self.thread_id = pending_items, thread.id
        await self.hook(self)

    async def handle_stream_error(
        self, thread: Any, pending_items: list[Any], error: Exception, context: Any
    ) -> None:
        await self.handle_stream_cancelled(thread, pending_items, context)


async def pending(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("Before", "msg_0")
    yield added("Partial", "msg_1")
    yield delta(" text", "msg_1")
    await context["server"].failing.wait()
    raise RuntimeError


async def ended(server: ScriptedServer, how: str) -> list[Any]:
    """Ends a turn with a pending item by a stop or by a failure; returns what is told from then on."""
    result = await server.create("Hi", {**ADA, "server": server}, {"resumable": True})
    await read(result.json_events, 6)
    async with asyncio.timeout(LIMIT):
        if how == "stop":
            await server.send("turns.stop", thread_id=result.thread_id)
        else:
            server.failing.set()  # type: ignore[attr-defined]
        frames = await drain(result)
    assert b"turn.end" in frames[-1]
    assert server._chatkit_turns()._running == {}
    server.thread_id = result.thread_id  # type: ignore[attr-defined]
    return decode(frames)


@pytest.mark.parametrize("how", ["stop", "failure"])
@pytest.mark.parametrize("hook", [raise_it, exit_it, cancel_it, hang, ignore_cancellation])
async def test_the_item_is_taken_back(
    hook: Any, how: str, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", 0.02)
    server = Hooked(hook, store)
    told = await ended(server, how)
    assert told == [{"type": "thread.item.removed", "item_id": "msg_1"}, FAILED]
    assert texts(await server.items(server.thread_id)) == ["Before"]
    # What is left of the hook writes nothing.
    server.freed.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert texts(await server.items(server.thread_id)) == ["Before"]


async def test_a_hook_that_hangs_gets_less_time_while_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation_module, "_CLEAN_UP_SECONDS", 2 * LIMIT)
    monkeypatch.setattr(cancellation_module, "_SHUTDOWN_SECONDS", 0.01)
    reached = asyncio.Event()

    async def hook(server: Any) -> None:
        reached.set()
        await hang(server)

    server = Hooked(hook)
    result = await server.create("Hi", {**ADA, "server": server}, {"resumable": True})
    await read(result.json_events, 6)
    stopping = asyncio.create_task(server.send("turns.stop", thread_id=result.thread_id))
    await reached.wait()
    async with asyncio.timeout(LIMIT):
        await server.shutdown()
        await stopping
    assert kinds(decode(await drain(result))) == ["thread.item.removed", "error"]


@pytest.mark.parametrize("how", ["stop", "failure"])
async def test_what_the_hook_had_stored_before_it_failed_stays(how: str, store: Any) -> None:
    async def store_and_raise(server: Hooked) -> None:
        for item in server.pending:
            await server.store.add_thread_item(server.thread_id, item, ADA)
        raise ValueError

    server = Hooked(store_and_raise, store)
    told = await ended(server, how)
    assert kinds(told) == ["thread.item.done", "error"]
    assert texts(await server.items(server.thread_id)) == ["Before", "Partial text"]


class FullStore(MemoryStore[Any]):
    """Takes nothing more from a moment on: its disk is full. Or it does not even answer."""

    full = False
    answers = True
    readable = True

    async def _refuse(self) -> None:
        if not self.answers:
            await asyncio.Event().wait()
        raise StoreUnavailableError

    async def put_thread_item(self, *args: Any) -> None:
        if self.full:
            await self._refuse()
        await super().put_thread_item(*args)

    async def load_item(self, *args: Any) -> Any:
        if self.full and not self.readable:
            await self._refuse()
        return await super().load_item(*args)


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("how", ["stop", "failure"])
async def test_a_store_that_is_full_at_the_end(
    how: str, answers: bool, readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_module, "_STORE_SECONDS", 0.05)
    store = FullStore()

    class Failing(ScriptedServer):
        def __init__(self) -> None:
            super().__init__(pending, store)
            self.failing = asyncio.Event()

    server = Failing()
    store.answers, store.readable = answers, readable
    result = await server.create("Hi", {**ADA, "server": server}, {"resumable": True})
    await read(result.json_events, 6)
    store.full = True
    async with asyncio.timeout(LIMIT):
        if how == "stop":
            await server.send("turns.stop", thread_id=result.thread_id)
        else:
            server.failing.set()
        told = decode(await drain(result))
    assert told == [{"type": "thread.item.removed", "item_id": "msg_1"}, FAILED]
    assert texts(await server.items(result.thread_id)) == ["Before"]


async def test_a_recovery_context_that_cannot_be_made_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from chatkit.server.turns.recovery import Recovery
    from chatkit.streams import MemoryStreamLog
    from chatkit.streams.base import InterruptedTurn, TurnInfo

    class Interrupting(MemoryStreamLog):
        async def claim_interrupted(self) -> list[InterruptedTurn]:
            return [InterruptedTurn(TurnInfo(id=name, thread_id=name), []) for name in ("bad", "good")]

    store = MemoryStore[Any](owner=lambda context: "local")

    def context_of(owner: Any, thread_id: str) -> Any:
        if thread_id == "bad":
            raise ValueError
        return ADA

    async def no_rerun(turn: Any) -> bool:
        return False

    assert await Recovery(Interrupting()).recover(store, context_of, no_rerun) == 1
    assert "recovery_context() failed; turn bad" in caplog.text
