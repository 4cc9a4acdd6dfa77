"""The store in memory."""

from __future__ import annotations

from chatkit.store import MemoryStore
from chatkit.testing import StoreContract


class TestMemoryStore(StoreContract):
    def make_store(self) -> MemoryStore:
        return MemoryStore()
