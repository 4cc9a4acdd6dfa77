"""A model of how workers accept messages, over one store and one log, in an order and with faults that a seed decides.

The store is the real one in memory, with a clock of the model's. What a worker does between two waits is one step.
Between any two steps it may stand still or die, or find that it cannot begin a turn, a client may send its message
again, time may pass, and the log may lose what it has, which living workers write again. Or each worker has a log of
its own, which no other one can read. They renew the leases of their turns in the store meanwhile.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from unittest import mock

from chatkit.errors import StaleTurnError
from chatkit.store import Acceptance, AcceptedTurn, MemoryStore, TurnStatus, TurnWrites
from chatkit.store.base import Fence, current_fence
from chatkit.types import (
    AssistantMessageItem,
    InferenceOptions,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

__all__ = ["PLANTS", "History", "run"]

ADA: Final = {"user_id": "ada"}
LEASE: Final = 10.0
THREAD: Final = "thr"
KEPT: Final = 3 * LEASE
"""Seconds for which a worker renews its turns in the store."""
RELEASED: Final = -1
"""Who has a turn in the log that its worker has left to others."""
UNKNOWN: Final = 2 * LEASE
"""Seconds for which an opened turn has to be unknown to the log before a sweep ends it."""
PLANTS: Final = ("fence", "key", "order", "anew", "renewal", "withdrawal")
"""Faults that are planted in the store or the workers, to see whether the model finds them."""

Steps = Generator[None, None, None]


class Clock:
    """The time of the model, in the place of the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never waits, as those of the store in memory."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("The store waited.")


@dataclass
class LogTurn:
    """A turn in the log: whose it is, and how it ended."""

    holder: int
    ended: str = ""


@dataclass
class Worker:
    """A worker: asleep until some time, and what it has under way."""

    number: int
    asleep_until: float = 0.0
    renewed_at: float = 0.0
    running: list[tuple[Steps, str]] = field(default_factory=list[tuple[Steps, str]])
    held: dict[str, Fence] = field(default_factory=dict[str, Fence])
    kept_at: float = 0.0
    unknown: dict[str, float] = field(default_factory=dict[str, float])


@dataclass
class Client:
    """A message that is sent until its sender was told an end."""

    key: str
    told: str = ""


