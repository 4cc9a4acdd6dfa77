"""Workers of two versions on one database and one log, as during a deploy, under traffic in both directions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.ids import new_id
from tests.acceptance.wire import HEADERS, Frame, Wire, message, text_of
from tests.support.live_server import ServerProcess, server_process
from tests.support.postgres import new_database
from tests.support.scale import FAST, lasting, scaled

ROOT = Path(__file__).parents[2]
LEASE = lasting(1.0)
KINDS = ("sqlite", "postgres", "redis")
SHORT, LONG, ENDLESS = 10, 20, 100_000
MANY = 5


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
    """What a process serves on one database and log."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.wire = Wire(url)
        self.wire.http = http

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


Workers = dict[str, Worker]
"""Those of one process, by the kind of log."""


class Deploy:
    """The databases and logs, and the processes that run, of which those of the later version know more."""

    def __init__(self, places: dict[str, tuple[str, str]], folder: Path, http: httpx2.AsyncClient) -> None:
        self._places = places
        self._folder = folder
        self._http = http
        self._running = ExitStack()
        self._processes: list[ServerProcess] = []
        self.workers: list[Workers] = []

    async def start(self, *, later: bool = False) -> Workers:
        folder = str(self._folder / new_id("version")) if later else None
        process = await asyncio.to_thread(
            self._running.enter_context,
            server_process(
                *("tests.server.two_versions_worker:make_app", "--factory"),
                folder=ROOT,
                environment={"TWO_VERSIONS": json.dumps([LEASE, folder, self._places])},
            ),
        )
        self._processes.append(process)
        workers = {kind: Worker(f"{process.url}/{kind}/chatkit", self._http) for kind in self._places}
        self.workers.append(workers)
        return workers

    def kill(self, dying: Workers) -> None:
        self.workers.remove(dying)
        url = dying["sqlite"].wire.url
        next(process for process in self._processes if url.startswith(f"{process.url}/")).kill()

    def close(self) -> None:
        self._running.close()

    @property
    def log(self) -> str:
        return "".join(process.log for process in self._processes)


@pytest.fixture
def places(
    postgres_url: str, postgres_database: str, redis_url: str, tmp_path: Path
) -> Iterator[dict[str, tuple[str, str]]]:
    if FAST:
        pytest.skip("starts processes, which a fast run does not")
    with new_database(postgres_url) as another:
        yield {
            "sqlite": (str(tmp_path / "chat.db"), ""),
            "postgres": (postgres_database, ""),
            "redis": (another, f"{new_id('test')}: {redis_url}"),
        }


@pytest.fixture
async def deploy(places: dict[str, tuple[str, str]], tmp_path: Path) -> AsyncIterator[Deploy]:
    async with httpx2.AsyncClient(timeout=scaled(30), headers=HEADERS) as http:
        made = Deploy(places, tmp_path, http)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.close)


@asynccontextmanager
async def traffic(deploy: Deploy) -> AsyncIterator[dict[str, list[Stream]]]:
    """Sends messages to all workers, each with a key; one whose stream broke off is sent to the next worker."""
    seen: dict[str, list[Stream]] = {kind: [] for kind in KINDS}
    over = asyncio.Event()

    async def send(kind: str) -> None:
        number = 0
        while not over.is_set():
            key, stream = new_id("key"), Stream()
            while not stream.end:
                worker = deploy.workers[number % len(deploy.workers)][kind]
                number += 1
                # A worker that was killed.
                with suppress(httpx2.TransportError):
                    stream = await worker.send(SHORT, key, Stream())
            seen[kind].append(stream)

    async with asyncio.TaskGroup() as senders:
        for kind in KINDS:
            senders.create_task(send(kind))
        try:
            yield seen
        finally:
            over.set()


@pytest.mark.timeout(120)
async def test_a_worker_that_knows_less_works_beside_one_that_knows_more(deploy: Deploy) -> None:
    earlier = await deploy.start()
    async with asyncio.timeout(scaled(90)), traffic(deploy) as seen:
        later = await deploy.start(later=True)
        for first, second in ((earlier, later), (later, earlier)):
            for scene in (follow, stop, send_to_both):
                await each(scene, first, second)
        # The new one knows less than the database that it starts on.
        _, earlier = await asyncio.gather(outlive(deploy, earlier, later), deploy.start())
        await each(send_to_both, earlier, later)
        await outlive(deploy, later, earlier)
    await each(check, earlier, seen)
    for word in ("Traceback", "ERROR"):
        assert word not in deploy.log


async def each(scene: Callable[..., Coroutine[Any, Any, Any]], *given: dict[str, Any]) -> list[Any]:
    """Plays a scene with all kinds at once."""
    async with asyncio.TaskGroup() as scenes:
        playing = [scenes.create_task(scene(*(part[kind] for part in given))) for kind in KINDS]
    return [task.result() for task in playing]


async def check(worker: Worker, seen: list[Stream]) -> None:
    """What the traffic was told is what is stored."""
    assert len(seen) > MANY
    for stream in seen:
        told = list(stream.items.values())
        assert await worker.thread(stream) == told
        sent = [item["type"] for item in told]
        if stream.end == "interrupted":
            assert sent in (["user_message"], ["user_message", "assistant_message"])
            assert answer_of(SHORT).startswith(stream.answer)
        else:
            assert (stream.end, sent) == ("completed", ["user_message", "assistant_message"])
            assert stream.answer == answer_of(SHORT)
    # Two workers are killed, each with one of these at most.
    assert sum(stream.end == "interrupted" for stream in seen) <= 2


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


async def outlive(deploy: Deploy, dying: Workers, other: Workers) -> None:
    """What a killed worker leaves is ended by the other."""

    async def begin(worker: Worker) -> Stream:
        return await worker.send(ENDLESS, new_id("key"), Stream(), until=20)

    async def resume(worker: Worker, seen: Stream) -> None:
        await worker.resume(seen)
        assert seen.end == "interrupted"
        # What was shown some time before is saved.
        assert seen.answer.startswith(answer_of(2))
        assert await worker.thread(seen) == list(seen.items.values())

    seen = dict(zip(KINDS, await each(begin, dying), strict=True))
    deploy.kill(dying)
    await each(resume, other, seen)
