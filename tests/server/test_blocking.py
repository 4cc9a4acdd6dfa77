"""A handler that blocks the event loop is named in the log; one that waits, or blocks another thread, is not."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from chatkit.errors import ChatKitError
from chatkit.server import blocking
from chatkit.store import MemoryStore
from chatkit.streams import MemoryStreamLog, TurnInfo
from chatkit.streams.base import InterruptedTurn
from chatkit.types import StreamOptions, TranscriptionResult
from chatkit.web import create_app
from chatkit.web.fastapi import chatkit_router
from tests.server.support import ADA, LIMIT, ScriptedServer, done, drain, hello


class Records(logging.Handler):
    """Keeps what is logged, and lets go of what blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.told.set()


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    monkeypatch.setattr(blocking, "_limit", 0.3)
    monkeypatch.setattr(blocking, "_STEP", 0.03)
    monkeypatch.setattr(blocking, "_LINGER", 0.03)
    monkeypatch.setattr(blocking, "_told_places", set())
    kept = Records()
    blocking.logger.addHandler(kept)
    yield kept
    blocking.logger.removeHandler(kept)


def place_of(function: Any, text: str) -> str:
    lines, first = inspect.getsourcelines(function)
    number = next(number for number, line in enumerate(lines, first) if text in line)
    return f"{__file__}:{number} "


def blocks(records: Records) -> None:
    # As time.sleep() does, but for no longer than the test needs.
    records.told.wait(LIMIT)  # here


def computes(records: Records) -> None:
    # Keeps the interpreter to itself, without a frame of Python below.
    re.match(r"(a+)+$", "a" * 21 + "b")


async def in_the_handler(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    blocks(context["records"])
    yield done("Done")


async def in_a_task_of_its_own(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    async def helper() -> None:
        blocks(context["records"])

    await asyncio.create_task(helper())
    yield done("Done")


async def in_a_thread(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    await asyncio.to_thread(time.sleep, 0.6)
    yield done("Done")


async def in_order(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    waited = asyncio.Event()
    asyncio.get_running_loop().call_later(0.6, waited.set)
    await waited.wait()
    yield done("Done")


async def turn(script: Any, records: Records) -> None:
    server = ScriptedServer(script)
    await drain(await server.create("Hi", {"user_id": "ada", "records": records}))


@pytest.mark.parametrize("script", [in_the_handler, in_a_task_of_its_own])
async def test_the_place_is_told_once(script: Any, records: Records) -> None:
    await turn(script, records)
    assert records.told.is_set(), "told while it blocks"
    records.told.set()
    await turn(script, records)
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))
    assert "blocks" in text
    assert "asyncio.to_thread" in text


@pytest.mark.parametrize("script", [in_a_thread, in_order])
async def test_what_blocks_nothing_is_not_told(script: Any, records: Records) -> None:
    await turn(script, records)
    assert records.texts == []


@pytest.mark.parametrize("policy", ["asyncio", "uvloop"])
def test_several_loops(policy: str, records: Records) -> None:
    uvloop = pytest.importorskip("uvloop") if policy == "uvloop" else None
    done_with: list[threading.Thread] = []

    def in_a_loop(script: Any) -> threading.Thread:
        async def main() -> None:
            await turn(script, records)

        def run() -> None:
            if uvloop is None:
                asyncio.run(main())
            else:
                uvloop.run(main())

        thread = threading.Thread(target=run)
        thread.start()
        done_with.append(thread)
        return thread

    for script in (in_the_handler, in_order):
        in_a_loop(script)
    for thread in done_with:
        thread.join(LIMIT)
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))


async def test_the_thread_ends_with_the_turns(records: Records) -> None:
    await turn(in_order, records)
    thread = blocking._watcher
    if thread is not None:
        await asyncio.to_thread(thread.join, LIMIT)
        assert not thread.is_alive()
    assert blocking._work == blocking._threads == blocking._silent == {}
    records.told.set()
    await turn(in_order, records)


