"""Runs the contract of stores over the store of this folder."""

import tempfile

from folder_store import Context, FolderStore

from chatkit.store import Store
from chatkit.testing import StoreContract


class TestFolderStore(StoreContract):
    """The contract, without what this store does not promise."""

    sweeps_attachments = False
    fences_turns = False
    stamps_updated_at = False
    orders_by_creation = False  # by created_at, which an application may set
    changes_atomically = False

    def make_store(self) -> Store[Context]:
        return FolderStore(tempfile.mkdtemp())
