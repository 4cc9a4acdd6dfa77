"""PostgreSQL as the server of a stream log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from chatkit._postgres import Database, Transaction
from chatkit._sql import load_queries
from chatkit.ids import new_id
from chatkit.streams.base import JUMP, EndState, KeyClaim, TurnInfo
from chatkit.streams.memory import KEY_RETENTION
from chatkit.streams.postgres.listener import Listener
from chatkit.streams.shared.backend import (
    SEPARATOR,
    Backend,
    Chunk,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    Standing,
    TurnRecord,
)
from chatkit.streams.shared.records import dump_claim, dump_info, load_claim, load_info

__all__ = ["PostgresBackend"]

T = TypeVar("T")

_SQL: Final = load_queries(Path(__file__).parents[1] / "queries" / "postgres.sql")
_PAGE: Final = 64
"""Chunks that one load brings: some 256 KiB."""
_SHORTEST_LIMIT: Final = 1.0
"""Seconds that an answer may take at least."""


class PostgresBackend(Backend):
    """A database, seen from one event loop.

    Args:
        database: The connections.
        lease: Seconds.
        retention: Seconds.
    """

    def __init__(self, database: Database, *, lease: float, retention: float) -> None:
        self._database = database
        self._lease = lease
        # Who waits for longer than a lease on a connection that is dead has lost its turns.
        self._answer_limit = max(_SHORTEST_LIMIT, lease / 2)
        self._retention = retention
        self._listener = Listener(database)
        self._followed: set[str] = set()

    async def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        # One statement is a transaction of its own; all of them may be done twice.
        return await self._database.read(
            lambda transaction: transaction.rows(_SQL[query], *arguments),
            patient=False,
            limit=self._answer_limit,
        )

    async def _value(self, query: str, *arguments: object) -> Any:
        rows = await self._rows(query, *arguments)
        return rows[0][0] if rows else None

    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str:
        await self._rows(
            "open", holder, self._lease, info.id, info.thread_id, dump_info(info), info.resumable
        )
        # The tables outlive a crash: a turn that is not there has ended.
        return ""

    async def save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        if renew:
            await self._rows("renew", holder, self._lease)
            await self._rows("clean_up")
        columns = zip(
            *((*save[:7], "" if save.end is None else save.end.value) for save in saves), strict=True
        )
        rows = await self._rows("save", holder, *map(list, columns), self._retention, KEY_RETENTION)
        return {
            turn_id: SaveResult(SaveStatus(status), last_seq, stop)
            for turn_id, status, last_seq, stop in rows
            if turn_id is not None
        }

    async def load(self, turn_id: str, after: int) -> Loaded | None:
        return (await self._follow({turn_id: after})).get(turn_id)

    async def _follow(self, cursors: Mapping[str, int]) -> dict[str, Loaded]:
        rows = await self._rows("follow", list(cursors), list(cursors.values()), _PAGE)
        found: dict[str, Loaded] = {}
        for turn_id, info, ended, turn_seq, first_seq, last_seq, events, jumps in rows:
            loaded = found.get(turn_id)
            if loaded is None:
                record = TurnRecord(load_info(info), EndState(ended) if ended else None)
                loaded = found[turn_id] = Loaded(record, turn_seq, [])
            if first_seq is not None:
                loaded.chunks.append(Chunk(first_seq, last_seq, events, jumps))
        for loaded in found.values():
            if loaded.record.end is not None and len(loaded.chunks) < _PAGE:
                loaded.chunks.append(Chunk(loaded.last_seq + 1, loaded.last_seq, end=loaded.record.end))
        return found

    async def load_snapshot(self, turn_id: str) -> tuple[int, bytes] | None:
        rows = await self._rows("snapshot", turn_id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def standings(self, turn_ids: Sequence[str]) -> dict[str, Standing]:
        found = {turn_id: Standing(number) for turn_id, number in await self._rows("standings", turn_ids)}
        return {turn_id: found.get(turn_id, Standing.MISSING) for turn_id in turn_ids}

    async def changes(
        self, cursors: Mapping[str, int], limit: float, on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        # What happened before somebody listened for it has to be looked for.
        changed = cursors.keys() - self._followed
        self._followed = set(cursors)
        changed |= await self._listener.wait(0.0 if changed else limit, self._followed, on_stop)
        if not changed:
            return {}
        try:
            found = await self._follow({turn_id: cursors[turn_id] for turn_id in changed})
        except BaseException:
            self._followed -= changed
            raise
        for turn_id, loaded in found.items():
            if len(loaded.chunks) >= _PAGE:
                self._followed.discard(turn_id)
        return {turn_id: loaded.chunks for turn_id, loaded in found.items()}

    async def wake(self) -> None:
        self._listener.wake()

    async def request_stop(self, turn_id: str) -> bool:
        return bool(await self._rows("stop", turn_id))

    async def turns(self, thread_id: str) -> list[TurnRecord]:
        rows = await self._rows("turns", thread_id)
        return [TurnRecord(load_info(info), EndState(ended) if ended else None) for info, ended in rows]

    async def claim(self, worker: str, claim: str) -> list[tuple[TurnInfo, bool]]:
        if not await self._value("renew", worker, self._lease):
            return []

        async def take(transaction: Transaction) -> list[tuple[Any, ...]]:
            return await transaction.rows(_SQL["claim"], claim, self._lease)

        # Not done twice: what was taken is then lost until the claim runs out.
        return [(load_info(info), stop) for info, stop in await self._database.write(take)]

    async def held(self, worker: str) -> list[str]:
        return [turn_id for (turn_id,) in await self._rows("held", worker)]

    async def adopt(self, info: TurnInfo, claim: str, worker: str) -> str | None:
        await self._rows("renew", worker, self._lease)
        adopted = await self._value("adopt", info.id, claim, worker, dump_info(info))
        return None if adopted is None else ""

    async def release(self, turn_id: str, worker: str) -> bool:
        return await self._value("release", turn_id, worker) is not None

    async def settle(self, turn_id: str, claim: str, events: Sequence[bytes]) -> None:
        joined = SEPARATOR.join(events)
        await self._rows("settle", turn_id, claim, JUMP, len(events), joined, self._retention, KEY_RETENTION)

    async def claim_key(self, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
        # A mark tells this claim from an equal one, which was there before.
        mark = new_id("claim")
        mine = json.dumps([mark, dump_claim(claim)])
        held: str = await self._value("claim_key", _key(owner, key), mine, KEY_RETENTION)
        found_mark, found = json.loads(held)
        return None if found_mark == mark else load_claim(found)

    async def release_key(self, owner: str, key: str, claim: KeyClaim | None) -> None:
        await self._rows("release_key", _key(owner, key), None if claim is None else dump_claim(claim))

    async def ended(self, turn_id: str) -> EndState | None:
        found = await self._value("ended", turn_id)
        return None if found is None else EndState(found)

    async def close(self) -> None:
        await self._listener.close()


def _key(owner: str, key: str) -> str:
    # Escaped, so that any text is one that PostgreSQL takes.
    return json.dumps([owner, key], separators=(",", ":"))
