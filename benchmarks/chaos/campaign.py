"""Runs of all scenarios over all logs until enough turns are judged, and runs with planted faults."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shlex
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.chaos.judge import FAULTS, Verdict
from benchmarks.chaos.topology import LOGS

__all__ = ["FOLDER", "campaign", "judge_the_judge"]

CarryOut: TypeAlias = Callable[[list[str]], Verdict]

FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "chaos"
_SCENARIOS: Final = (
    "chaos",
    "crashes",
    "restarts",
    "rolling",
    "partition",
    "disk",
    "freezes",
    "load",
)
_POLICIES: Final = ("allow", "enqueue", "reject", "interrupt")
_COLUMNS: Final = ("turns", "completed", "interrupted", "stopped", "failed", *FAULTS)
_PLANTED: Final[dict[str, tuple[list[str], str]]] = {
    "fence": (
        [
            *("--scenario", "freezes", "--log", "redis", "--shapes", "single"),
            *("--deltas", "100", "--begun", "0.9"),
        ],
        "stored is",
    ),
    "key": (["--scenario", "load", "--shapes", "twice"], "doubled: "),
    "order": (
        ["--scenario", "load", "--shapes", "several", "--policy", "enqueue", "--deltas", "40"],
        "the messages were taken in another order",
    ),
    "end": (["--scenario", "load", "--shapes", "single", "--patience", "10"], "the stream did not end"),
}
"""A run in which each planted fault does harm, and what the judge is to say of it."""
_SMALL: Final = ["--log", "sqlite", "--clients", "12", "--deltas", "20", "--spread", "1", "--stock", "0"]


def judge_the_judge(plants: list[str], carry_out: CarryOut) -> bool:
    """Runs workers with planted faults; returns whether the judge found each."""
    missed: list[str] = []
    for plant in plants:
        arguments, expected = _PLANTED[plant]
        verdict = _carried_out(carry_out, [*_SMALL, *arguments, "--plant", plant])
        if not any(expected in line for line in verdict.lines):
            missed.append(plant)
    print(f"the judge has found {len(plants) - len(missed)} of {len(plants)} planted faults{_named(missed)}")
    return not missed


def _named(missed: list[str]) -> str:
    return f", not {', '.join(missed)}" if missed else ""


def campaign(options: argparse.Namespace, carry_out: CarryOut) -> bool:
    """Runs scenarios with seeds from the clock, prints how to repeat each, and a table; returns whether it is clean."""
    began, at = time.monotonic(), time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    FOLDER.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    total = Verdict()
    judged = options.unjudged or judge_the_judge(list(_PLANTED), carry_out)
    path = FOLDER / f"{at}.json"
    given = [
        *("--clients", str(options.clients), "--deltas", str(options.deltas)),
        *("--pause", str(options.pause), "--lease", str(options.lease)),
    ]
    for kind in _kinds():
        minutes = (time.monotonic() - began) / 60
        if total.counts["turns"] >= options.campaign or (options.minutes and minutes > options.minutes):
            break
        seed = time.time_ns() // 1_000_000 % 1_000_000_000
        arguments = [*kind, *given, "--seed", str(seed)]
        command = shlex.join(["scripts/bench", "chaos", *arguments])
        print(f"\n{command}   # {total.counts['turns']} turns in {minutes:.1f} min", flush=True)
        run_began = time.monotonic()
        verdict = _carried_out(carry_out, arguments)
        total.merge(verdict)
        runs.append(
            {
                "command": command,
                "seconds": round(time.monotonic() - run_began, 1),
                "counts": dict(verdict.counts),
                "injected": dict(verdict.injected),
                "reconnects": verdict.reconnects,
                "faults": verdict.lines,
            }
        )
        report = {
            "at": at,
            "commit": _commit(),
            "clean": total.clean and judged,
            "judge_found_planted_faults": None if options.unjudged else judged,
            "seconds": round(time.monotonic() - began, 1),
            "counts": dict(total.counts),
            "injected": dict(total.injected),
            "reconnects": total.reconnects,
            "runs": runs,
        }
        # After each run: a campaign may be cut off.
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    _print_table(runs, total, time.monotonic() - began)
    print(f"injected {dict(total.injected)}, and readers came back {total.reconnects} times")
    print(f"{path}")
    if not judged:
        print("the judge does not find what is planted: its word does not count")
    return total.clean and judged


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _carried_out(carry_out: CarryOut, arguments: list[str]) -> Verdict:
    """Carries a run out; one that breaks off does not end the others."""
    try:
        return carry_out(arguments)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        verdict = Verdict()
        verdict.add("wrong", f"the run broke off: {error!r}")
        return verdict


def _kinds() -> Iterator[list[str]]:
    """Yields the options of one run after the other.

    Each round has every scenario over every log, in an order of its own, and after four rounds each of them has had
    every policy.
    """
    source = random.Random(time.time_ns())
    kinds = [
        (scenario, log)
        for scenario in _SCENARIOS
        for log in LOGS
        if (scenario, log) != ("partition", "sqlite") and (scenario != "disk" or os.geteuid() == 0)
    ]
    for turn in itertools.count(source.randrange(len(_POLICIES))):
        for number, (scenario, log) in source.sample(list(enumerate(kinds)), len(kinds)):
            policy = _POLICIES[(number + turn) % len(_POLICIES)]
            rerun = ["--rerun", "1"] if source.random() < 0.3 else []
            yield ["--scenario", scenario, "--log", log, "--policy", policy, *rerun]


def _print_table(runs: list[dict[str, Any]], total: Verdict, seconds: float) -> None:
    rows: list[tuple[str, ...]] = [("run", *_COLUMNS)]
    for run in runs:
        words = run["command"].split()
        name = " ".join(words[words.index("--scenario") + 1 : words.index("--clients")])
        name = name.replace("--log ", "").replace("--policy ", "").replace("--", "")
        rows.append((name, *(str(run["counts"].get(column, 0)) for column in _COLUMNS)))
    rows.append((f"all, {seconds / 60:.1f} min", *(str(total.counts[column]) for column in _COLUMNS)))
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))
