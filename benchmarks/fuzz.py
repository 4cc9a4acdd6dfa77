"""Sends mutated requests of all types to a real server and checks what comes of them.

Usage: ``scripts/bench fuzz [--requests N] [--store sqlite|postgres] [--seed N]``. The exit code is 1 if an answer was
an internal error, a refused request wrote to the store, one held the event loop for more than 50 ms, or memory grew.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.postgres import new_database, postgres_server
from tests.web.fuzz_run import Report, run

_MAX_HELD = 0.05
_MAX_GROWTH = 0.15
"""Part of the memory after the first requests that it may have grown by at the end."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=50_000, help="how many are sent (default 50000)")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests")
    parser.add_argument("--seconds", type=float, help="sends no more after that long")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chatkit-fuzz-")))
        if options.store == "postgres":
            server = stack.enter_context(postgres_server())
            database = stack.enter_context(new_database(server.url))
        else:
            database = str(folder / "chat.db")
        report = run(database, folder, requests=options.requests, seed=options.seed, until=options.seconds)
    return 1 if _print(report, options.store) else 0


def _print(report: Report, store: str) -> bool:
    """Prints what came of a run; returns whether it missed a goal."""
    total = sum(report.statuses.values())
    print(f"{total} requests over HTTP on {store} in {report.seconds:.0f} s")
    print(
        "  statuses  " + ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    )
    for kind in sorted({kind for kind, _ in report.types}):
        served, refused = report.types[kind, False], report.types[kind, True]
        print(f"  {kind:32} {served:6} served {refused:6} refused")
    before, after = report.memory
    growth = report.growth / before
    megabytes = f"{before / 2**20:.1f} MiB after the first requests, {after / 2**20:.1f} MiB at the end"
    print(f"  memory    {megabytes} ({growth:+.1%})")
    print(
        f"  the loop was held for {report.held * 1000:.1f} ms at most (late by {report.late * 1000:.1f} ms)"
    )
    print(f"  300 plain requests held it for {report.baseline * 1000:.1f} ms at most")
    for line in report.worst:
        print(f"    {line[:220]}")
    print(f"  faults    {len(report.faults)}")
    for fault in report.faults[:50]:
        print(f"    {fault[:1000]}")
    missed = bool(report.faults) or report.held > _MAX_HELD or growth > _MAX_GROWTH
    print("MISSED" if missed else "ok")
    return missed


if __name__ == "__main__":
    sys.exit(main())
