"""Background work, such as making a title: it neither delays nor harms an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.sse import SSEDecoder
from tests.server.support import ADA, LIMIT, ScriptedServer, done, drain, events


class TitleServer(ScriptedServer):
    """Answers, and makes a title beside it.

    Attributes:
        title: Makes it.
        seconds: How long that may take.
        answer_waits: What the answer waits for before its end.
    """

    seconds = LIMIT

    def __init__(self, title: Any, *, answer_waits: asyncio.Event | None = None) -> None:
        super().__init__(self.answer)
        self.title = title
        self.answer_waits = answer_waits
        self.work: asyncio.Task[None] | None = None

    async def answer(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        self.work = self.set_title_beside(thread, self.title(), context, seconds=self.seconds)
        yield done("Hello")
        if self.answer_waits is not None:
            await asyncio.wait_for(self.answer_waits.wait(), LIMIT)

    async def stored_title(self, thread_id: str) -> str | None:
        return (await self.store.load_thread(thread_id, ADA)).title


def kinds(shown: list[Any]) -> list[str]:
    return [event["type"] for event in shown]


async def at_once() -> str:
    return "  A \n title "


async def test_a_title_arrives_while_the_answer_waits() -> None:
    server = TitleServer(at_once, answer_waits=asyncio.Event())
    result = await server.create()
    shown = []
    async with asyncio.timeout(LIMIT):
        async for frame in result:
            shown.append(frame)
            if b"A title" in frame:
                break
    assert server.answer_waits is not None
    server.answer_waits.set()
    await drain(result)
    assert shown[-1].startswith(b'data: {"type":"thread.updated"')
    assert await server.stored_title(result.thread_id) == "A title"


async def test_a_title_that_is_ready_after_the_turn_is_saved() -> None:
    go_on = asyncio.Event()

    async def late() -> str:
        await asyncio.wait_for(go_on.wait(), LIMIT)
        return "Late"

    server = TitleServer(late)
    result = await server.create()
    shown = await events(result)
    assert kinds(shown)[-1] == "thread.item.done"
    go_on.set()
    assert server.work is not None
    await asyncio.wait_for(server.work, LIMIT)
    assert await server.stored_title(result.thread_id) == "Late"


async def test_a_title_that_is_ready_while_the_turn_ends_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the turn has given its right to write back to the store, and its handler's work still has it."""
    go_on = asyncio.Event()

    async def late() -> str:
        await asyncio.wait_for(go_on.wait(), LIMIT)
        return "Late"

    server = TitleServer(late)
    finish = server.store.finish_turn  # pyright: ignore[reportAttributeAccessIssue] -- of MemoryStore

    async def finish_turn(*arguments: Any, **options: Any) -> None:
        await finish(*arguments, **options)
        go_on.set()
        assert server.work is not None
        await asyncio.wait({server.work}, timeout=LIMIT)

    monkeypatch.setattr(server.store, "finish_turn", finish_turn)
    result = await server.create()
    await drain(result)
    assert go_on.is_set()
    assert await server.stored_title(result.thread_id) == "Late"


RESUMABLE = {"resumable": True}


def frames_of(shown: list[bytes]) -> list[tuple[str, Any]]:
    """Returns the types of events and what they hold."""
    decoded = SSEDecoder().feed(b"".join(shown))
    return [(event.event or "", json.loads(event.data)) for event in decoded]


@pytest.mark.parametrize("batched", [False, True])
async def test_a_resumable_stream_goes_on_until_a_late_title_is_told(batched: bool) -> None:
    go_on = asyncio.Event()

    async def late() -> str:
        await asyncio.wait_for(go_on.wait(), LIMIT)
        return "Late"

    server = TitleServer(late)
    result = await server.create(metadata=RESUMABLE)
    stream = result.batches() if batched else aiter(result)
    shown: list[bytes] = []
    async with asyncio.timeout(LIMIT):
        while not shown or b"turn.end" not in shown[-1]:
            shown.append(await anext(stream))
        ((kind, end),) = frames_of(shown)[-1:]
        assert (kind, end["status"], end["awaits_title"]) == ("turn.end", "completed", True)
        # A reader that comes back, and a second one that leaves.
        resumed = await server.send("turns.resume", None, RESUMABLE, thread_id=result.thread_id)
        leaving = aiter(await server.send("turns.resume", None, RESUMABLE, thread_id=result.thread_id))
        while b"turn.end" not in await anext(leaving):
            pass
        await leaving.aclose()  # type: ignore[attr-defined]
        go_on.set()
        rest = [chunk async for chunk in stream]
        again = [chunk async for chunk in resumed]
    ((kind, told),) = frames_of(rest)
    assert (kind, told["type"], told["thread"]["title"]) == ("", "thread.updated", "Late")
    assert rest[0].startswith(b"data: "), "It has no id: the turn's last event stays the cursor."
    assert again[-1] == rest[0]


