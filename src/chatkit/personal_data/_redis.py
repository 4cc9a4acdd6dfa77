"""A person's data in a Redis server: what the stream log, counters and sessions keep there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from chatkit._redis import KeySpace, Server, load_scripts, place_of
from chatkit.ids import utc_now
from chatkit.personal_data.counted import owner_of_count, session_of_count
from chatkit.personal_data.places import ErasureState, Place, Row, RunningTurn
from chatkit.personal_data.registry import key_named
from chatkit.store.owners import joined_owner

__all__ = ["RedisPlace"]

_SCRIPTS: Final = load_scripts(Path(__file__).with_name("redis.lua"))
_BATCH: Final = 500


class RedisPlace(Place):
    """The keys of one prefix.

    Args:
        space: Where they are.
    """

    kind = "redis"

    def __init__(self, space: KeySpace) -> None:
        self.space = space
        self._server = Server(space.url)
        self._prefix = space.prefix
        self.name = f"the Redis server {place_of(space.url)}"
        self._turn_ids: frozenset[str] = frozenset()

    async def close(self) -> None:
        """Closes the connections."""
        await self._server.close()

    async def _keys(self) -> AsyncIterator[str]:
        """Yields the keys of the prefix, without it; one may come twice."""
        # What means something in a pattern stands for itself.
        escaped = "".join(f"\\{char}" if char in "*?[]^\\" else char for char in self._prefix)
        cursor: Any = 0
        while True:
            cursor, found = await self._server.command(
                "SCAN", cursor, "MATCH", f"{escaped}*", "COUNT", _BATCH
            )
            for key in found:
                yield key.decode("utf-8", "surrogatepass")[len(self._prefix) :]
            if int(cursor) == 0:
                return

    async def _of(self, owner: str) -> AsyncIterator[tuple[str, str]]:
        """Yields the keys of an owner, each with its kind; sessions last: by them the counts about them are found."""
        sessions, counts = set[str](), list[str]()
        async for key in self._keys():
            row = key_named(key)
            kind, _, rest = key.partition(":")
            if row is None or row.owner is None:
                continue
            if row.owner == "counter":
                counts.append(key)
            elif row.owner == "turn":
                if kind == "end" and rest in self._turn_ids:
                    yield kind, key
            elif await self._owner_of(key, row.owner) == owner:
                if kind == "session":
                    sessions.add(rest)
                else:
                    yield kind, key
        for key in counts:
            kind, _, counted = key.partition(":")
            if owner_of_count(counted) == owner or session_of_count(counted) in sessions:
                yield kind, key
        for session_id in sessions:
            yield "session", f"session:{session_id}"

    async def _owner_of(self, key: str, how: str) -> str | None:
        rest = key.partition(":")[2]
        if how == "list":
            # Those of an early version name the thread alone, and are of turns that have gone by now.
            named: Any = _json(rest)
            first: Any = cast("list[Any]", named)[0] if isinstance(named, list) and named else None
            return first if isinstance(first, str) else None
        field = "i" if how == "info" else "d"
        found: Any = _json(await self._server.command("HGET", f"{self._prefix}{key}", field))
        try:
            if how == "info":
                return found["owner"]
            return joined_owner(found["tenant"], found["user"], found["workflow"]["id"])
        except (KeyError, TypeError, AttributeError):
            return None

    async def count(self, owner: str) -> dict[str, int]:
        found: dict[str, int] = {}
        seen = set[str]()
        async for kind, key in self._of(owner):
            if key not in seen:
                seen.add(key)
                found[f"redis {kind}"] = found.get(f"redis {kind}", 0) + 1
        return found

    async def rows(self, owner: str) -> AsyncIterator[tuple[str, Row]]:
        seen = set[str]()
        async for kind, key in self._of(owner):
            row = key_named(key)
            if key in seen or row is None or row.exported != "rows":
                continue
            seen.add(key)
            named = f"{self._prefix}{key}"
            if kind in {"turn", "session"}:
                value = _json(await self._server.command("HGET", named, "i" if kind == "turn" else "d"))
            else:
                value = _json(await self._server.command("GET", named))
            if value is not None:
                yield f"redis {kind}", {"key": key, "value": value}

    # Erasure.

    def _record(self, erasure_id: str) -> str:
        return f"{self._prefix}erasing:{erasure_id}"

    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        self._turn_ids = turn_ids
        return ErasureState(erasure_id, "running", utc_now(), None, await self.counts(erasure_id))

    async def counts(self, erasure_id: str) -> dict[str, int]:
        """Returns what an erasure has erased so far."""
        found: list[bytes] = await self._server.run(_SCRIPTS["counts"], self._record(erasure_id))
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name.decode(): int(number) for name, number in pairs}

    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        record = self._record(erasure_id)
        async for kind, key in self._of(owner):
            # Ends go with their turns, and are no more than those.
            counted = "" if kind == "end" else f"redis {kind}"
            script: tuple[Any, ...] = (_SCRIPTS["erase"], record, counted, f"{self._prefix}{key}")
            if kind == "turn":
                turn_id = key.partition(":")[2]
                script = (_SCRIPTS["erase_turn"], record, "redis turn", self._prefix, turn_id)
            yield await self._server.run(*script)

    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        await self._server.command("DEL", self._record(erasure_id))

    async def clean(self, how: str) -> list[str]:
        return []

    async def running_turns(self, owner: str) -> list[RunningTurn]:
        found: list[RunningTurn] = []
        async for key in self._keys():
            if key.startswith("turn:") and await self._owner_of(key, "info") == owner:
                ended = await self._server.command("HEXISTS", f"{self._prefix}{key}", "e")
                if not ended:
                    found.append(RunningTurn(key.partition(":")[2], lapsed=True))
        return found


def _json(data: Any) -> Any:
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return None
