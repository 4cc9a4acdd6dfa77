"""The stream log over PostgreSQL."""

from __future__ import annotations

import pytest

from chatkit.streams.postgres import PostgresStreamLog
from chatkit.testing import SharedStreamLogContract, StreamLogContract


class TestPostgresStreamLog(StreamLogContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_log(self) -> PostgresStreamLog:
        return PostgresStreamLog(self.url)


class TestSharedPostgresStreamLog(SharedStreamLogContract):
    window = 10_000

    @pytest.fixture(autouse=True)
    def _server(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_log(self) -> PostgresStreamLog:
        return PostgresStreamLog(self.url, window=self.window, lease=self.lease)
