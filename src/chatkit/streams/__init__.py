"""Stream logs: where the events of a turn are kept while it runs and for a while after.

:class:`StreamLog` keeps turns in memory and, for several workers, in a :class:`Backend`. Redis, PostgreSQL and SQLite
are backends of this package; one of your own implements :class:`Backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit._lazy import lazy_names
from chatkit.streams.backend import (
    SEPARATOR,
    Backend,
    Chunk,
    HeldTurn,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    Standing,
    TurnRecord,
    WorkerRecord,
)
from chatkit.streams.log import StreamLog
from chatkit.streams.memory import MemoryStreamLog
from chatkit.streams.records import (
    JUMP,
    EndState,
    EventId,
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    StatePart,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)

if TYPE_CHECKING:
    from chatkit.streams.backends.postgres import PostgresStreamLog
    from chatkit.streams.backends.redis import RedisStreamLog
    from chatkit.streams.backends.sqlite import SQLiteStreamLog

__all__ = [
    "JUMP",
    "SEPARATOR",
    "Backend",
    "Chunk",
    "EndState",
    "EventId",
    "HeldTurn",
    "InterruptedTurn",
    "KeyClaim",
    "Loaded",
    "LogEntry",
    "MemoryStreamLog",
    "PostgresStreamLog",
    "RedisStreamLog",
    "SQLiteStreamLog",
    "Save",
    "SaveResult",
    "SaveStatus",
    "Standing",
    "StatePart",
    "StreamLog",
    "ThreadKey",
    "TurnInfo",
    "TurnReader",
    "TurnRecord",
    "TurnWriter",
    "WorkerRecord",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "PostgresStreamLog": "backends.postgres",
        "RedisStreamLog": "backends.redis",
        "SQLiteStreamLog": "backends.sqlite",
    },
)
