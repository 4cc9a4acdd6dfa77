"""The store in memory."""

from __future__ import annotations

from typing import Any

from chatkit.store import MemoryStore, Store
from chatkit.store.memory import _Tenant
from chatkit.testing import StoreContract


class TestMemoryStore(StoreContract):
    accepts_turns = True
    surveys_threads = True
    keeps_usage = True
    keeps_journals = True
    bounds_files = True
    searches_threads = True

    def make_store(self) -> MemoryStore:
        return MemoryStore()


class WithDefaults(MemoryStore):
    """A store that leaves the optional methods as the port has them."""

    put_thread_item = Store.put_thread_item
    delete_items_after = Store.delete_items_after
    owner = Store.owner
    begin_turn = Store.begin_turn
    end_turn = Store.end_turn
    complete_turn = Store.complete_turn
    has_completed = Store.has_completed

    def _tenant(self, owner: str | None) -> Any:
        return super()._tenant("only")


class TestStoreWithDefaultMethods(StoreContract):
    isolates_owners = False
    fences_turns = False
    sweeps_attachments = False

    def make_store(self) -> WithDefaults:
        store = WithDefaults()
        store._tenants["only"] = _Tenant()
        return store
