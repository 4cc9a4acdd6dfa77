"""A worker that a test kills or freezes: run as a program.

``KIND URL LEASE [PREFIX]``: runs turn ``turn_child``, appends a numbered event every 5 ms and prints the number of
each; prints ``lost`` and ends when another worker has taken the turn over.
"""

from __future__ import annotations

import asyncio
import sys

from chatkit._sqlite import Database
from chatkit.errors import StaleTurnError
from chatkit.streams import EndState, SQLiteStreamLog, StreamLog, TurnInfo
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog

PACE = 0.005


async def main() -> None:
    kind, url, lease, *prefix = sys.argv[1:]
    log: StreamLog
    if kind == "redis":
        log = RedisStreamLog(url, lease=float(lease), prefix=prefix[0])
    elif kind == "sqlite":
        log = SQLiteStreamLog(Database(url), lease=float(lease))
    else:
        log = PostgresStreamLog(url, lease=float(lease))
    info = TurnInfo("turn_child", "thr_a", owner="ada", resumable=True)
    writer = await log.open(info, snapshot=lambda _: [], on_stop=lambda: None)
    try:
        while True:
            number = writer.append(b'{"number":%d}' % (writer.last_seq + 1))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            await asyncio.sleep(PACE)
    except StaleTurnError:
        await writer.close(EndState.FAILED)
        await log.close()
        sys.stdout.write("lost\n")


asyncio.run(main())
