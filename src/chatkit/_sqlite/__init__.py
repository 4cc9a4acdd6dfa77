"""What the SQLite adapters share: connections, transactions, migrations, errors."""

from __future__ import annotations

from chatkit._sqlite.connection_thread import MEMORY
from chatkit._sqlite.database import Database, Watch

__all__ = ["MEMORY", "Database", "Watch"]
