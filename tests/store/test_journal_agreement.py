"""Random histories of journals: the stores agree, whoever writes, and whatever becomes of the turns."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chatkit.errors import ChatKitError
from chatkit.store import Fence, MemoryStore, PostgresStore, RecordedStep, SQLiteStore, StepStatus, Store
from chatkit.types import ThreadMetadata
from tests.support.scale import examples

_STEPS = 120


def _history(seed: int) -> list[tuple[Any, ...]]:
    """Returns what is done: in two owners' threads, to turns of the same ids."""
    chosen = random.Random(seed)
    history: list[tuple[Any, ...]] = []
    for _ in range(_STEPS):
        where = chosen.choice(["alice", "bob"]), chosen.choice(["t1", "t2", "t3"])
        name = chosen.choices(["begin", "save", "load", "end", "delete"], [3, 9, 5, 2, 1])[0]
        steps = [
            RecordedStep(
                chosen.randint(1, 4),
                chosen.choice(["tool", "model"]),
                chosen.choice(["pay", "Zoë 😀"]),
                "print",
                chosen.choice(["once", "keyed", "repeatable"]),
                chosen.choice([*StepStatus]),
                chosen.choice(["", "1", '{"a":"\\u0000"}']),
            )
            for _ in range(chosen.randint(1, 3))
        ]
        # One that writes with an earlier token has lost the turn.
        by_position = list({step.position: step for step in steps}.values())
        history.append((name, *where, chosen.random() < 0.8, by_position))
    return history


async def _done(store: Any, history: list[tuple[Any, ...]]) -> list[Any]:
    found: list[Any] = []
    tokens: dict[tuple[str, str], list[int]] = {}
    for owner in ("alice", "bob"):
        await store.save_thread(ThreadMetadata(id="thr"), {"user_id": owner})
    for name, owner, turn_id, is_newest, steps in history:
        context = {"user_id": owner}
        held = tokens.setdefault((owner, turn_id), [0])
        token = held[-1] if is_newest else held[0]
        try:
            match name:
                case "begin":
                    held.append(await store.begin_turn("thr", turn_id, context))
                    found.append("begun")
                case "save":
                    found.append(await store.save_steps(Fence(turn_id, token), steps, context))
                case "load":
                    found.append(await store.load_steps(turn_id, context))
                case "end":
                    found.append(await store.end_turn(turn_id, token, context))
                case _:
                    await store.delete_thread("thr", context)
                    await store.save_thread(ThreadMetadata(id="thr"), context)
                    found.append("deleted")
        except ChatKitError as error:
            found.append(error.code)
    return found


@pytest.mark.parametrize("seed", range(examples(3)))
async def test_stores_agree_on_journals(seed: int, postgres_database: str) -> None:
    history = _history(seed)
    stores: list[Store[Any]] = [MemoryStore(), SQLiteStore(":memory:"), PostgresStore(postgres_database)]
    in_memory, in_file, on_server = [await _done(store, history) for store in stores]
    for number, step in enumerate(history):
        assert in_memory[number] == in_file[number] == on_server[number], step
    assert len({str(outcome) for outcome in in_memory}) > 5
    for store in stores:
        await store.close()
