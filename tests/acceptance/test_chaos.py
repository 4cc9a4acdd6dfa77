"""A small run of the fault generator, with each log: workers and servers die, and every byte is checked."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.nginx import nginx_program
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]


async def _run(log: str, seed: int) -> tuple[int | None, str]:
    options = ("--scenario", "chaos", "--clients", "24", "--deltas", "40", "--lease", "3")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos.run", *options, "--log", log, "--seed", str(seed)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            # It stops its servers then.
            process.terminate()
            await process.wait()
    return process.returncode, said.decode()


async def test_nothing_is_lost_when_workers_and_servers_die() -> None:
    nginx_program()
    # All wait for leases most of the time.
    async with asyncio.timeout(scaled(110)):
        outcomes = await asyncio.gather(_run("redis", 1), _run("postgres", 2), _run("sqlite", 3))
    for code, said in outcomes:
        assert code == 0, said
        assert "store rows that disagree 0" in said
        assert "killed a worker" in said