@pytest.mark.parametrize("title", ["fails", "is none", "is not made any more"])
async def test_a_title_that_does_not_come_ends_the_stream(title: str) -> None:
    go_on = asyncio.Event()

    async def late() -> str | None:
        await asyncio.wait_for(go_on.wait(), LIMIT)
        if title == "fails":
            raise RuntimeError("no model")
        return None

    server = TitleServer(late)
    stream = aiter(await server.create(metadata=RESUMABLE))
    async with asyncio.timeout(LIMIT):
        while b'"awaits_title":true' not in await anext(stream):
            pass
        if title == "is not made any more":
            await server.shutdown()
        else:
            go_on.set()
        assert [frame async for frame in stream] == []


async def test_a_title_that_was_told_is_not_awaited() -> None:
    server = TitleServer(at_once, answer_waits=asyncio.Event())
    result = await server.create(metadata=RESUMABLE)
    shown: list[bytes] = []
    async with asyncio.timeout(LIMIT):
        async for frame in result:
            shown.append(frame)
            if b"A title" in frame:
                assert server.answer_waits is not None
                server.answer_waits.set()
    assert frames_of(shown)[-1] == ("turn.end", {"turn_id": result.turn_id, "status": "completed"})


async def fails() -> str:
    raise RuntimeError("no model")


async def hangs() -> str:
    await asyncio.Event().wait()
    return "never"


@pytest.mark.parametrize("title", [fails, hangs])
async def test_what_goes_wrong_is_logged_and_harms_nothing(
    title: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = TitleServer(title)
    server.seconds = 0.01
    result = await server.create()
    shown = await events(result)
    assert kinds(shown)[-1] == "thread.item.done"
    assert server.work is not None
    await asyncio.wait_for(server.work, LIMIT)
    assert "The title of thread" in caplog.text
    assert await server.stored_title(result.thread_id) is None


async def nothing() -> None:
    return None


async def test_no_title_and_one_that_is_there_change_nothing() -> None:
    server = TitleServer(nothing)
    result = await server.create()
    await drain(result)
    assert await server.stored_title(result.thread_id) is None
    await server.ask("threads.update", thread_id=result.thread_id, title="Mine")
    server.title = at_once
    await drain(await server.say(result.thread_id))
    assert server.work is not None
    await asyncio.wait_for(server.work, LIMIT)
    assert await server.stored_title(result.thread_id) == "Mine"


async def test_the_thread_may_be_deleted_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()

    async def late() -> str:
        await asyncio.wait_for(go_on.wait(), LIMIT)
        return "Late"

    server = TitleServer(late)
    result = await server.create()
    await drain(result)
    await server.ask("threads.delete", thread_id=result.thread_id)
    go_on.set()
    assert server.work is not None
    with caplog.at_level(logging.WARNING):
        await asyncio.wait_for(server.work, LIMIT)
    assert not caplog.records


@pytest.mark.parametrize("end", ["shutdown", "close", "drain"])
async def test_work_ends_with_the_server(end: str) -> None:
    server = TitleServer(hangs)
    await drain(await server.create())
    assert server.work is not None
    async with asyncio.timeout(LIMIT):
        await (server.drain(0) if end == "drain" else getattr(server, end)())
    assert server.work.cancelled()


async def test_other_work_goes_on_beside_the_answer() -> None:
    noted: list[str] = []

    async def note(what: str) -> None:
        await asyncio.sleep(0)
        noted.append(what)

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        task = server.run_beside(note("x"), name="The note")
        yield done("Hello")
        await task

    server = ScriptedServer(script)
    await drain(await server.create())
    assert noted == ["x"]


async def test_work_that_never_began_is_not_complained_of() -> None:
    server = TitleServer(at_once)
    task = server.run_beside(at_once())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
