"""Processes that append at once, and are killed in the middle of it, leave one chain that is whole."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatkit.audit import AuditLog, Head, PostgresAuditLog, SQLiteAuditLog, verify_log
from tests.support.scale import scaled

APPENDING = """
import asyncio, sys
from chatkit.audit import Actor, AuditEvent, PostgresAuditLog, SQLiteAuditLog

async def main(place):
    log = (PostgresAuditLog if "://" in place else SQLiteAuditLog)(place)
    event = AuditEvent(kind="content.read", actor=Actor("local", "eve"), owner="ada")
    while True:
        entry = await log.record(event)
        print(entry.head, flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_processes_leave_a_whole_chain(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres = kind == "postgres"
    place = request.getfixturevalue("postgres_database") if postgres else str(tmp_path / "chatkit.db")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, place], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(2)
    ]
    told: list[Head] = []
    try:
        for process in processes:
            assert process.stdout is not None
            # Both are at it by now.
            told += [Head.find(process.stdout.readline())[0] for _ in range(10)]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
    for process in processes:
        out, _ = process.communicate(timeout=scaled(20))
        told += Head.find(out)

    async def verify() -> None:
        log: AuditLog = PostgresAuditLog(place) if postgres else SQLiteAuditLog(place)
        # What a process was told is there, and nothing besides that is broken.
        found = await verify_log(log, told)
        assert found.faults == []
        assert found.count >= len(told) == len({head.number for head in told}) >= 20
        assert found.head is not None
        assert found.head.number == found.count
        await log.close()

    asyncio.run(verify())
