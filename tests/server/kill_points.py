"""Cases of workers that die while they take a message: what becomes of it when it is sent again, and what must hold.

``python -m tests.server.kill_points`` runs all of them, some ten thousand, and prints a table. With a number it runs as
many, drawn by a seed that the clock gives or a second argument names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from chatkit.errors import ThreadBusyError
from chatkit.ids import new_id
from chatkit.sse import SSEDecoder
from chatkit.streams.base import ThreadKey
from tests.server.dying_worker_process import (
    FIRST,
    LEASE,
    SECOND,
    WAITING,
    Orders,
    Place,
    Surviving,
    answered,
    make_server,
    sent,
    work,
)
from tests.server.support import added, all_texts, delta, done, drain, read
from tests.support.scale import scaled

SETUPS = ("sqlite", "postgres", "redis")
WAYS = ("accepting", "apart")
SITUATIONS = (
    ("new", "allow"),
    ("idle", "allow"),
    *product(("busy", "elsewhere"), ("allow", "reject", "enqueue", "interrupt")),
)
"""Scenes and policies: without another turn in the thread all policies are one."""
RESENT = ("at once", "later", "twice")
AT_ONCE = 14
"""Cases that run side by side: they wait for leases most of the time, and use nine connections each."""
LIMIT = scaled(40.0)
_PAUSE = 0.1
_SENDINGS = 100

# A process that has imported everything, and of which each worker is a copy.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.server.dying_worker_process"])


class Case(NamedTuple):
    """A worker that dies, and a message that is sent again.

    Attributes:
        setup: See ``Place``.
        way: ``"accepting"``, or ``"apart"``.
        scene: See ``Orders``.
        policy: See ``Orders``.
        reruns: See ``Orders``.
        resent: ``"at once"``, ``"later"`` (everything that was begun has ended by then), ``"twice"``: to two workers.
        point: Where it dies.
    """

    setup: str
    way: str
    scene: str
    policy: str
    reruns: int
    resent: str
    point: str

    @property
    def situation(self) -> str:
        return f"{self.scene} {self.policy}"

    def orders(self, place: Place, thread_id: str = "") -> Orders:
        apart = self.way == "apart"
        return Orders(place, apart, self.scene, self.policy, self.reruns, thread_id, self.point)


@dataclass
class Told:
    """What a stream told: its thread, how its turn ended, the items that are done and not removed, what is wrong."""

    thread_id: str = ""
    end: str = ""
    shown: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])

    @classmethod
    def by(cls, frames: list[bytes]) -> Told:
        told = cls()
        last: dict[str, int] = {}
        # Each by itself: an id holds for the frames after it, too, as a cursor.
        for told_one in (told_one for frame in frames for told_one in SSEDecoder().feed(frame)):
            event = json.loads(told_one.data)
            if told.end:
                told.wrong.append("something was told after the end")
            if told_one.event == "turn.end":
                told.end = event["status"]
                continue
            # Parts of a state have none, but for the last one.
            turn_id, _, number = told_one.id.rpartition(":")
            if number and int(number) <= last.get(turn_id, 0):
                told.wrong.append(f"event {told_one.id} was told after {last[turn_id]}")
            if number:
                last[turn_id] = int(number)
            if event["type"] == "thread.created":
                told.thread_id = event["thread"]["id"]
            elif event["type"] == "thread.item.done":
                if event["item"]["id"] in told.shown:
                    told.wrong.append(f"{event['item']['type']} was told twice")
                told.shown.append(event["item"]["id"])
            elif event["type"] == "thread.item.removed" and event["item_id"] in told.shown:
                told.shown.remove(event["item_id"])
        if not told.end:
            told.wrong.append("a stream had no end")
        return told


class Worker:
    """A worker in a process of its own.

    Attributes:
        facts: The values that it told, by the words.
    """

    def __init__(
        self, orders: Orders, on_fact: Callable[[str, Any], None] = lambda word, value: None
    ) -> None:
        self.facts: dict[str, list[Any]] = {}
        self._on_fact = on_fact
        self._loop = asyncio.get_running_loop()
        self._receiver, sender = _processes.Pipe(duplex=False)
        self._sender = sender
        self._process = _processes.Process(target=work, args=(orders, sender), daemon=True)

    async def start(self) -> None:
        """Starts the process, which takes a busy machine a while, and lets the other worker, in this one, go on."""
        await asyncio.to_thread(self._process.start)
        self._sender.close()

    async def wait(self) -> None:
        """Waits for its end, and ends it if that takes too long."""
        try:
            await asyncio.to_thread(self._wait)
        finally:
            self._receiver.close()

    def _wait(self) -> None:
        with suppress(EOFError):
            while True:
                if not self._receiver.poll(LIMIT):
                    self._process.kill()
                word, value = self._receiver.recv()
                self.facts.setdefault(word, []).append(value)
                self._loop.call_soon_threadsafe(self._on_fact, word, value)
        self._process.join()
        self._process.close()


@asynccontextmanager
async def sweeping(server: Surviving) -> AsyncIterator[None]:
    """Ends turns of dead workers while the block runs, as applications do."""
    over = asyncio.Event()

    async def sweep() -> None:
        while not over.is_set():
            await server.recover()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await over.wait()

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        # Not cancelled: what it waits for may lose that before Python 3.12.
        over.set()
        await task


async def trace(case: Case, place: Place) -> list[str]:
    """Returns the points that a worker comes by which does not die; nothing else runs, but what the scene needs."""
    run = _Run(case._replace(point=""), place)
    async with run.begun() as worker:
        await worker.wait()
    return worker.facts["seen"][0]


async def run_case(case: Case, place: Place) -> list[str]:
    """Runs a case; returns what is wrong with it."""
    try:
        async with asyncio.timeout(LIMIT):
            return await _Run(case, place).wrong()
    except Exception as error:  # noqa: BLE001 -- the others go on
        return [f"failed: {error!r}"]


class _Run:
    def __init__(self, case: Case, place: Place) -> None:
        self.case = case
        self.place = place
        self.context = {"user_id": place.owner}
        self.release = asyncio.Event()
        self.thread_id = ""
        self.reading: asyncio.Task[list[bytes]] | None = None

        async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
            (text,) = all_texts([message])
            item_id = new_id("message")
            if text == "m1" and not self.release.is_set():
                yield added("", item_id)
                yield delta("So far", item_id)
                await self.release.wait()
            yield done(answered(SECOND, text), item_id)

        orders = case.orders(place)
        self.servers = [make_server(orders, answer) for _ in range(2)]

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Worker]:
        """Begins what the scene needs, and the worker; the block runs until everything is over."""
        first = self.servers[0]
        try:
            async with AsyncExitStack() as stack:
                if self.case.scene == "elsewhere":
                    await stack.enter_async_context(sweeping(first))
                    created = await first.create("m0", self.context, sent("m0"))
                    self.thread_id = created.thread_id
                    await drain(created)
                    running = await first.say(self.thread_id, "m1", sent("m1"), self.context)
                    await read(aiter(running), 4)
                    self.reading = asyncio.create_task(drain(running))
                try:
                    worker = Worker(self.case.orders(self.place, self.thread_id), self._on_fact)
                    await worker.start()
                    yield worker
                finally:
                    self.release.set()
                    if self.reading is not None:
                        await self.reading
        finally:
            for server in self.servers:
                await server.close()

    def _on_fact(self, word: str, value: Any) -> None:
        if word == "begun":
            self.release.set()
        elif word == "thread":
            self.thread_id = value

    async def wrong(self) -> list[str]:
        case = self.case
        async with self.begun() as worker:
            await worker.wait()
            self.thread_id = worker.facts.get("thread", [self.thread_id])[0]
            if "seen" in worker.facts and is_passing(case, case.point):
                return []
            if "at" not in worker.facts or "seen" in worker.facts:
                return [f"the worker did not die: {worker.facts}"]
            async with AsyncExitStack() as stack:
                # The one that has the other answer under way does so already.
                for server in self.servers[case.scene == "elsewhere" :]:
                    await stack.enter_async_context(sweeping(server))
                if case.resent == "later":
                    await self._settled(case.scene in {"busy", "elsewhere"})
                copies = 2 if case.resent == "twice" else 1
                told = await asyncio.gather(*(self._send(server) for server in self.servers[:copies]))
                wrong = await self._wrong_of(told, worker)
                wrong += await self._settled(elsewhere=False)
        return wrong

    async def _send(self, server: Surviving, text: str = "m2") -> Told:
        """Sends a message until its stream has an end, as clients do."""
        told, cut_off = Told(wrong=["it was refused each time"]), 0
        for _ in range(_SENDINGS):
            try:
                result = await self._sent(server, text)
            except ThreadBusyError:
                # As a person does: when the other answer is there.
                self.release.set()
                await asyncio.sleep(_PAUSE)
                continue
            self.release.set()
            told = Told.by(await drain(result))
            # Where its worker has stood still for too long, another one has it.
            cut_off += not told.end
            if told.end or cut_off == 3:
                break
        return told

    async def _settled(self, elsewhere: bool) -> list[str]:
        """Waits until nothing is pending; returns what is if that takes too long."""
        pending: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(scaled(10) + 6 * LEASE):
                while pending := await self._pending(elsewhere):
                    await asyncio.sleep(_PAUSE)
        return pending

    async def _pending(self, elsewhere: bool) -> list[str]:
        """Returns what the store and the log take for running; without what does, or waits for that, if it may."""
        server = self.servers[0]
        store: Any = server.store
        if self.place.setup == "sqlite":
            rows: Any = await store.database.read(
                lambda connection: connection.execute(
                    "SELECT id FROM accepted_turns WHERE owner = :owner AND status <> 'ended' "
                    "UNION SELECT id FROM turns WHERE owner = :owner",
                    {"owner": self.place.owner},
                ).fetchall()
            )
        else:
            rows = await store.database.read(
                lambda transaction: transaction.rows(
                    "SELECT id FROM chatkit.accepted_turns WHERE owner = $1 AND status <> 'ended' "
                    "UNION SELECT id FROM chatkit.turns WHERE owner = $1",
                    self.place.owner,
                )
            )
        runs = {turn_id for each in self.servers for turn_id in each._chatkit_turns()._running if elsewhere}
        pending = [f"turn {turn_id} stays in the store" for (turn_id,) in rows if turn_id not in runs]
        threads = await store.load_threads(9, None, "asc", self.context)
        for thread in threads.data:
            for each in self.servers:
                active = await each._chatkit_turns().log.active(ThreadKey(self.place.owner, thread.id))
                pending += [f"turn {info.id} runs in the log" for info in active if info.id not in runs]
        return pending

    async def _wrong_of(self, tellings: list[Told], worker: Worker) -> list[str]:
        case, wrong = self.case, [text for told in tellings for text in told.wrong]
        if case.scene == "new":
            ids = {told.thread_id for told in tellings}
            wrong += [] if len(ids) == 1 and "" not in ids else [f"the thread was told as {ids}"]
            self.thread_id = ids.pop()
        if case.scene in {"busy", "elsewhere"}:
            other = await self._send(self.servers[-1], "m1")
            beside = [other] if self.reading is None else [other, Told.by(await self.reading)]
            wrong += [f"of m1: {text}" for each in beside for text in each.wrong]
        items = await self.servers[0].items(self.thread_id, self.context) if self.thread_id else []
        told = tellings[0]
        mine = [item.id for item in items if any(text.endswith("m2") for text in all_texts([item]))]
        others = {item.id for item in items} - set(mine)
        for each in tellings:
            # What another turn stored beside it may be told, too.
            if [item_id for item_id in each.shown if item_id not in others] != mine:
                wrong.append(f"told was {each.shown}, stored is {mine}")
            if each.end != told.end:
                wrong.append(f"the ends differ: {each.end}, {told.end}")
        found = all_texts(items)
        wrong += self._wrong_texts(found)
        answers = [text.removesuffix(": m2") for text in found if text.endswith(": m2")]
        allowed = _allowed(case, worker)
        if (told.end, answers) not in allowed:
            wrong.append(f"{told.end} with {answers} instead of {allowed}")
        wrong += await self._wrong_threads()
        # Whoever sends it once more is told the same, and nothing is written.
        late = await self._send(self.servers[-1])
        if ([item_id for item_id in late.shown if item_id not in others], late.end) != (mine, told.end):
            wrong.append(f"sent once more, it was told {late.shown} and {late.end}")
        if all_texts(await self.servers[0].items(self.thread_id, self.context)) != found:
            wrong.append("sent once more, something was written")
        return wrong

    async def _sent(self, server: Surviving, text: str) -> Any:
        if self.case.scene == "new":
            return await server.create(text, self.context, sent(text))
        return await server.say(self.thread_id, text, sent(text), self.context)

    def _wrong_texts(self, found: list[str]) -> list[str]:
        case, wrong = self.case, list[str]()
        expected = ["m2"] if case.scene == "new" else ["m0", "m2"]
        others: list[str] = []
        if case.scene in {"busy", "elsewhere"}:
            expected.insert(1, "m1")
            others = [text for text in found if text.endswith(": m1") or text == "So far"]
        messages = [text for text in found if text in {"m0", "m1", "m2"}]
        if messages != expected:
            wrong.append(f"stored are {messages}")
        if len(others) > 1:
            wrong.append(f"m1 was answered with {others}")
        if case.scene == "elsewhere" and case.policy != "interrupt" and others != [answered(SECOND, "m1")]:
            wrong.append(f"m1, whose worker lives, was answered with {others}")
        if case.policy != "allow" and others and "m2" in found and found.index(others[0]) > found.index("m2"):
            wrong.append(f"out of order: {found}")
        return wrong

    async def _wrong_threads(self) -> list[str]:
        if self.case.way == "apart":
            # A thread without a message may be left behind.
            return []
        threads = await self.servers[0]._chatkit_store().load_threads(9, None, "asc", self.context)
        count = 2 if self.case.scene == "new" else 1
        wrong = [] if len(threads.data) == count else [f"there are {len(threads.data)} threads"]
        empty = [each.id for each in threads.data if not await self.servers[0].items(each.id, self.context)]
        return wrong + [f"thread {thread_id} is empty" for thread_id in empty]


def _allowed(case: Case, worker: Worker) -> list[tuple[str, list[str]]]:
    """Returns how the turn may end, and what its answers may be, by what the dead worker had done."""
    moment, _, at = case.point.partition(" ")
    certain = set(worker.facts.get("done", ()))
    possible = certain | ({at} if moment == "commit" else set())
    put, finished = "store.put_thread_item", "store.finish_turn"
    # The log saves beside what the turn does.
    possible |= {put, finished} if at == "log.save" else set()
    # From here on its handler may have been called.
    opened = "store.open_turn" if case.way == "accepting" else "store.add_thread_item"
    # Where it was alone on its file, nobody may know of its turn but from the key.
    unknown = case.way == "apart" and case.setup == "sqlite" and case.scene != "elsewhere"
    allowed: list[tuple[str, list[str]]] = []
    if finished in possible:
        allowed.append(("completed", [FIRST]))
    if finished in certain:
        return allowed
    if opened not in certain or case.reruns:
        allowed.append(("completed", [SECOND]))
    if case.reruns and put in possible and case.policy == "allow" and case.scene in {"busy", "elsewhere"}:
        # The other turn may have stored it, and not have told it so far.
        allowed.append(("completed", [FIRST, SECOND]))
    if opened in possible and (unknown or not case.reruns):
        allowed += [("interrupted", [FIRST])] if put in possible else []
        allowed += [("interrupted", [])] if put not in certain else []
    return allowed


def points(case: Case) -> list[str]:
    """Returns the points that a request comes by, in about their order: every wait from its first byte to its end."""
    beside = case.scene in {"busy", "elsewhere"}
    elsewhere, file = case.scene == "elsewhere", case.setup == "sqlite"
    waits, ends, refused = (beside and case.policy == name for name in ("enqueue", "interrupt", "reject"))

    def asked(*names: str) -> list[str]:
        return [f"{moment} {name}" for name in names for moment in ("before", "after")]

    def written(*names: str) -> list[str]:
        moments = ("before", "open", "after") if file else ("before", "open", "commit", "after")
        return [f"{moment} {name}" for name in names for moment in moments]

    def logged(name: str) -> list[str]:
        # On a server one statement, or script: it is not committed by the worker.
        return written(name) if file else asked(name)

    load = [] if case.scene == "new" else asked("store.load_thread")
    # Another worker is there: what begins is told at once. One that is alone keeps it in memory.
    opened = logged("log.open_turn") if elsewhere else asked("log.open_turn")
    stopped = asked("log.turns")
    stopped += [*logged("log.request_stop"), *asked("log.load")] if elsewhere else []
    waited = [*(asked("log.load") if elsewhere else []), WAITING]
    if case.way == "accepting":
        found = [*asked("store.find_keyed_turn", "log.find_key"), *load, "in accept"]
        if refused:
            return found + asked("store.accept_turn")
        found += [*stopped, *waited] if ends else []
        found += [*written("store.accept_turn"), *opened, *written("store.open_turn")]
        found += [*waited, *written("store.begin_waiting_turn")] if waits else []
    else:
        found = [*load, *logged("log.claim_key")]
        found += asked("log.turns") if beside and case.policy != "allow" else []
        if refused:
            return [*found, "in _uninterrupted", *logged("log.release_key")]
        found += [*stopped, *waited] if ends else []
        found += [*opened, *written("store.begin_turn")]
        found += waited if waits else []
        found += written("store.save_thread") if case.scene == "new" else []
        found += written("store.add_thread_item")
    found += [] if waits else ["in TurnRegistry.start"]
    found += ["in AbandonableWork.wait", *written("store.put_thread_item"), "in Turn._take_all"]
    found += [*written("store.finish_turn"), "in Sender.flush", *asked("log.save")]
    return list(dict.fromkeys(found))


PASSING = (
    "log.claim",
    "log.forget_old",
    "log.held",
    "log.save",
    "log.turns",
    "store.admit",
    "store.find_turn",
    "store.lapsed_turns",
)
"""What a request that waits does now and then, or another one of the worker does; or any, where it is time to."""


def is_passing(case: Case, point: str) -> bool:
    """Returns whether a request may come by a point or not, as time has it."""
    # The other worker may have stopped before it is waited for.
    stopped = point == WAITING and (case.scene, case.policy) == ("elsewhere", "interrupt")
    return stopped or point == "in end_tasks" or point.partition(" ")[2] in PASSING


class Places:
    """Where cases run side by side: databases on servers, of which each serves one case at a time.

    Args:
        databases: Connection strings.
        redis: The URL of a server.
        folder: For files.
    """

    def __init__(self, databases: Sequence[str], redis: str, folder: Path) -> None:
        self._databases = databases
        self._redis = redis
        self._folder = folder

    async def each(
        self, cases: Iterable[Case], run: Callable[[Case, Place], Any], tell: Any = None
    ) -> list[Any]:
        """Returns what a function returns for each case, in the order in which they end, with the case."""
        waiting = iter(cases)
        found: list[Any] = []

        async def serve(database: str) -> None:
            for case in waiting:
                owner = new_id("owner")
                where = str(self._folder / f"{owner}.db") if case.setup == "sqlite" else database
                result = await run(case, Place(case.setup, where, self._redis, f"{owner}:", owner))
                found.append((case, result))
                if tell is not None:
                    tell(case, result)

        async with asyncio.TaskGroup() as group:
            for database in self._databases:
                group.create_task(serve(database))
        return found


def situations() -> list[Case]:
    """Returns a case without a point for each way, setup and situation."""
    return [
        Case(setup, way, scene, policy, 1, "at once", "")
        for setup, way, (scene, policy) in product(SETUPS, WAYS, SITUATIONS)
    ]


async def _main(places: Places, count: int | None, seed: int) -> int:
    say = sys.stdout.write
    traced = await places.each(situations(), trace)
    cases = [
        case._replace(reruns=reruns, resent=resent, point=point)
        for case, points in sorted(traced)
        for point, reruns, resent in product(points, (0, 1), RESENT)
    ]
    say(f"{len(cases)} cases")
    if count is not None:
        random.Random(seed).shuffle(cases)
        del cases[count:]
        say(f", of which {len(cases)} are run, drawn by seed {seed}")
    say("\n")
    began = time.monotonic()

    def tell(case: Case, wrong: list[str]) -> None:
        for text in wrong:
            say(f"{case}: {text}\n")
        sys.stdout.flush()

    found = await places.each(cases, run_case, tell)
    ran = Counter((case.setup, case.way, case.situation) for case, _ in found)
    failed = Counter((case.setup, case.way, case.situation) for case, wrong in found if wrong)
    say(f"{'log':10}{'way':11}{'situation':22}{'cases':>7}{'wrong':>7}\n")
    for row in sorted(ran):
        say(f"{row[0]:10}{row[1]:11}{row[2]:22}{ran[row]:7}{failed[row]:7}\n")
    wrong = failed.total()
    say(f"{len(found)} cases in {time.monotonic() - began:.0f} s: {wrong or 'none'} wrong\n")
    return wrong


def main() -> None:
    """Runs the cases; exits with 1 if one of them is wrong."""
    from tests.support.postgres import new_database, postgres_server
    from tests.support.redis import redis_server

    count = int(sys.argv[1]) if len(sys.argv) > 1 else None
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() // 1000 % 10**9
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server()).url
        # That stores write one by one is said once for each of them.
        logging.getLogger("chatkit.store").setLevel(logging.ERROR)
        databases = [stack.enter_context(new_database(postgres)) for _ in range(AT_ONCE)]
        redis = stack.enter_context(redis_server()).url
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sys.exit(bool(asyncio.run(_main(Places(databases, redis, folder), count, seed))))


if __name__ == "__main__":
    main()
