"""Kills workers at every point of the journal of a turn, and counts what became of the turn.

``python -m tests.server.journal_kills 300`` runs so many cases, over SQLite, PostgreSQL, and PostgreSQL with Redis,
drawn by a seed that the clock gives or a second argument names, and prints a table.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from chatkit.errors import StoreUnavailableError, TurnNotFoundError
from chatkit.ids import new_id
from tests.server.dying_worker_process import Place
from tests.server.journal_worker_process import (
    ANSWER,
    EFFECTS,
    STEPS,
    TOOLS,
    Orders,
    Points,
    make_server,
    work,
)
from tests.server.kill_points import AT_ONCE, SETUPS, Places
from tests.server.support import decode, drain, texts
from tests.support.scale import scaled

FLOWS = ("steps", "agent")
LIMIT = scaled(40.0)
_PAUSE = 0.1
_TRIES = 3
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.server.journal_worker_process"])


class Case(NamedTuple):
    """A worker that dies.

    Attributes:
        setup: See ``Place``.
        flow: See ``Orders``.
        point: See ``Orders``.
    """

    setup: str
    flow: str
    point: int


@dataclass
class Outcome:
    """What became of a turn.

    Attributes:
        died: The moment at which its worker died.
        end: ``"completed"``, ``"unsure"``, or what else.
        twice: Steps with one effect that had two.
        silent: Steps that had an effect more than once although nothing allows it: keyed ones under two keys.
        skipped: Steps of a completed turn that had no effect.
        paid: Calls of models that were paid again.
        wrong: What else is wrong.
    """

    died: str = ""
    end: str = ""
    twice: list[str] = field(default_factory=list[str])
    silent: list[str] = field(default_factory=list[str])
    skipped: list[str] = field(default_factory=list[str])
    paid: int = 0
    wrong: list[str] = field(default_factory=list[str])

    @property
    def faults(self) -> list[str]:
        found = [*self.wrong]
        found += [f"{name} had its effect twice" for name in self.twice]
        found += [f"{name} was repeated under another key" for name in self.silent]
        found += [f"{name} was skipped" for name in self.skipped]
        found += [f"{self.paid} calls of models were paid again"] if self.paid > 1 else []
        return found


async def run_case(case: Case, place: Place) -> Outcome:
    """Runs a case: a worker dies, another one goes on with the turn.

    On a busy machine that one may stand still for longer than its lease, and so count as dead, too: then there were
    more than two attempts, and the case is run again.
    """
    for _ in range(_TRIES - 1):
        outcome = await _run_once(case, place)
        if outcome.end != "interrupted":
            return outcome
        owner = new_id("owner")
        place = place._replace(owner=owner, prefix=f"{owner}:")
    return await _run_once(case, place)


async def _run_once(case: Case, place: Place) -> Outcome:
    outcome = Outcome()
    try:
        async with asyncio.timeout(LIMIT):
            with tempfile.TemporaryDirectory() as folder:
                orders = Orders(place, case.flow, str(Path(folder) / "ledger"), case.point)
                await _run(orders, outcome)
    except Exception as error:  # noqa: BLE001 -- the others go on
        outcome.wrong.append(f"failed: {error!r}")
    return outcome


async def _run(orders: Orders, outcome: Outcome) -> None:
    facts = await _worker(orders)
    outcome.died = facts.get("died", "")
    if orders.point and "seen" in facts:
        outcome.wrong.append(f"the worker did not die: {facts}")
        return
    context = {"user_id": orders.place.owner}
    server = make_server(orders, Points())
    try:
        (thread,) = (await server.store.load_threads(9, None, "asc", context)).data
        thread_id = thread.id
        turn = await _ended(server, thread_id, context) if orders.point else None
        frames: list[bytes] = []
        body = f'{{"type":"turns.resume","params":{{"thread_id":"{thread_id}"}}}}'
        with suppress(TurnNotFoundError):
            frames = await drain(await server.process(body, context))
        items = await server.store.load_thread_items(thread_id, None, 100, "asc", context)
        _judge(orders, outcome, turn, decode(frames), texts(items.data))
        left = await server.store.load_steps("%" if turn is None else turn.turn_id, context)
        outcome.wrong += ["its steps are kept after its end"] if left else []
    finally:
        await server.close()


async def _worker(orders: Orders) -> dict[str, Any]:
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=work, args=(orders, sender), daemon=True)
    await asyncio.to_thread(process.start)
    sender.close()

    def wait() -> dict[str, Any]:
        facts: dict[str, Any] = {}
        with suppress(EOFError):
            while True:
                if not receiver.poll(LIMIT):
                    process.kill()
                word, value = receiver.recv()
                facts[word] = value
        process.join()
        process.close()
        receiver.close()
        return facts

    return await asyncio.to_thread(wait)


async def _ended(server: Any, thread_id: str, context: Any) -> Any:
    """Sweeps, as applications do, until the turn has ended, and returns it."""
    turn_id = ""
    while True:
        # A database that does not answer in time is asked again.
        with suppress(StoreUnavailableError):
            await server.recover()
            if not turn_id:
                beside = await server.store.turns_beside(thread_id, "", _LONG_AGO, context)
                turn_id = next(iter(beside), "")
            found = await server.store.find_turn(turn_id, context) if turn_id else None
            if found is not None and found.end and not server._chatkit_turns().running_turns():
                return found
        await asyncio.sleep(_PAUSE)


def _judge(orders: Orders, outcome: Outcome, turn: Any, events: list[Any], found: list[str]) -> None:
    lines = (
        Path(orders.ledger).read_text(encoding="utf-8").splitlines() if Path(orders.ledger).exists() else []
    )
    done = Counter(line.rpartition(" ")[0] for line in lines)
    keys = {name: {line for line in lines if line.startswith(f"{name} ")} for name in done}
    names = [name for _, name, _ in STEPS] if orders.flow == "steps" else [*TOOLS]
    models = (
        {"plan", "say"} if orders.flow == "steps" else {name for name in done if name.startswith("model ")}
    )
    outcome.twice = [name for name in names if EFFECTS[name] == "once" and done[name] > 1]
    outcome.silent = [name for name in names if EFFECTS[name] == "keyed" and len(keys.get(name, ())) > 1]
    outcome.paid = sum(done[name] - 1 for name in models if done[name])
    end = "completed" if turn is None else turn.end
    told = [event["message"] for event in events if event["type"] == "error" and event.get("message")]
    unsure = [name for name in names if EFFECTS[name] == "once" and any(f'"{name}"' in text for text in told)]
    outcome.end = "unsure" if end == "failed" and unsure else end
    if outcome.end == "completed":
        outcome.skipped = [name for name in names if not done[name]]
        outcome.wrong += [] if found == [ANSWER] else [f"stored is {found}"]
        shown = [event["item"]["id"] for event in events if event["type"] == "thread.item.done"]
        outcome.wrong += ["an item was told twice"] if len(set(shown)) < len(shown) else []
    elif outcome.end == "unsure":
        # It was under way when its worker died.
        outcome.wrong += [f"it ends after {outcome.died}"] if "told" in outcome.died else []
    else:
        outcome.wrong.append(f"it ended as {end}: {told}")


async def points(places: Places, setup: str = "sqlite") -> dict[str, list[str]]:
    """Returns the moments that a worker comes by which does not die, by flow."""
    found: dict[str, list[str]] = {}

    async def trace(case: Case, place: Place) -> None:
        with tempfile.TemporaryDirectory() as folder:
            facts = await _worker(Orders(place, case.flow, str(Path(folder) / "ledger"), 0))
            found[case.flow] = facts["seen"]

    cases: Any = [Case(setup, flow, 0) for flow in FLOWS]
    await places.each(cases, trace)  # type: ignore[arg-type]
    return found


def cases_of(seen: dict[str, list[str]], setups: Iterable[str] = SETUPS) -> list[Case]:
    """Returns a case for each point of each flow over each log."""
    return [
        Case(setup, flow, number)
        for setup, flow in product(setups, FLOWS)
        for number in range(1, len(seen[flow]) + 1)
    ]


async def _main(places: Places, count: int, seed: int) -> int:
    say, began = sys.stdout.write, time.monotonic()
    seen = await points(places)
    each = cases_of(seen)
    cases = [*each] * (count // len(each))
    chosen = random.Random(seed)
    cases += chosen.sample(each, count - len(cases))
    chosen.shuffle(cases)
    per_turn = ", ".join(f"{len(seen[flow])} points a turn ({flow})" for flow in FLOWS)
    say(f"{len(cases)} kills drawn by seed {seed}; {per_turn}\n")

    def tell(case: Case, outcome: Outcome) -> None:
        for text in outcome.faults:
            say(f"{case} {outcome.died}: {text}\n")
        sys.stdout.flush()

    found: Any = await places.each(cases, run_case, tell)  # type: ignore[arg-type]
    head = (
        "log",
        "flow",
        "kills",
        "completed",
        "unsure",
        "twice",
        "silent",
        "skipped",
        "paid again",
        "other",
    )
    say("".join(f"{name:>11}" for name in head) + "\n")
    for setup, flow in product(SETUPS, FLOWS):
        row = [outcome for case, outcome in found if (case.setup, case.flow) == (setup, flow)]
        ends = Counter(outcome.end for outcome in row)
        counts = (
            len(row),
            ends["completed"],
            ends["unsure"],
            sum(len(outcome.twice) for outcome in row),
            sum(len(outcome.silent) for outcome in row),
            sum(len(outcome.skipped) for outcome in row),
            max((outcome.paid for outcome in row), default=0),
            sum(bool(outcome.wrong) for outcome in row),
        )
        say("".join(f"{cell:>11}" for cell in (setup, flow, *counts)) + "\n")
    sure = [outcome for _, outcome in found if outcome.end != "unsure"]
    share = sum(outcome.end == "completed" for outcome in sure) / max(len(sure), 1)
    wrong = sum(bool(outcome.faults) for _, outcome in found)
    say(f"{share:.1%} of those that are not unsure completed by themselves; {wrong or 'none'} wrong; ")
    say(f"{time.monotonic() - began:.0f} s\n")
    return wrong


def main() -> None:
    """Runs the cases; exits with 1 if one of them is wrong."""
    from tests.support.postgres import new_database, postgres_server
    from tests.support.redis import redis_server

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() // 1000 % 10**9
    logging.disable()
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server()).url
        databases = [stack.enter_context(new_database(postgres)) for _ in range(AT_ONCE)]
        redis = stack.enter_context(redis_server()).url
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sys.exit(bool(asyncio.run(_main(Places(databases, redis, folder), count, seed))))


if __name__ == "__main__":
    main()
