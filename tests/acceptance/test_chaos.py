"""A small run of the fault generator, with each log: workers and servers die, and every byte is checked."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.nginx import nginx_program
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]


async def _run(*options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos.run", *options),
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
    options = ("--scenario", "chaos", "--clients", "18", "--deltas", "30")
    # All wait for leases most of the time.
    async with asyncio.timeout(scaled(110)):
        outcomes = await asyncio.gather(
            _run(*options, "--log", "redis", "--policy", "allow", "--seed", "1"),
            _run(*options, "--log", "postgres", "--policy", "interrupt", "--seed", "2"),
            _run(*options, "--log", "sqlite", "--policy", "enqueue", "--seed", "3"),
        )
    for code, said in outcomes:
        assert code == 0, said
        assert "killed a worker" in said


async def test_the_judge_finds_what_is_planted() -> None:
    nginx_program()
    options = ("--scenario", "load", "--log", "sqlite", "--clients", "6", "--deltas", "10", "--spread", "0.5")
    # A run without a planted fault is above.
    async with asyncio.timeout(scaled(60)):
        (key_code, key_said), (order_code, order_said) = await asyncio.gather(
            _run(*options, "--shapes", "twice", "--plant", "key", "--seed", "4"),
            _run(*options, "--shapes", "several", "--policy", "enqueue", "--plant", "order", "--seed", "5"),
        )
    assert key_code == 1, key_said
    assert "the message is stored 3 times" in key_said
    assert order_code == 1, order_said
    assert "the messages were taken in another order" in order_said
