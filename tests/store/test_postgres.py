"""The store in PostgreSQL keeps the contract."""

from __future__ import annotations

import pytest

from chatkit.store import PostgresStore
from chatkit.testing import StoreContract


class TestPostgresStore(StoreContract):
    accepts_turns = True
    surveys_threads = True
    keeps_usage = True
    keeps_journals = True
    bounds_files = True
    searches_threads = True

    @pytest.fixture(autouse=True)
    def database(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_store(self) -> PostgresStore:
        return PostgresStore(self.url)


class TestPostgresStoreWithoutSessionState(TestPostgresStore):
    """As behind PgBouncer in transaction mode."""

    def make_store(self) -> PostgresStore:
        return PostgresStore(self.url, statement_cache_size=0)
