"""The scenarios: what happens to workers, servers, disk and network while users ask."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.chaos.client import Reader
from benchmarks.chaos.judge import Verdict, judge
from benchmarks.chaos.rows import load_rows, load_running
from benchmarks.chaos.sessions import Habits, Session
from benchmarks.chaos.topology import Topology, Worker
from tests.support.network import Link

__all__ = ["SCENARIOS", "Run"]


class Run:
    """One run of sessions, with the faults of a scenario.

    Args:
        servers: They run.
        options: Those of the command line.
        seed: Decides what users do.
    """

    def __init__(self, servers: Topology, options: argparse.Namespace, seed: int) -> None:
        self.servers = servers
        self.options = options
        self.seed = seed
        self.random = random.Random(seed)
        self.sessions: list[Session] = []
        self.injected: Counter[str] = Counter()
        # Nobody's turns are interrupted, unless a scenario says otherwise.
        self.untouched: Collection[str] = {str(worker.port) for worker in servers.workers}
        self.may_fail = False
        self.broken_until = 0.0
        # What a worker that stood still had left to write, and what nobody has ended so far, is stored by then.
        self.rest = options.lease + 2

    def say(self, text: str) -> None:
        print(f"  {datetime.now(UTC).time()} {text}", flush=True)

    def inject(self, kind: str, text: str) -> None:
        """Says that something was done to workers, servers or networks, and counts it."""
        self.injected[kind] += 1
        self.say(text)

    async def run(self) -> Verdict:
        """Carries the scenario out and judges what came of it."""
        await SCENARIOS[self.options.scenario](self)
        await asyncio.sleep(self.rest)
        database = (self.servers.file, None if self.servers.postgres is None else self.servers.postgres.url)
        running = await asyncio.to_thread(load_running, *database)
        # Sweeps end what nobody waits for, some of it not at once.
        until = time.monotonic() + 12 * self.options.lease + 30
        while running and time.monotonic() < until:
            await asyncio.sleep(0.5)
            running = await asyncio.to_thread(load_running, *database)
        verdict = await judge(
            self.sessions,
            await asyncio.to_thread(load_rows, *database),
            policy=self.options.policy,
            untouched=self.untouched,
            may_fail=self.may_fail,
            broken_until=self.broken_until,
        )
        for owner, turn_id, status in running:
            verdict.add(
                "unended", f"{owner}: turn {turn_id} is {status} for the database, though all is over"
            )
        verdict.injected = self.injected
        return verdict

    def begin(
        self,
        *,
        spread: float | None = None,
        shapes: tuple[str, ...] | None = None,
        stops: float = 0.05,
        again: bool = True,
    ) -> list[asyncio.Task[None]]:
        """Begins the sessions; returns their tasks."""
        options = self.options
        habits = Habits(
            seed=self.seed,
            shapes=options.shapes if shapes is None else shapes,
            deltas=options.deltas,
            pause=options.pause,
            spread=options.spread if spread is None else spread,
            cuts=options.cuts,
            stops=stops,
            stock=options.stock,
            again=again,
            patience=options.patience,
            reruns=options.rerun > 0,
        )
        workers = [worker.port for worker in self.servers.workers]
        first = len(self.sessions)
        made = [
            Session(number, habits, self.servers.port, workers)
            for number in range(first, first + options.clients)
        ]
        self.sessions += made
        return [asyncio.create_task(session.run()) for session in made]

    async def wait_for(self, share: float, what: Callable[[Reader], bool]) -> None:
        """Waits until the first readers of so many of the sessions that began last are so far."""
        sessions = self.sessions[-self.options.clients :]
        async with asyncio.timeout(self.options.patience):
            # Readers tell nobody.
            while sum(any(map(what, session.readers)) for session in sessions) < share * len(sessions):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def touch(self, *workers: Worker) -> None:
        """Says that turns of these workers may be interrupted."""
        self.untouched = {*self.untouched} - {str(worker.port) for worker in workers}

    # Scenarios.

    async def load(self) -> None:
        """Nothing but what users do."""
        self.rest = 0.5
        await asyncio.gather(*self.begin())

    async def chaos(self) -> None:
        """Everything at once: a worker dies, one freezes beyond its lease, servers restart, or the file is locked."""
        reading = self.begin()
        killed, frozen, untouched = self.servers.workers
        self.touch(killed, frozen)
        self.say(
            f"killed: worker {killed.port}; frozen: worker {frozen.port}; untouched: worker {untouched.port}"
        )
        await self.wait_for(self.options.begun, _has_text)
        killed.send(signal.SIGKILL)
        self.inject("kill", "killed a worker")
        await asyncio.sleep(1)
        await asyncio.to_thread(_freeze, frozen, self.servers.file)
        self.inject("freeze", "froze a worker")
        await asyncio.sleep(1)
        await self._restart_servers(signal.SIGKILL, signal.SIGINT)
        await asyncio.sleep(self.options.lease + 3)
        frozen.send(signal.SIGCONT)
        self.say("thawed the frozen worker")
        await asyncio.gather(*reading)
        killed.start()
        await asyncio.to_thread(killed.wait_ready)

    async def freezes(self) -> None:
        """A worker stands still for longer than its lease, and goes on."""
        reading = self.begin()
        frozen = self.servers.workers[0]
        self.touch(frozen)
        await self.wait_for(self.options.begun, _has_text)
        await asyncio.to_thread(_freeze, frozen, self.servers.file)
        self.inject("freeze", "froze a worker")
        await asyncio.sleep(self.options.lease * 2 + 2)
        frozen.send(signal.SIGCONT)
        self.say("thawed it")
        await asyncio.gather(*reading)

    async def crashes(self) -> None:
        """Workers die at any moment, one after the other, and are started again."""
        reading = self.begin(spread=self.options.spread * 3)
        self.untouched = ()
        await self.wait_for(0.1, _has_text)
        while any(not task.done() for task in reading):
            worker = self.random.choice(self.servers.workers)
            worker.send(signal.SIGKILL)
            self.inject("kill", f"killed worker {worker.port}")
            await asyncio.to_thread(worker.wait_gone)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
            await asyncio.wait(reading, timeout=self.random.uniform(0.2, self.options.lease))
        await asyncio.gather(*reading)

    async def restarts(self) -> None:
        """The servers restart under traffic, in order and by a crash; an SQLite file is locked instead."""
        reading = self.begin(spread=self.options.spread * 2)
        await self.wait_for(self.options.begun / 2, _has_text)
        for redis, postgres in ((signal.SIGTERM, signal.SIGINT), (signal.SIGKILL, signal.SIGQUIT)):
            await self._restart_servers(redis, postgres)
            await asyncio.sleep(self.random.uniform(0.5, 2))
        await asyncio.gather(*reading)

    async def _restart_servers(self, redis: signal.Signals, postgres: signal.Signals) -> None:
        servers = self.servers
        if servers.redis is not None:
            await asyncio.to_thread(servers.redis.restart, redis)
            self.inject("restart of Redis", f"restarted Redis ({redis.name})")
            await asyncio.sleep(1)
        if servers.postgres is not None:
            await asyncio.to_thread(servers.postgres.restart, postgres)
            self.inject("restart of PostgreSQL", f"restarted PostgreSQL ({postgres.name})")
        if servers.file is not None:
            await asyncio.to_thread(_lock, servers.file, 3.0)
            self.inject("lock of the file", "locked the file for 3 s")

    async def disk(self) -> None:
        """The disk of the database is full for a while: what cannot be stored fails, and says so."""
        disk, postgres = self.servers.disk, self.servers.postgres
        assert disk is not None
        self.may_fail = True
        self.untouched = ()
        reading = self.begin(spread=self.options.spread * 2)
        await self.wait_for(self.options.begun / 2, _has_text)
        await asyncio.to_thread(disk.fill)
        self.inject("full disk", "filled the disk")
        await asyncio.sleep(self.options.lease + self.random.uniform(1, 3))
        disk.free()
        self.say("the disk has room again")
        if postgres is not None and "PANIC" in postgres.log:
            # It ends where it cannot write what it needs to go on, and whoever looks after it starts it again.
            await asyncio.to_thread(postgres.restart)
            self.inject("restart of PostgreSQL", "started PostgreSQL again")
        self.broken_until = asyncio.get_running_loop().time() + self.options.lease
        await asyncio.gather(*reading)

    async def rolling(self) -> None:
        """All workers are replaced, one after the other, under load."""
        reading = self.begin(spread=max(self.options.spread, self.options.deltas * self.options.pause * 3))
        for worker in self.servers.workers:
            await asyncio.sleep(2)
            worker.send(signal.SIGTERM)
            await asyncio.to_thread(worker.wait_gone)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
            self.inject("replaced worker", f"replaced the worker on port {worker.port}")
        await asyncio.gather(*reading)

    async def kills(self) -> None:
        """One worker after the other is killed; measures when readers hear of it."""
        heard: list[float] = []
        self.untouched = ()
        for round_number in range(self.options.kills):
            begun = len(self.sessions)
            reading = self.begin(shapes=("single",), stops=0.0, spread=0.5, again=False)
            await self.wait_for(1.0, _has_text)
            worker = self.servers.workers[round_number % len(self.servers.workers)]
            worker.send(signal.SIGKILL)
            killed_at = asyncio.get_running_loop().time()
            await asyncio.gather(*reading)
            readers = [session.first.readers[0] for session in self.sessions[begun:]]
            hit = [reader for reader in readers if reader.worker == str(worker.port)]
            times = [reader.ended_at - killed_at for reader in hit if reader.end == "interrupted"]
            heard += times
            worst = f"{max(times):.2f} s" if times else "nobody"
            self.inject(
                "kill",
                f"kill {round_number + 1}: {len(hit)} turns of its own, heard by the last after {worst}",
            )
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
        if heard:
            heard.sort()
            p99 = heard[min(len(heard) - 1, int(len(heard) * 0.99))]
            self.say(
                f"{self.options.kills} kills, {len(heard)} interrupted turns: readers heard after "
                f"p50 {statistics.median(heard):.2f} s, p99 {p99:.2f} s (lease {self.options.lease:g} s)"
            )

    async def partition(self) -> None:
        """The network fails, the processes live on. Turns fail that cannot be stored for long, and say so."""
        self.may_fail = True
        self.rest = self.options.lease * 2 + 2
        reading = self.begin()
        cut, swallowed, untouched = self.servers.workers
        self.touch(cut, swallowed)
        links = {
            worker: (_link(worker.log_link), _link(worker.store_link)) for worker in self.servers.workers
        }
        self.say(
            f"without its log: worker {cut.port}; its log in a black hole: worker {swallowed.port}; without "
            f"PostgreSQL for a moment: worker {untouched.port}"
        )
        everything = list(dict.fromkeys(link for pair in links.values() for link in pair))
        flicker = asyncio.create_task(self._flicker(everything))
        try:
            await self.wait_for(self.options.begun, _has_text)
            await asyncio.gather(
                self._cut(links[cut][0], self._beyond_lease(), "its log", cut),
                self._black_hole(links[swallowed][0], swallowed),
                self._cut(links[untouched][1], self.options.store_cut, "PostgreSQL", untouched),
            )
            await asyncio.gather(*reading)
        finally:
            flicker.cancel()

    def _beyond_lease(self) -> float:
        """Returns seconds after which others may have taken the turns, some of which have ended then."""
        return self.options.lease * self.random.uniform(1.2, 4) + 2

    async def _cut(self, link: Link, seconds: float, what: str, worker: Worker) -> None:
        link.cut()
        self.inject("cut link", f"cut worker {worker.port} off from {what} for {seconds:.1f} s")
        await asyncio.sleep(seconds)
        link.heal()
        self.say(f"worker {worker.port} has {what} again")

    async def _black_hole(self, link: Link, worker: Worker) -> None:
        await asyncio.sleep(0.5)
        deliver = self.random.random() < 0.5
        link.black_hole()
        self.inject("black hole", f"what worker {worker.port} and its log send each other is swallowed")
        await asyncio.sleep(self._beyond_lease())
        link.heal(deliver=deliver)
        self.say(
            f"worker {worker.port} has its log again, what was swallowed {'arrives' if deliver else 'is lost'}"
        )

    async def _flicker(self, links: list[Link]) -> None:
        """Resets connections, at random."""
        source = random.Random(self.seed)
        while True:
            await asyncio.sleep(source.uniform(0.2, 2 * self.options.flicker))
            source.choice(links).reset()
            self.injected["reset of a link"] += 1


SCENARIOS: dict[str, Callable[[Run], Awaitable[None]]] = {
    "chaos": Run.chaos,
    "crashes": Run.crashes,
    "disk": Run.disk,
    "freezes": Run.freezes,
    "kills": Run.kills,
    "load": Run.load,
    "partition": Run.partition,
    "restarts": Run.restarts,
    "rolling": Run.rolling,
}


def _has_text(reader: Reader) -> bool:
    return bool(reader.texts)


def _freeze(worker: Worker, file: Path | None) -> None:
    """Suspends a worker, but not in the middle of a write to the file, which would lock out the others."""
    if file is None:
        worker.send(signal.SIGSTOP)
        return
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        worker.send(signal.SIGSTOP)
        connection.execute("ROLLBACK")


def _lock(file: Path, seconds: float) -> None:
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def _link(link: Link | None) -> Link:
    assert link is not None
    return link
