"""The contract of tables of sessions, over each place that they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit.hosted import MemorySessions, PostgresSessions, RedisSessions, SQLiteSessions
from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.testing import SessionsContract


class TestMemorySessions(SessionsContract):
    shared = False

    def make_sessions(self) -> MemorySessions:
        return MemorySessions()


class TestSQLiteSessions(SessionsContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "chatkit.db"

    def make_sessions(self) -> SQLiteSessions:
        return SQLiteSessions(SQLiteStore(self.path).database)


class TestPostgresSessions(SessionsContract):
    @pytest.fixture(autouse=True)
    def database(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_sessions(self) -> PostgresSessions:
        return PostgresSessions(PostgresStore(self.url).database)


class TestRedisSessions(SessionsContract):
    @pytest.fixture(autouse=True)
    def server(self, redis_url: str) -> None:
        self.url, self.prefix = redis_url, f"{new_id('test')}:"

    def make_sessions(self) -> RedisSessions:
        return RedisSessions(self.url, prefix=self.prefix)
