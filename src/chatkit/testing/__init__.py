"""Contract suites for what an application plugs in, to run with pytest."""

from __future__ import annotations

from chatkit.testing.file_store_contract import FileStoreContract
from chatkit.testing.store_contract import StoreContract
from chatkit.testing.stream_log_contract import StreamLogContract

__all__ = ["FileStoreContract", "StoreContract", "StreamLogContract"]
