"""Workers of two versions on one database and one log, as during a deploy, under traffic in both directions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.ids import new_id
from tests.acceptance.wire import Frame, Wire, message, text_of
from tests.support.live_server import ServerProcess, server_process
from tests.support.scale import FAST, scaled

ROOT = Path(__file__).parents[2]
LEASE = scaled(1.0)
SHORT, LONG, ENDLESS = 20, 60, 100_000
SENDERS = 2


def answer_of(pieces: int) -> str:
    return "".join(f"{number} " for number in range(pieces))


class Stream:
    """What a client has seen of a turn: the thread, its items, and its end."""

    def __init__(self) -> None:
        self.thread_id = self.last_id = self.end = self.partial = ""
        self.items: dict[str, Any] = {}

    def take(self, frame: Frame) -> None:
        self.last_id = frame.id or self.last_id
        event = frame.data
        if frame.event == "turn.end":
            self.end = event["status"]
        elif event.get("type") == "thread.created":
            self.thread_id = event["thread"]["id"]
        elif event.get("type") in {"thread.item.done", "thread.item.replaced"}:
            self.items[event["item"]["id"]] = event["item"]
        elif event.get("type") == "thread.item.removed":
            self.items.pop(event["item_id"], None)
        self.partial += frame.text

    @property
    def turn_id(self) -> str:
        return self.last_id.partition(":")[0]

    @property
    def answer(self) -> str:
        return "".join(text_of(item) for item in self.items.values() if item["type"] == "assistant_message")

    async def read(self, frames: AsyncIterator[Frame], pieces: int | None = None) -> Stream:
        """Reads the rest, or until there are so many pieces of text."""
        async for frame in frames:
            self.take(frame)
            if pieces is not None and self.partial.count(" ") >= pieces:
                break
        return self


class Worker:
    """A process, and a client of it."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.wire = Wire(f"{process.url}/chatkit")

    async def send(self, pieces: int, key: str, seen: Stream, *, until: int | None = None) -> Stream:
        request = message(str(pieces)) | {"metadata": {"resumable": True, "idempotency_key": key}}
        async with self.wire.stream(request) as frames:
            return await seen.read(frames, until)

    async def resume(self, seen: Stream) -> Stream:
        params = {"thread_id": seen.thread_id, "after": seen.last_id}
        async with self.wire.stream({"type": "turns.resume", "params": params}) as frames:
            return await seen.read(frames)

    async def thread(self, seen: Stream) -> list[Any]:
        return (await self.wire.ask("threads.get_by_id", thread_id=seen.thread_id))["items"]["data"]


class Deploy:
    """The database, the log, and the workers, of which those of the later version know more."""

    def __init__(self, kind: str, database: str, log: str, folder: Path) -> None:
        self._settings = {"kind": kind, "database": database, "log": log, "lease": LEASE}
        self._folder = folder
        self._processes = ExitStack()
        self.workers: list[Worker] = []
        self.started: list[Worker] = []

    async def start(self, *, later: bool = False) -> Worker:
        folder = self._folder / new_id("version")
        settings = self._settings | {"later": str(folder) if later else None}
        process = await asyncio.to_thread(
            self._processes.enter_context,
            server_process(
                *("tests.server.two_versions_worker:make_app", "--factory", "--log-level", "info"),
                folder=ROOT,
                environment={"TWO_VERSIONS": json.dumps(settings)},
            ),
        )
        worker = Worker(process)
        self.workers.append(worker)
        self.started.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.process.kill()

    async def close(self) -> None:
        for worker in self.started:
            await worker.wire.http.aclose()
        await asyncio.to_thread(self._processes.close)


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Deploy:
    if FAST:
        pytest.skip("starts processes, which a fast run does not")
    database, log = str(tmp_path / "chat.db"), ""
    if request.param != "sqlite":
        database = request.getfixturevalue("postgres_database")
    if request.param == "redis":
        log = f"{new_id('test')}: {request.getfixturevalue('redis_url')}"
    return Deploy(request.param, database, log, tmp_path)


