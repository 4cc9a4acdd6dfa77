"""Stream logs: where the events of a turn are kept while it runs and for a while after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.streams.base import EndState, EventId, StreamLog, TurnInfo, TurnReader, TurnWriter
from chatkit.streams.memory import MemoryStreamLog

if TYPE_CHECKING:
    from chatkit.streams.postgres import PostgresStreamLog
    from chatkit.streams.redis import RedisStreamLog
    from chatkit.streams.sqlite import SQLiteStreamLog

__all__ = [
    "EndState",
    "EventId",
    "MemoryStreamLog",
    "PostgresStreamLog",
    "RedisStreamLog",
    "SQLiteStreamLog",
    "StreamLog",
    "TurnInfo",
    "TurnReader",
    "TurnWriter",
]


def __getattr__(name: str) -> object:
    if name == "PostgresStreamLog":
        from chatkit.streams.postgres import PostgresStreamLog

        return PostgresStreamLog
    if name == "RedisStreamLog":
        from chatkit.streams.redis import RedisStreamLog

        return RedisStreamLog
    if name == "SQLiteStreamLog":
        from chatkit.streams.sqlite import SQLiteStreamLog

        return SQLiteStreamLog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
