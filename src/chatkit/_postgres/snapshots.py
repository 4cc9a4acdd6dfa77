"""Waiting for transactions whose snapshots still see deleted rows: no vacuum removes these, not even VACUUM FULL."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from chatkit._postgres.pools import Connection

__all__ = ["PATIENCE", "wait_for_earlier"]

PATIENCE = 60.0
"""Seconds that transactions have which see what was deleted."""

_NOW: Final = "SELECT pg_current_xact_id()::xid::text"
# A standby that tells its snapshots counts wherever it is connected; of a session of another role nothing is told but
# its database, unless ours may look.
_EARLIER: Final = """
SELECT 'the transaction of process ' || pid
    || coalesce(', open since ' || to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC', '')
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
    AND (datname = current_database() OR backend_type = 'walsender')
    AND greatest(age(backend_xmin), age(backend_xid)) > age($1::text::xid)
UNION ALL
SELECT 'what process ' || pid || ' does, which this role may not see (GRANT pg_read_all_stats)'
FROM pg_stat_activity
WHERE $2 AND datname = current_database() AND query = '<insufficient privilege>'
UNION ALL
SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts
WHERE database = current_database() AND age(transaction) > age($1::text::xid)
UNION ALL
SELECT 'the replication slot ' || slot_name FROM pg_replication_slots WHERE age(xmin) > age($1::text::xid)
"""
_MOST_NAMED: Final = 3
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


async def wait_for_earlier(connection: Connection, *, unknown: bool) -> str:
    """Waits until nothing sees the database as it was before this call, for ``PATIENCE`` at most.

    Args:
        connection: One without an open transaction.
        unknown: Whether sessions count that this role may not look at.

    Returns:
        What still does, in words; empty if all have ended.
    """
    now = await connection.fetchval(_NOW)
    until, pause = time.monotonic() + PATIENCE, _FIRST_PAUSE
    while found := [row[0] for row in await connection.fetch(_EARLIER, now, unknown)]:
        if time.monotonic() >= until:
            break
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return ", ".join(found[:_MOST_NAMED])
