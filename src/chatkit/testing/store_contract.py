"""The contract of :class:`chatkit.store.Store` as a test suite.

::

    # conftest.py: shows what differs when a test of the suite fails
    import pytest

    pytest.register_assert_rewrite("chatkit.testing")

    # test_my_store.py
    from chatkit.testing import StoreContract


    class TestMyStore(StoreContract):
        @pytest.fixture(autouse=True)
        def folder(self, tmp_path):
            self.path = tmp_path / "chat.db"

        def make_store(self):
            return MyStore(self.path)

The suite needs pytest and no plugin: each test runs its scenario in an event loop of its own, with a store of
its own that it closes at the end.
"""

from __future__ import annotations

from chatkit.testing._store_acceptance import AcceptanceContract
from chatkit.testing._store_base import StoreContractBase
from chatkit.testing._store_edits import EditContract
from chatkit.testing._store_items import ItemContract
from chatkit.testing._store_journal import JournalContract
from chatkit.testing._store_owners import OwnerContract
from chatkit.testing._store_search import SearchContract
from chatkit.testing._store_threads import ThreadContract
from chatkit.testing._store_turn_ends import TurnEndsContract
from chatkit.testing._store_turns import TurnContract
from chatkit.testing._store_usage import UsageContract

__all__ = ["StoreContract", "StoreContractBase"]


class StoreContract(
    ThreadContract,
    ItemContract,
    EditContract,
    OwnerContract,
    TurnContract,
    AcceptanceContract,
    TurnEndsContract,
    UsageContract,
    JournalContract,
    SearchContract,
):
    """Tests of a store: subclass it under a name that begins with ``Test`` and override ``make_store``.

    A store that lacks something on purpose says so by setting an attribute of the class to False; the tests
    of it are then skipped. ``StoreContractBase`` lists the attributes.
    """
