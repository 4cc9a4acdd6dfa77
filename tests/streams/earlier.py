"""Logs that talk to their server as the version before did, whose turns knew the id of their thread alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from chatkit._sql import load_queries
from chatkit.streams.backend import TurnRecord
from chatkit.streams.backends.postgres import PostgresBackend
from chatkit.streams.backends.redis import RedisBackend
from chatkit.streams.base import ThreadKey, TurnInfo
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.records import dump_info, load_info
from chatkit.streams.redis import RedisStreamLog

_FOLDER: Final = Path(__file__).with_name("before")
_SCRIPTS: Final = load_queries(_FOLDER / "scripts.lua")
_QUERIES: Final = load_queries(_FOLDER / "postgres.sql")


class EarlierRedisBackend(RedisBackend):
    """Runs the scripts of the version before."""

    async def _call(self, script: str, *arguments: object) -> Any:
        text = f"{_SCRIPTS['common']}\n{_SCRIPTS[script]}"
        return await self._plain("EVAL", text, 0, self._prefix, *arguments)

    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str:
        arguments = (
            holder,
            self._lease,
            info.id,
            info.thread_id,
            dump_info(info),
            "epoch",
            int(info.resumable),
        )
        return (await self._call("open", *arguments, int(again))).decode()

    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        found = await self._call("turns", thread.thread_id)
        return [TurnRecord(load_info(info), None) for info, end in found if not end]


class EarlierRedisStreamLog(RedisStreamLog):
    def make_backend(self) -> EarlierRedisBackend:
        return EarlierRedisBackend(
            self._url,
            self.place,
            prefix=self._prefix,
            holder=self.holder,
            lease=self.lease,
            retention=self.retention,
            timeout=self._timeout,
            max_connections=self._max_connections,
        )


class EarlierPostgresBackend(PostgresBackend):
    """Runs the statements of the version before."""

    async def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        given = arguments[:6] if query == "open" else arguments[:1] if query == "turns" else arguments
        return await self._database.read(lambda transaction: transaction.rows(_QUERIES[query], *given))

    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        found = await self._rows("turns", thread.thread_id)
        return [TurnRecord(load_info(info), None) for info, end in found if not end]


class EarlierPostgresStreamLog(PostgresStreamLog):
    def make_backend(self) -> EarlierPostgresBackend:
        return EarlierPostgresBackend(self.database, lease=self.lease, retention=self.retention)