async def test_a_place_that_cannot_be_told_is_not_the_end(
    records: Records, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = blocking._place

    def fails(*arguments: Any) -> Any:
        monkeypatch.setattr(blocking, "_place", place)
        records.told.set()
        raise LookupError("no frame")

    monkeypatch.setattr(blocking, "_place", fails)
    await turn(in_the_handler, records)
    assert records.told.is_set()
    async with asyncio.timeout(LIMIT):
        # Logged by the watcher's thread, a moment later.
        while "LookupError: no frame" not in caplog.text:
            await asyncio.sleep(0.01)
    records.told.clear()
    await turn(in_the_handler, records)
    assert records.texts[-1].startswith(place_of(blocks, "# here"))


async def test_it_is_off_where_nobody_hears_it(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(blocking, "_begin", started.append)
    level = blocking.logger.level
    blocking.logger.setLevel(logging.ERROR)
    try:
        await turn(in_order, records)
    finally:
        blocking.logger.setLevel(level)
    assert started == []


async def test_a_computation_that_lets_no_other_thread_run(records: Records) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        until = time.monotonic() + 3 * LIMIT
        while not records.told.is_set() and time.monotonic() < until:
            computes(records)
        yield done("Done")

    await turn(script, records)
    assert len(records.texts) >= 1
    assert __file__ in records.texts[0]


def method_that_blocks(records: Records, result: Any = None) -> Any:
    """Returns a method of an application that blocks."""

    def method(self: Any, *arguments: Any) -> Any:
        blocks(records)
        return result

    return method


def coroutine_that_blocks(records: Records, result: Any = None) -> Any:
    async def method(self: Any, *arguments: Any) -> Any:
        blocks(records)
        return result

    return method


AUDIO = {"audio_base64": "AAAA", "mime_type": "audio/webm"}

OUTSIDE_OF_TURNS: dict[str, tuple[Any, Any, Any]] = {
    # What blocks, what it returns, and what calls it.
    "get_stream_options": (
        method_that_blocks,
        StreamOptions(allow_cancel=True),
        lambda server: server.ask_to_create(),
    ),
    "transcribe": (
        coroutine_that_blocks,
        TranscriptionResult(text="Hi"),
        lambda server: server.ask("input.transcribe", **AUDIO),
    ),
    "turn_owner": (method_that_blocks, None, lambda server: server.ask("threads.list")),
    "recovery_context": (method_that_blocks, None, lambda server: server.recover()),
    "load_context": (method_that_blocks, ADA, lambda server: server.recover()),
}


class Interrupting(MemoryStreamLog):
    """Has a turn whose worker died."""

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        return [InterruptedTurn(TurnInfo(id="turn_a", thread_id="thr_a", context="{}"), [])]


class EverybodysStore(MemoryStore[Any]):
    """Knows no owners."""

    @property
    def knows_owners(self) -> bool:
        return False

    def owner(self, context: Any) -> Any:
        return None


class Asking(ScriptedServer):
    async def ask_to_create(self) -> None:
        await drain(await self.create())


@pytest.mark.parametrize("name", OUTSIDE_OF_TURNS)
async def test_methods_that_are_called_outside_of_turns(name: str, records: Records) -> None:
    make, result, call = OUTSIDE_OF_TURNS[name]
    kind = type("Application", (Asking,), {name: make(records, result)})
    needs = {"turn_owner", "recovery_context"}
    store = EverybodysStore() if name in needs else MemoryStore[Any]()
    server = kind(hello, store, stream_log=Interrupting(), rerun_on_crash=1 if name == "load_context" else 0)
    with suppress(ChatKitError):
        await call(server)
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))


@pytest.mark.parametrize("method", ["load_threads", "add_thread_item", "check"])
async def test_methods_of_the_applications_store(method: str, records: Records) -> None:
    own = getattr(MemoryStore, method)

    async def blocked(self: Any, *arguments: Any) -> Any:
        blocks(records)
        return await own(self, *arguments)

    server = ScriptedServer(hello, type("Shelf", (MemoryStore,), {method: blocked})())
    if method == "check":
        await server.check()
    elif method == "load_threads":
        await server.ask("threads.list")
    else:
        await drain(await server.create())
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))


async def test_work_beside_an_answer(records: Records) -> None:
    async def work() -> None:
        blocks(records)

    await ScriptedServer().run_beside(work())
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))


async def test_a_callback_of_the_application(records: Records) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        # Runs in no task.
        asyncio.get_running_loop().call_soon(blocks, records)
        await asyncio.sleep(0)
        yield done("Done")

    await turn(script, records)
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))


async def test_code_that_is_in_no_file(records: Records) -> None:
    # As where a program is read from standard input.
    names: dict[str, Any] = {"done": done}
    program = "async def script(thread, message, context):\n    context['records'].told.wait(9)\n    yield done('')\n"
    exec(compile(program, "<stdin>", "exec"), names)
    await turn(names["script"], records)
    (text,) = records.texts
    assert text.startswith("<stdin>:2 (in script)")


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_the_context_of_a_request(framework: str, records: Records) -> None:
    async def who(request: Request) -> dict[str, str]:
        blocks(records)
        return ADA

    app: Any
    if framework == "fastapi":
        app = FastAPI()
        app.include_router(chatkit_router(ScriptedServer(), context=who))
    else:
        app = create_app(ScriptedServer(), context=who)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/chatkit", json={"type": "threads.list", "params": {}})
    assert answer.status_code == 200
    (text,) = records.texts
    assert text.startswith(place_of(blocks, "# here"))