class History:
    """One history.

    Args:
        seed: Decides the order of steps and the faults.
        plant: A fault that is planted.
    """

    def __init__(self, seed: int, plant: str = "") -> None:
        self.random = random.Random(seed)
        self.clock = Clock()
        self.plant = plant
        self.store = MemoryStore[Any]()
        self.log: dict[str, LogTurn] = {}
        self.workers = [Worker(number) for number in range(3)]
        self.clients = [Client(f"key_{number}") for number in range(self.random.randint(1, 4))]
        self.numbers = iter(range(10_000))
        self.accepted: list[str] = []
        self.shared = self.random.random() < 0.5
        self.harmed = False
        self.faults = True
        self.taken: list[str] = []
        self.late: list[str] = []

    def run(self) -> list[str]:
        """Runs the history to its end; returns what is wrong with it."""
        at_once(self.store.save_thread(ThreadMetadata(id=THREAD), ADA))
        for _ in range(self.random.randint(20, 120)):
            self._step(faults=True)
        for worker in self.workers:
            worker.asleep_until = 0.0
        for _ in range(3000):
            if all(client.told for client in self.clients) and not any(w.running for w in self.workers):
                break
            self._step(faults=False)
        return self._wrong()

    # What happens.

    def _step(self, *, faults: bool) -> None:
        self.faults = faults
        choice = self.random.random()
        if choice < 0.14:
            self.clock.now += self.random.choice([0.1, 1.0, 4.0, 12.0])
        elif choice < 0.24:
            self._send()
        elif choice < 0.34:
            self._begin(self.random.choice(self.workers), self._sweep(), "sweep")
        elif faults and choice < 0.40:
            self._harm(self.random.choice(self.workers))
        elif faults and choice < 0.41 and self.shared:
            self.log.clear()
        else:
            self._work()
        for worker in self.workers:
            if worker.asleep_until <= self.clock.now:
                worker.renewed_at = self.clock.now
                self._keep(worker)

    def _keep(self, worker: Worker) -> None:
        """Has a worker that lives renew its turns in the store, and write to the log what that has lost."""
        for turn_id in worker.held:
            self.log.setdefault(self._place(worker, turn_id), LogTurn(worker.number))
        if self.plant != "renewal" and self.clock.now - worker.kept_at >= LEASE / 2:
            worker.kept_at = self.clock.now
            at_once(self.store.renew_turns([(ADA["user_id"], fence) for fence in worker.held.values()], KEPT))

    def _harm(self, worker: Worker) -> None:
        self.harmed = True
        if self.random.random() < 0.5:
            # Another process with its number comes in its place.
            self.workers[worker.number % 3] = Worker(worker.number + 3, renewed_at=self.clock.now)
        else:
            worker.asleep_until = self.clock.now + self.random.choice([1.0, 12.0, 30.0])

    def _send(self) -> None:
        waiting = [client for client in self.clients if not client.told]
        if waiting:
            client = self.random.choice(waiting)
            self._begin(self.random.choice(self.workers), self._request(client), client.key)

    def _begin(self, worker: Worker, steps: Steps, name: str) -> None:
        under_way = [running for _, running in worker.running].count(name)
        if worker.asleep_until <= self.clock.now and under_way < (1 if name == "sweep" else 2):
            worker.running.append((steps, name))

    def _work(self) -> None:
        ready = [w for w in self.workers if w.running and w.asleep_until <= self.clock.now]
        if not ready:
            self.clock.now += 1.0
            return
        worker = self.random.choice(ready)
        entry = self.random.choice(worker.running)
        self.mine = worker
        try:
            next(entry[0])
        except StopIteration:
            worker.running.remove(entry)

    # What a worker does: a step ends at each ``yield``.

    def _request(self, client: Client) -> Steps:
        store = self.store
        yield
        found: AcceptedTurn | None = None
        if self.plant != "key":
            found = at_once(store.find_keyed_turn(client.key, ADA))
            yield
        if found is None:
            acceptance = self._acceptance(client)
            found = at_once(store.accept_turn(acceptance, ADA))
            if found.fresh:
                self.accepted.append(client.key)
                yield
                if self._withdraws(found, acceptance):
                    self.accepted.remove(client.key)
                else:
                    yield from self._turn(found, client)
                return
            yield
        yield from self._join(found, client)

    def _acceptance(self, client: Client, replaces: AcceptedTurn | None = None) -> Acceptance:
        turn_id = f"turn_{next(self.numbers)}"
        item = _message(client.key, turn_id)
        return Acceptance(
            turn_id,
            THREAD,
            LEASE,
            TurnWrites(message=item) if replaces is None else TurnWrites(),
            user_item_id=item.id if replaces is None else replaces.user_item_id,
            key=None if self.plant == "key" else client.key,
            policy="allow" if replaces is not None and self.plant == "anew" else "enqueue",
            replaces=None if replaces is None else replaces.turn_id,
        )

    def _withdraws(self, accepted: AcceptedTurn, acceptance: Acceptance) -> bool:
        """Takes a turn back, now and then, as one that cannot be opened; returns whether it did."""
        if not self.faults or self.random.random() > 0.2:
            return False
        if self.plant == "withdrawal":
            acceptance = replace(acceptance, replaces=None)
        return bool(at_once(self.store.withdraw_turn(acceptance, accepted.token, ADA)))

    def _turn(self, accepted: AcceptedTurn, client: Client | None, *, answers: bool = True) -> Steps:
        store, worker, turn_id = self.store, self.mine, accepted.turn_id
        # One that is there and another worker's is left alone.
        logged = self.log.setdefault(self._place(worker, turn_id), LogTurn(worker.number))
        yield
        if accepted.claimed and accepted.status is TurnStatus.BEGUN and logged.holder != worker.number:
            at_once(store.finish_turn(turn_id, accepted.token, "interrupted", ADA))
            return
        try:
            at_once(store.open_turn(turn_id, accepted.token, ADA))
        except StaleTurnError:
            self._leave(worker, turn_id)
            return
        worker.held[turn_id] = Fence(turn_id, accepted.token)
        try:
            yield from self._opened(accepted, client, answers=answers)
        except StaleTurnError:
            self._leave(worker, turn_id)
        finally:
            worker.held.pop(turn_id, None)

    def _opened(self, accepted: AcceptedTurn, client: Client | None, *, answers: bool) -> Steps:
        store, worker, turn_id = self.store, self.mine, accepted.turn_id
        yield
        while accepted.status is TurnStatus.WAITING and at_once(
            store.begin_waiting_turn(turn_id, accepted.token, ADA, at_once=self.plant == "order")
        ):
            yield
        yield
        if answers:
            self._write(accepted, f"a_{accepted.user_item_id}")
            yield
        end = "completed" if answers else "interrupted"
        noted = at_once(store.finish_turn(turn_id, accepted.token, end, ADA))
        yield
        if noted:
            self._end(worker, turn_id, end, client)
        else:
            self._leave(worker, turn_id)

    def _write(self, accepted: AcceptedTurn, item_id: str) -> None:
        before = current_fence.set(None if self.plant == "fence" else Fence(accepted.turn_id, accepted.token))
        try:
            item = AssistantMessageItem(id=f"{item_id}_{next(self.numbers)}", content=[])
            at_once(self.store.add_thread_item(THREAD, item, ADA))
        finally:
            current_fence.reset(before)
        found = at_once(self.store.find_turn(accepted.turn_id, ADA))
        if found is None or found.status is TurnStatus.ENDED or found.token != accepted.token:
            self.late.append(accepted.turn_id)

    def _place(self, worker: Worker, turn_id: str) -> str:
        """Returns where a worker has a turn in its log."""
        return turn_id if self.shared else f"{turn_id} at {worker.number}"

    def _leave(self, worker: Worker, turn_id: str) -> None:
        """Says nothing more of a turn that another worker has; who sweeps finds it in a log that all share."""
        turn = self.log.get(self._place(worker, turn_id))
        if turn is None or turn.holder != worker.number or turn.ended:
            return
        if self.shared:
            turn.holder = RELEASED
        else:
            del self.log[self._place(worker, turn_id)]

    def _end(self, worker: Worker, turn_id: str, end: str, client: Client | None) -> None:
        turn = self.log.get(self._place(worker, turn_id))
        if turn is None or turn.holder != worker.number or turn.ended:
            return
        turn.ended = end
        if client is not None:
            client.told = end

    def _join(self, found: AcceptedTurn, client: Client) -> Steps:
        store = self.store
        while True:
            turn = self._known(found.turn_id)
            if turn is not None and turn.ended:
                client.told = turn.ended
                return
            now = at_once(store.find_turn(found.turn_id, ADA))
            yield
            if now is None:
                return
            found = now
            if found.status is TurnStatus.ENDED and found.opened:
                client.told = found.end
                return
            if found.status is TurnStatus.ENDED:
                # No handler was called for it: it begins anew, unless another message came after it.
                anew = self._acceptance(client, found)
                again = at_once(store.accept_turn(anew, ADA))
                yield
                if again.fresh:
                    if not self._withdraws(again, anew):
                        yield from self._turn(again, client)
                    return
                if again.turn_id == found.turn_id:
                    client.told = found.end
                    return
                found = again
                continue
            if (turn is None or turn.ended) and found.lapsed and not found.opened:
                claimed = at_once(store.claim_turn(found, LEASE, ADA))
                yield
                if claimed is not None:
                    yield from self._turn(claimed, client)
                    return
            yield

    def _sweep(self) -> Steps:
        """Ends what dead workers have left: first what the log knows, then what only the store does."""
        store, worker = self.store, self.mine
        for turn_id, logged in list(self.log.items()):
            if logged.ended or not self.shared or self._lives(logged.holder):
                continue
            logged.holder = worker.number
            yield
            found = at_once(store.find_turn(turn_id, ADA))
            if found is None:
                continue
            if found.status is TurnStatus.ENDED:
                self._end(worker, turn_id, found.end, None)
                continue
            yield
            try:
                token = at_once(store.begin_turn(THREAD, turn_id, ADA))
            except StaleTurnError:
                continue
            yield
            worker.running.append((self._interrupted(found, token), "interrupted"))
        for entry in at_once(store.lapsed_turns(2 * LEASE)):
            found = entry.turn
            turn = self._known(found.turn_id)
            if turn is not None and not turn.ended:
                continue
            since = worker.unknown.pop(found.turn_id, self.clock.now)
            if found.opened and turn is None and self.clock.now - since < UNKNOWN:
                worker.unknown[found.turn_id] = since
                continue
            claimed = at_once(store.claim_turn(found, LEASE, ADA))
            yield
            if claimed is None:
                continue
            if found.opened and not self.harmed:
                self.taken.append(found.turn_id)
            waits = claimed.status is TurnStatus.WAITING
            left = (
                self._turn(claimed, None, answers=False)
                if waits
                else self._interrupted(claimed, claimed.token)
            )
            worker.running.append((left, "interrupted"))

    def _interrupted(self, found: AcceptedTurn, token: int) -> Steps:
        """Ends a turn of a worker that died; the message of one that waits is moved into its place first."""
        worker, turn_id = self.mine, found.turn_id
        with suppress(StaleTurnError):
            while found.status is TurnStatus.WAITING and at_once(
                self.store.begin_waiting_turn(turn_id, token, ADA)
            ):
                yield
        at_once(self.store.finish_turn(turn_id, token, "interrupted", ADA))
        yield
        self._end(worker, turn_id, "interrupted", None)

    def _known(self, turn_id: str) -> LogTurn | None:
        """Returns what the worker whose step it is can know of a turn."""
        return self.log.get(self._place(self.mine, turn_id))

    def _lives(self, holder: int) -> bool:
        return any(
            worker.number == holder and self.clock.now - worker.renewed_at < LEASE for worker in self.workers
        )

    # What must hold.

    def _wrong(self) -> list[str]:
        page = at_once(self.store.load_thread_items(THREAD, None, 1000, "asc", ADA))
        ids = [item.id for item in page.data]
        wrong = [f"{client.key} was told no end" for client in self.clients if not client.told]
        wrong += [f"{turn_id} was ended although every worker lived" for turn_id in self.taken]
        wrong += [f"{turn_id} was written to by a worker that had lost it" for turn_id in self.late]
        messages = [name.split("_")[2] for name in ids if name.startswith("m_")]
        for client in self.clients:
            count = messages.count(client.key.removeprefix("key_"))
            if count != 1:
                wrong.append(f"{client.key} is stored {count} times")
        answers = [name.split("_")[3] for name in ids if name.startswith("a_")]
        wrong += [f"key_{name} is answered twice" for name in set(answers) if answers.count(name) > 1]
        if messages != [key.removeprefix("key_") for key in self.accepted]:
            wrong.append(f"accepted in the order {self.accepted}, stored in the order {messages}")
        last = ""
        for name in ids:
            if name.startswith("m_"):
                last = name.split("_")[2]
            elif name.split("_")[3] != last:
                wrong.append(f"{name} stands after another message than its own")
        return wrong


