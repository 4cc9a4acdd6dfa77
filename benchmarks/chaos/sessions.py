"""What users do: they ask, in one thread each, often twice at once, at several workers, and again later."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final

from benchmarks.chaos.asks import Ask, Kind, Plan
from benchmarks.chaos.client import Reader
from benchmarks.chaos.script import Telling
from benchmarks.chaos.wire import Refused, ask_json

__all__ = ["SHAPES", "Habits", "Session"]

SHAPES: Final = ("single", "twice", "several", "output", "action", "retry")
"""One message; the same at two workers within milliseconds; several messages at once; and the other requests that
have something answered, each sent twice."""
_ASKS_PER_SESSION: Final = 10


@dataclass(frozen=True, slots=True)
class Habits:
    """What the sessions of a run have in common.

    Attributes:
        seed: Of the run.
        shapes: Those that are drawn from.
        deltas: Text deltas of an answer.
        pause: Seconds between two of them.
        spread: Seconds within which the sessions begin.
        cuts: Share of readers that lose their connection.
        stops: Share of single messages whose answer is stopped.
        stock: Share of readers that know nothing of turns.
        again: Whether requests are sent again later, with the same body and with another one.
        patience: Seconds after which an answer without an end is an endless one.
        reruns: Whether turns of dead workers run again.
    """

    seed: int
    shapes: tuple[str, ...] = ("single",)
    deltas: int = 200
    pause: float = 0.05
    spread: float = 2.0
    cuts: float = 0.3
    stops: float = 0.05
    stock: float = 0.0
    again: bool = False
    patience: float = 90.0
    reruns: bool = False


@dataclass
class Session:
    """One user, one thread, and all that was asked in it.

    Attributes:
        number: Of the session; decides its user and what it does.
        habits: Those of the run.
        port: Of nginx.
        workers: Ports of the workers, which requests that go out at once are sent to without nginx.
        asks: What was asked, in order.
        replay: What a page that is loaded again is shown of the last turn.
        faults: What must not be.
    """

    number: int
    habits: Habits
    port: int
    workers: list[int]
    asks: list[Ask] = field(default_factory=list[Ask])
    replay: Reader | None = None
    faults: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.habits.seed} {self.number}")
        # In turn, so that a small run has all of them.
        self.shape = self.habits.shapes[self.number % len(self.habits.shapes)]
        self._think = self.random.uniform(0, self.habits.spread)
        self.first = self._ask("create", tool=self.shape == "output")

    @property
    def user(self) -> str:
        return f"user-{self.number}"

    @property
    def thread_id(self) -> str:
        return self.first.thread_id

    @property
    def readers(self) -> list[Reader]:
        """All readers of what was asked."""
        return [reader for ask in self.asks for reader in ask.readers]

    def _ask(self, kind: Kind, *, tool: bool = False) -> Ask:
        habits, number = self.habits, self.number * _ASKS_PER_SESSION + len(self.asks)
        telling = Telling(habits.seed * 1_000_003 + number, habits.deltas, habits.pause, tool)
        thread_id = self.thread_id if self.asks else ""
        made = Ask(number, self.user, kind, telling, thread_id=thread_id)
        self.asks.append(made)
        return made

    def _reader(
        self, ask: Ask, *, think: float = 0.0, first_port: int | None = None, may_stop: bool = False
    ) -> Reader:
        """Makes a reader, of which some lose their connection, some stop, and some know nothing of turns."""
        habits, source = self.habits, self.random
        stock = source.random() < habits.stock
        cuts: tuple[int, ...] = ()
        if source.random() < habits.cuts and not stock:
            cuts = tuple(source.randint(1, habits.deltas) for _ in range(source.randint(1, 3)))
        stops = source.random() < habits.stops and may_stop and not stock
        stop_after = source.randint(2, habits.deltas) if stops else None
        plan = Plan(think, cuts, stop_after, habits.patience, stock, reruns=habits.reruns)
        return Reader(ask, self.port, plan, first_port)

    async def run(self) -> None:
        """Does all of it, and returns when every reader has got its end or given up."""
        await asyncio.sleep(self._think)
        if self.shape == "twice":
            await self._send_twice(self.first)
        else:
            await self._reader(self.first, may_stop=self.shape == "single").run()
        if not self.thread_id:
            return
        match self.shape:
            case "several":
                await self._send_several()
            case "output" if self.first.readers[0].calls:
                await self._send_twice(self._ask("output"))
            case "action":
                await asyncio.gather(*(self._send_twice(self._ask("action")) for _ in range(2)))
            case "retry" if self.first.readers[0].messages:
                retry = self._ask("retry")
                retry.telling = self.first.telling
                # Told under several ids, which the judge minds, it is retried under the last one.
                *_, retry.item_id = self.first.readers[0].messages
                await self._send_twice(retry)
            case _:
                pass
        if self.habits.again:
            await self._send_again()
        await self._load_again()

    async def _send_twice(self, ask: Ask) -> None:
        """Sends one request to two workers within milliseconds."""
        ports = self.random.sample(self.workers, 2)
        gap = self.random.choice([0.0, self.random.uniform(0, 0.02), self.random.uniform(0, 0.2)])
        first = self._reader(ask, first_port=ports[0])
        second = self._reader(ask, think=gap, first_port=ports[1])
        await asyncio.gather(first.run(), second.run())

    async def _send_several(self) -> None:
        """Sends several messages into the thread at once, or each as soon as the one before is taken."""
        ports = self.random.choice([self.workers, self.random.sample(self.workers, 1)])
        in_turn = self.random.random() < 0.7
        reading: list[asyncio.Task[None]] = []
        for _ in range(self.random.choice([2, 3, 3])):
            ask = self._ask("message")
            reader = self._reader(ask, first_port=self.random.choice(ports))
            task = asyncio.create_task(reader.run())
            reading.append(task)
            if in_turn:
                taken = asyncio.create_task(ask.taken.wait())
                # Refused or cut off, it comes again by itself.
                await asyncio.wait({taken, task}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                taken.cancel()
        await asyncio.gather(*reading)

    async def _send_again(self) -> None:
        """Sends what was answered once more, and something else under the same key, which is to be refused."""
        # The last of each kind: a message of before a retry is no longer what it was.
        for ask in {ask.kind: ask for ask in self.asks}.values():
            if ask.readers[0].end is None or (ask.kind == "create" and self.shape == "retry"):
                continue
            port = self.random.choice(self.workers)
            reader = Reader(
                ask, self.port, Plan(deadline=self.habits.patience, reruns=self.habits.reruns), port
            )
            await reader.run()
            await self._send_other(ask)

    async def _send_other(self, ask: Ask) -> None:
        try:
            await ask_json(self.port, self.user, ask.body(other=True))
        except Refused as error:
            if error.status != 422:
                self.faults.append(f"another {ask.kind} under the key was refused with {error}")
        except ValueError:
            # A stream is no JSON.
            self.faults.append(f"another {ask.kind} under the key was taken")
        except TimeoutError:
            self.faults.append(f"another {ask.kind} under the key was not answered")

    async def _load_again(self) -> None:
        plan = Plan(deadline=self.habits.patience, resumes=True, reruns=self.habits.reruns)
        self.replay = Reader(self.asks[-1], self.port, plan)
        await self.replay.run()