@pytest.fixture
async def deploy(made: Deploy) -> AsyncIterator[Deploy]:
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def traffic(deploy: Deploy) -> AsyncIterator[list[Stream]]:
    """Sends messages to all workers, each with a key; one whose stream broke off is sent to the next worker."""
    seen: list[Stream] = []
    over = asyncio.Event()

    async def send(sender: int) -> None:
        number = sender
        while not over.is_set():
            key, stream = new_id("key"), Stream()
            while not stream.end:
                worker = deploy.workers[number % len(deploy.workers)]
                number += 1
                # A worker that was killed.
                with suppress(httpx2.TransportError):
                    stream = await worker.send(SHORT, key, Stream())
            seen.append(stream)

    async with asyncio.TaskGroup() as senders:
        for sender in range(SENDERS):
            senders.create_task(send(sender))
        try:
            yield seen
        finally:
            over.set()


@pytest.mark.timeout(60)
async def test_a_worker_that_knows_less_works_beside_one_that_knows_more(deploy: Deploy) -> None:
    earlier = await deploy.start()
    async with asyncio.timeout(scaled(40)), traffic(deploy) as seen:
        later = await deploy.start(later=True)
        for first, second in ((earlier, later), (later, earlier)):
            await follow(first, second)
            await stop(first, second)
            await send_to_both(first, second)
        # The new one knows less than the database that it starts on.
        _, earlier = await asyncio.gather(outlive(deploy, earlier, later), deploy.start())
        await send_to_both(earlier, later)
        await outlive(deploy, later, earlier)
    assert len(seen) > SENDERS
    for stream in seen:
        told = list(stream.items.values())
        assert await earlier.thread(stream) == told
        sent = [item["type"] for item in told]
        if stream.end == "interrupted":
            assert sent in (["user_message"], ["user_message", "assistant_message"])
            assert answer_of(SHORT).startswith(stream.answer)
        else:
            assert (stream.end, sent) == ("completed", ["user_message", "assistant_message"])
            assert stream.answer == answer_of(SHORT)
    # A killed worker had as many as there are senders.
    assert sum(stream.end == "interrupted" for stream in seen) <= 2 * SENDERS
    for worker in deploy.started:
        assert "Traceback" not in worker.process.log
        assert "ERROR" not in worker.process.log


async def follow(first: Worker, second: Worker) -> None:
    """A turn that is begun at one is read to its end at the other, and by it."""
    seen = await first.send(LONG, new_id("key"), Stream(), until=5)
    await second.resume(seen)
    assert (seen.end, seen.answer) == ("completed", answer_of(LONG))
    assert seen.partial == answer_of(LONG), "no event is left out, none comes twice"
    assert await first.thread(seen) == await second.thread(seen) == list(seen.items.values())


async def stop(first: Worker, second: Worker) -> None:
    """A turn of the one is stopped at the other."""
    seen = Stream()
    begun = asyncio.Event()

    async def read() -> None:
        request = message(str(ENDLESS)) | {"metadata": {"resumable": True}}
        async with first.wire.stream(request) as frames:
            await seen.read(frames, 5)
            begun.set()
            await seen.read(frames)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await begun.wait()
        stopped = await second.wire.ask("turns.stop", thread_id=seen.thread_id)
        assert stopped == {"stopped": [seen.turn_id]}
        stored = await second.thread(seen)
    assert seen.end == "stopped"
    assert stored == list(seen.items.values())
    assert seen.answer.startswith(answer_of(5))


async def send_to_both(first: Worker, second: Worker) -> None:
    """A key that is sent to both is one turn, at once or when the first has begun it."""
    await send_key_to_both(new_id("key"), first, second)
    key = new_id("key")
    await first.send(SHORT, key, Stream(), until=1)
    await send_key_to_both(key, first, second)


async def send_key_to_both(key: str, first: Worker, second: Worker) -> None:
    one, other = await asyncio.gather(*(worker.send(SHORT, key, Stream()) for worker in (first, second)))
    assert (one.turn_id, one.items) == (other.turn_id, other.items)
    assert (one.end, one.answer) == ("completed", answer_of(SHORT))
    for worker in (first, second):
        assert (await worker.send(SHORT, key, Stream())).turn_id == one.turn_id
        assert await worker.thread(one) == list(one.items.values())


async def outlive(deploy: Deploy, dying: Worker, other: Worker) -> None:
    """What a killed worker leaves is ended by the other."""
    seen = await dying.send(ENDLESS, new_id("key"), Stream(), until=60)
    deploy.kill(dying)
    await other.resume(seen)
    assert seen.end == "interrupted"
    # What was shown more than 50 ms before is saved.
    assert seen.answer.startswith(answer_of(5))
    assert await other.thread(seen) == list(seen.items.values())