def _message(key: str, turn_id: str) -> Any:
    return UserMessageItem(
        id=f"m_{key}_{turn_id}",
        thread_id=THREAD,
        content=[UserMessageTextContent(text=key)],
        attachments=[],
        inference_options=InferenceOptions(),
    )


@contextmanager
def _clock_of(history: History) -> Generator[None]:
    with (
        mock.patch("chatkit.store._memory_turns.time", history.clock),
        mock.patch("chatkit.store.memory.time", history.clock),
    ):
        yield


def run(seeds: range, plant: str = "", tell: Callable[[int, list[str]], None] | None = None) -> list[int]:
    """Runs a history for each seed; returns the seeds of those that are wrong."""
    found: list[int] = []
    for seed in seeds:
        history = History(seed, plant)
        with _clock_of(history):
            wrong = history.run()
        if wrong:
            found.append(seed)
            if tell is not None:
                tell(seed, wrong)
    return found


def main() -> None:
    """Runs as many histories as the argument says, from a seed that the clock gives or a second argument names."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() // 1000 % 10**9
    say = sys.stdout.write
    say(f"{count} histories from seed {first}\n")
    found = run(range(first, first + count), tell=lambda seed, wrong: say(f"{seed}: {wrong}\n"))
    for plant in PLANTS:
        say(f"planted {plant}: found in {len(run(range(first, first + 2000), plant))} of 2000\n")
    say(f"{len(found)} wrong\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
