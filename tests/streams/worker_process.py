"""A worker that a test kills, or that races another one: run as a program.

``write DB N``: runs N turns that append a numbered event again and again, and prints number and moment of each.
``block DB``: runs a turn of three events, says that they are saved and blocks its event loop until a line comes.
``claim DB``: says that it is ready, waits for a line, claims what was interrupted and prints the ids.
"""

from __future__ import annotations

import asyncio
import sys
import time

from chatkit._sqlite import Database
from chatkit.streams import SQLiteStreamLog, TurnInfo

PACE = 0.002
"""Seconds between tokens, about as a fast model sends them."""


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def write(path: str, turns: int) -> None:
    log = SQLiteStreamLog(Database(path))
    infos = [
        TurnInfo(f"turn_{number}", "thr_a", owner="ada", user_item_id="msg_1") for number in range(turns)
    ]
    writers = [await log.open(info, snapshot=lambda _: [], on_stop=lambda: None) for info in infos]
    idle = TurnInfo("turn_idle", "thr_idle", resumable=True)
    await log.open(idle, snapshot=lambda _: [], on_stop=lambda: None)
    while True:
        now = time.monotonic()
        for writer in writers:
            seq = writer.append(b'{"n":%d}' % (writer.last_seq + 1))
        tell(f"{seq} {now}")
        await asyncio.sleep(PACE)


async def block(path: str) -> None:
    log = SQLiteStreamLog(Database(path))
    writer = await log.open(TurnInfo("turn_blocked", "thr_a"), snapshot=lambda _: [], on_stop=lambda: None)
    for number in range(1, 4):
        writer.append(b'{"n":%d}' % number)
    await writer.flush()
    tell("saved")
    sys.stdin.readline()


async def claim(path: str) -> None:
    database = Database(path)
    log = SQLiteStreamLog(database)
    # Opening the file is no part of the race.
    await database.migrate()
    tell("ready")
    sys.stdin.readline()
    tell(" ".join(turn.info.id for turn in await log.claim_interrupted()))
    # What a dead process has claimed can be claimed again.
    sys.stdin.readline()
    await database.close()


if __name__ == "__main__":
    if sys.argv[1] == "write":
        asyncio.run(write(sys.argv[2], int(sys.argv[3])))
    elif sys.argv[1] == "block":
        asyncio.run(block(sys.argv[2]))
    else:
        asyncio.run(claim(sys.argv[2]))
