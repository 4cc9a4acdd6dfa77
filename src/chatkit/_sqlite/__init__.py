"""What the SQLite adapters share: connections, transactions, migrations, errors."""

from __future__ import annotations

from chatkit._sqlite.database import Database
from chatkit._sqlite.worker import MEMORY

__all__ = ["MEMORY", "Database"]
