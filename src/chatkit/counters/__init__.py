"""Counters: how much of something was used in a window of time, counted over all workers.

:class:`Counter` is the port for counters of your own; ``chatkit.testing.CounterContract`` tests them. An adapter is
imported when its name is used, so that this module needs no driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit._lazy import lazy_names
from chatkit.counters.base import Count, Counter, MemoryCounter

if TYPE_CHECKING:
    from chatkit.counters.postgres import PostgresCounter
    from chatkit.counters.redis import RedisCounter
    from chatkit.counters.sqlite import SQLiteCounter

__all__ = ["Count", "Counter", "MemoryCounter", "PostgresCounter", "RedisCounter", "SQLiteCounter"]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {"PostgresCounter": "postgres", "RedisCounter": "redis", "SQLiteCounter": "sqlite"},
)
