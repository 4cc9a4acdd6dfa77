"""Small runs of the fault generator, with each log and policy: workers and servers die, every byte is checked."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.nginx import nginx_program
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
RUNS = (("redis", "enqueue"), ("postgres", "interrupt"), ("sqlite", "reject"), ("sqlite", "allow"))
"""The log, and what a message does in a thread in which a turn runs."""


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


def found_in(said: str) -> set[str]:
    """Returns the kinds of faults that a run says to have found."""
    counts = re.search(r"faults (\{.*\})", said)
    assert counts is not None, said
    return {kind for kind, count in ast.literal_eval(counts[1]).items() if count}


async def test_nothing_is_lost_when_workers_and_servers_die() -> None:
    nginx_program()
    options = ("--scenario", "chaos", "--clients", "12", "--deltas", "20", "--spread", "1", "--seed", "1")
    # All wait for leases most of the time.
    async with asyncio.timeout(scaled(110)):
        outcomes = await asyncio.gather(
            *(_run(*options, "--log", log, "--policy", policy) for log, policy in RUNS)
        )
    for code, said in outcomes:
        assert code == 0, said
        assert "killed a worker" in said


async def _finds(shows: Callable[[str], bool], *options: str) -> None:
    """Runs until a planted fault is found: on a busy machine messages may not meet as they have to for it."""
    said = ""
    for seed in range(4, 9):
        code, said = await _run(*options, "--seed", str(seed))
        if code == 1 and shows(said):
            return
    raise AssertionError(said)


async def test_the_judge_finds_what_is_planted() -> None:
    nginx_program()
    options = (
        "--scenario",
        "load",
        "--log",
        "sqlite",
        "--clients",
        "12",
        "--deltas",
        "40",
        "--spread",
        "0.5",
    )
    order = "the messages were taken in another order"
    # A run without a planted fault is above.
    async with asyncio.timeout(scaled(110)):
        await asyncio.gather(
            _finds(lambda said: "doubled" in found_in(said), *options, "--shapes", "twice", "--plant", "key"),
            _finds(
                lambda said: order in said,
                *(*options, "--shapes", "several", "--policy", "enqueue", "--plant", "order"),
            ),
        )
