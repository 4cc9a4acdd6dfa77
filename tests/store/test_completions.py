"""How long stores remember that a turn completed."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from chatkit.store import (
    MemoryStore,
    PostgresStore,
    SQLiteStore,
    Store,
    _memory_turns,
    _postgres_turns,
    _sqlite_turns,
)

CONTEXT = {"user_id": "alice"}
KINDS: dict[str, tuple[ModuleType, Callable[[str], Store[Any]]]] = {
    "memory": (_memory_turns, lambda _: MemoryStore()),
    "sqlite": (_sqlite_turns, lambda _: SQLiteStore(":memory:")),
    "postgres": (_postgres_turns, PostgresStore),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_completion_is_forgotten_after_a_while(
    kind: str, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, make_store = KINDS[kind]
    store = make_store(postgres_database)

    async def complete(turn_id: str) -> None:
        await store.complete_turn(turn_id, await store.begin_turn("thr", turn_id, CONTEXT), CONTEXT)

    with monkeypatch.context() as patch:
        patch.setattr(module, "COMPLETION_RETENTION", -60)
        await complete("old")
        await complete("old_too")
    await complete("new")
    await complete("newer")
    remembered = [
        name for name in ("old", "old_too", "new", "newer") if await store.has_completed(name, CONTEXT)
    ]
    assert remembered == ["new", "newer"]
    await store.close()
