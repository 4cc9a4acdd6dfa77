"""What PostgreSQL adapters share: pools, transactions, migrations, errors. Needs asyncpg."""

from __future__ import annotations

from chatkit._postgres.database import Database, Transaction
from chatkit._postgres.pools import Settings

__all__ = ["Database", "Settings", "Transaction"]
