"""The store in SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit.store import SQLiteStore
from chatkit.testing import StoreContract


class TestSQLiteStoreInAFile(StoreContract):
    accepts_turns = True
    surveys_threads = True
    keeps_usage = True
    keeps_journals = True
    bounds_files = True
    searches_threads = True

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "chat.db"

    def make_store(self) -> SQLiteStore:
        return SQLiteStore(self.path)


class TestSQLiteStoreInMemory(StoreContract):
    accepts_turns = True
    surveys_threads = True
    keeps_usage = True
    keeps_journals = True
    bounds_files = True
    searches_threads = True

    def make_store(self) -> SQLiteStore:
        return SQLiteStore(":memory:")
