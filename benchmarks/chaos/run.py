"""Many clients against three workers behind nginx while workers and servers die, with every byte checked.

Usage: ``scripts/bench chaos [--scenario chaos|partition|kills|rolling|load] [--log redis|postgres|sqlite] ...``.
The exit code tells whether nothing was lost, doubled, reordered, endless, or other than the store has it.

In ``partition`` no process dies: the network between workers and servers fails. One worker loses the server of the
log, one sends into a black hole there, both for longer than a lease, the third one loses PostgreSQL for some seconds,
and all connections to both servers are reset at random the whole time. With the log in PostgreSQL, a worker that loses
the log's server loses the store as well; over SQLite there is no network. ``--lease 3`` has turns taken over in the
middle, and others end meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.chaos.client import Client, Plan
from benchmarks.chaos.script import Telling
from benchmarks.chaos.topology import Topology, Worker, topology
from tests.support.network import Link

__all__ = ["main"]

_GOOD = {"complete", "interrupted", "stopped"}


class Run:
    """One run of clients, with the faults of a scenario."""

    def __init__(self, servers: Topology, options: argparse.Namespace, seed: int) -> None:
        self.servers = servers
        self.options = options
        self.random = random.Random(seed)
        self.seed = seed
        self.bad = 0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def clients(
        self, count: int, *, first: int = 0, stops: float = 0.05, spread: float = 2.0
    ) -> list[Client]:
        """Makes clients of which some lose their connection, some stop, all think a moment first."""
        options, source = self.options, self.random
        made: list[Client] = []
        for number in range(first, first + count):
            cuts: tuple[int, ...] = ()
            if source.random() < options.cuts:
                cuts = tuple(source.randint(1, options.deltas) for _ in range(source.randint(1, 3)))
            stop = source.randint(2, options.deltas) if source.random() < stops else None
            plan = Plan(
                Telling(self.seed * 100_003 + number, options.deltas, options.pause),
                think=source.uniform(0, spread),
                cuts=cuts,
                stop_after=stop,
                deadline=options.deltas * options.pause + 3 * options.lease + 60,
            )
            made.append(Client(self.servers.port, number, plan))
        return made

    async def wait_for(self, clients: list[Client], share: float, what: Callable[[Client], bool]) -> None:
        """Waits until so many of the clients are so far."""
        async with asyncio.timeout(60):
            while sum(map(what, clients)) < share * len(clients):  # noqa: ASYNC110 -- clients tell nobody
                await asyncio.sleep(0.05)

    async def chaos(self) -> list[Client]:
        """Everything at once: a worker dies, one freezes beyond its lease, servers restart, or the file is locked."""
        clients = self.clients(self.options.clients)
        reading = [asyncio.create_task(client.run()) for client in clients]
        killed, frozen, untouched = self.servers.workers
        self.say(
            f"  killed: worker {killed.port}; frozen: worker {frozen.port}; untouched: worker {untouched.port}"
        )
        await self.wait_for(clients, self.options.begun, lambda client: bool(client.texts))
        killed.send(signal.SIGKILL)
        self.say("  killed a worker")
        await asyncio.sleep(1)
        await asyncio.to_thread(_freeze, frozen, self.servers.file)
        self.say("  froze a worker")
        await asyncio.sleep(1)
        if self.servers.redis is not None:
            await asyncio.to_thread(self.servers.redis.restart)
            self.say("  restarted Redis")
            await asyncio.sleep(1)
        if self.servers.postgres is not None:
            await asyncio.to_thread(self.servers.postgres.restart, signal.SIGINT)
            self.say("  restarted PostgreSQL")
        if self.servers.file is not None:
            await asyncio.to_thread(_lock, self.servers.file, 3.0)
            self.say("  locked the file for 3 s")
        await asyncio.sleep(self.options.lease + 3)
        frozen.send(signal.SIGCONT)
        self.say("  thawed the frozen worker")
        await asyncio.gather(*reading)
        killed.start()
        await asyncio.to_thread(killed.wait_ready)
        await asyncio.sleep(2)
        self._judge_untouched(untouched, clients)
        return clients

    def _judge_untouched(self, untouched: Worker, clients: list[Client]) -> None:
        counted = Counter(client.outcome() for client in clients if client.worker == str(untouched.port))
        unlike = {
            outcome: count for outcome, count in counted.items() if outcome not in {"complete", "stopped"}
        }
        self.say(f"  turns of the untouched worker: {dict(counted)}")
        if unlike:
            self.bad += sum(unlike.values())
            self.say(f"  NOT COMPLETE although nobody touched their worker: {unlike}")

    async def partition(self) -> list[Client]:
        """The network fails, the processes live on."""
        clients = self.clients(self.options.clients)
        cut, swallowed, untouched = self.servers.workers
        links = {
            worker: (_link(worker.log_link), _link(worker.store_link)) for worker in self.servers.workers
        }
        self.say(
            f"  without its log: worker {cut.port}; its log in a black hole: worker {swallowed.port}; without "
            f"PostgreSQL for a moment: worker {untouched.port}"
        )
        everything = list(dict.fromkeys(link for pair in links.values() for link in pair))
        flicker = asyncio.create_task(self._flicker(everything))
        reading = [asyncio.create_task(client.run()) for client in clients]
        try:
            await self.wait_for(clients, self.options.begun, lambda client: bool(client.texts))
            await asyncio.gather(
                self._cut(links[cut][0], self._beyond_lease(), "its log", cut),
                self._black_hole(links[swallowed][0], swallowed),
                self._cut(links[untouched][1], self.options.store_cut, "PostgreSQL", untouched),
            )
            await asyncio.gather(*reading)
        finally:
            flicker.cancel()
        # What was held back until now, and what nobody has ended so far, is over in the store as well.
        await asyncio.sleep(self.options.lease * 2 + 2)
        self._judge_untouched(untouched, clients)
        return clients

    def _beyond_lease(self) -> float:
        """Returns seconds after which others may have taken the turns, some of which have ended then."""
        return self.options.lease * self.random.uniform(1.2, 4) + 2

    async def _cut(self, link: Link, seconds: float, what: str, worker: Worker) -> None:
        link.cut()
        self.say(f"  cut worker {worker.port} off from {what} for {seconds:.1f} s")
        await asyncio.sleep(seconds)
        link.heal()
        self.say(f"  worker {worker.port} has {what} again")

    async def _black_hole(self, link: Link, worker: Worker) -> None:
        await asyncio.sleep(0.5)
        deliver = self.random.random() < 0.5
        link.black_hole()
        self.say(f"  what worker {worker.port} and its log send each other is swallowed")
        await asyncio.sleep(self._beyond_lease())
        link.heal(deliver=deliver)
        self.say(
            f"  worker {worker.port} has its log again, what was swallowed {'arrives' if deliver else 'is lost'}"
        )

    async def _flicker(self, links: list[Link]) -> None:
        """Resets connections, at random."""
        source = random.Random(self.seed)
        while True:
            await asyncio.sleep(source.uniform(0.2, 2 * self.options.flicker))
            source.choice(links).reset()

    async def load(self) -> list[Client]:
        """No faults but those of the clients."""
        clients = self.clients(self.options.clients)
        await asyncio.gather(*(client.run() for client in clients))
        return clients

    async def rolling(self) -> list[Client]:
        """All workers are replaced, one after the other, under load."""
        clients = self.clients(self.options.clients, spread=self.options.deltas * self.options.pause * 3)
        reading = [asyncio.create_task(client.run()) for client in clients]
        for worker in self.servers.workers:
            await asyncio.sleep(2)
            worker.send(signal.SIGTERM)
            await asyncio.to_thread(worker.wait_gone)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
            self.say(f"  replaced the worker on port {worker.port}")
        await asyncio.gather(*reading)
        failed = Counter(client.outcome() for client in clients)
        del failed["complete"], failed["stopped"]
        if failed:
            self.bad += failed.total()
            self.say(f"  FAILED in a rolling restart: {dict(failed)}")
        return clients

    async def kills(self) -> list[Client]:
        """One worker after the other is killed; measures when readers hear of it."""
        everyone: list[Client] = []
        heard: list[float] = []
        for round_number in range(self.options.kills):
            clients = self.clients(self.options.clients, first=len(everyone), stops=0.0, spread=0.5)
            everyone += clients
            reading = [asyncio.create_task(client.run()) for client in clients]
            await self.wait_for(clients, 1.0, lambda client: bool(client.texts))
            worker: Worker = self.servers.workers[round_number % len(self.servers.workers)]
            worker.send(signal.SIGKILL)
            killed_at = asyncio.get_running_loop().time()
            await asyncio.gather(*reading)
            hit = [client for client in clients if client.worker == str(worker.port)]
            times = [client.ended_at - killed_at for client in hit if client.end == "interrupted"]
            heard += times
            worst = f"{max(times):.2f} s" if times else "nobody"
            self.say(
                f"  kill {round_number + 1}: {len(hit)} turns of its own, heard by the last after {worst}"
            )
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
        if heard:
            heard.sort()
            p99 = heard[min(len(heard) - 1, int(len(heard) * 0.99))]
            self.say(
                f"  {self.options.kills} kills, {len(heard)} interrupted turns: readers heard after "
                f"p50 {statistics.median(heard):.2f} s, p99 {p99:.2f} s (lease {self.options.lease:g} s)"
            )
        return everyone

    async def judge(self, clients: list[Client]) -> bool:
        """Prints the count and tells whether it is clean."""
        outcomes = Counter(client.outcome() for client in clients)
        self.say(f"  seed {self.seed}: {dict(outcomes.most_common())}")
        disagreements: list[str] = []
        for client in clients:
            if client.thread_id:
                found = await client.compare_with_store()
                if found is not None:
                    disagreements.append(f"client {client.number} ({client.outcome()}): {found}")
        self.say(
            f"  reconnects {sum(client.reconnects for client in clients)}, snapshots "
            f"{sum(client.snapshots for client in clients)}, store rows that disagree {len(disagreements)}, shown text "
            f"taken back at most {max(client.shrunk for client in clients)} characters"
        )
        for line in disagreements[:10]:
            self.say(f"    {line}")
        for client in clients:
            if client.outcome() not in _GOOD:
                self.say(
                    f"    client {client.number} of worker {client.worker}: {client.outcome()} "
                    f"(end {client.end}, {client.thread_id}, refused: {client.refusals[-1:]})"
                )
        bad = sum(count for outcome, count in outcomes.items() if outcome not in _GOOD) + len(disagreements)
        return bad + self.bad == 0


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


async def _run(options: argparse.Namespace, servers: Topology, seed: int) -> bool:
    run = Run(servers, options, seed)
    scenarios: dict[str, Callable[[], Coroutine[Any, Any, list[Client]]]] = {
        "chaos": run.chaos,
        "kills": run.kills,
        "load": run.load,
        "partition": run.partition,
        "rolling": run.rolling,
    }
    return await run.judge(await scenarios[options.scenario]())


def main(arguments: list[str] | None = None) -> int:
    """Runs a scenario and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scenario", default="chaos", choices=["chaos", "partition", "kills", "load", "rolling"]
    )
    parser.add_argument(
        "--log", default="redis", choices=["redis", "postgres", "sqlite"], help="where the stream log is"
    )
    parser.add_argument("--clients", type=int, default=300, help="turns at once")
    parser.add_argument("--deltas", type=int, default=200, help="text deltas of an answer")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two of them")
    parser.add_argument("--cuts", type=float, default=0.3, help="share of clients that lose their connection")
    parser.add_argument("--lease", type=float, default=10.0, help="seconds")
    parser.add_argument("--rerun", type=int, default=0, help="reruns of a turn after a crash")
    parser.add_argument(
        "--begun",
        type=float,
        default=0.95,
        help="share of clients that see text when the faults of chaos begin",
    )
    parser.add_argument("--kills", type=int, default=20, help="kills in the scenario of that name")
    parser.add_argument(
        "--drain", type=float, default=30.0, help="seconds to end turns, in the scenario rolling"
    )
    parser.add_argument(
        "--store-cut", type=float, default=3.0, help="seconds without PostgreSQL, in the scenario partition"
    )
    parser.add_argument(
        "--flicker", type=float, default=1.0, help="seconds between resets, in the scenario partition"
    )
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.log == "sqlite" and options.scenario == "partition":
        parser.error("there is no network between workers and an SQLite file")
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    drain = options.drain if options.scenario == "rolling" else 0.0
    print(
        f"{options.scenario}: {options.clients} clients, {options.deltas} deltas at {options.pause * 1000:g} ms, "
        f"log in {options.log}, lease {options.lease:g} s, seed {seed}",
        flush=True,
    )
    with topology(
        log=options.log,
        lease=options.lease,
        drain=drain,
        rerun=options.rerun,
        links=options.scenario == "partition",
    ) as servers:
        clean = asyncio.run(_run(options, servers, seed))
        if not clean:
            print(servers.logs()[-6000:], file=sys.stderr)
    print("ok" if clean else "NOT CLEAN")
    return 0 if clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
