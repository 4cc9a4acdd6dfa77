"""Compares this package with openai-chatkit 1.6.5 in an environment of its own: the same application, turn by turn.

Usage: ``scripts/bench [--runs N] [--check] [--against FOLDER] [workload ...]``. Ratios are ours divided by theirs; the
median of the pairs counts, since machines are noisy. With ``--check`` the exit code says whether every goal is met.
``--against`` names another checkout's ``src``: then "theirs" is that one, in the same environment, and the goal is to
be no slower than 5 %.

Other measurements have names of their own: ``scripts/bench stores`` what a long thread costs, ``scripts/bench logs``
the stream logs beside one another, ``scripts/bench chaos`` many users against workers and servers that die,
``scripts/bench fuzz`` mutated requests against a server, ``scripts/bench search`` what a search of threads costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.reference_package import openai_chatkit_python  # noqa: E402

OTHERS = {
    "chaos": "benchmarks.chaos.run",
    "fuzz": "benchmarks.fuzz",
    "logs": "benchmarks.bench_shared_logs",
    "search": "benchmarks.bench_search",
}
GOALS = {
    "first": ("wall", 0.5),
    "get_by_id": ("cpu", 0.1),
    "deltas": ("cpu", 0.5),
    "typical": ("cpu", 0.5),
    "tick": ("cpu", 1.0),
    "agents": ("cpu", 0.5),
}
WITHOUT_PEER = {"short": "cpu", "idle": "kib"}
"""Workloads for ``--against`` alone: 1.6.5 has no SQLite store, and the memory of a stream is compared with our own."""
GOAL_AGAINST = 1.05
TITLES = {
    "first": "import and first streamed request, fresh process (wall s)",
    "get_by_id": "threads.get_by_id (CPU s each)",
    "deltas": "20,000 deltas in process (CPU s each)",
    "typical": "answers of 300 deltas, all ready (CPU s a delta)",
    "tick": "answers of 300 deltas, one turn of the loop between (CPU s a delta)",
    "agents": "answers of 300 deltas from a run of the Agents SDK (CPU s a delta)",
    "short": "answers of 3 deltas with a SQLite file (CPU s a turn)",
    "idle": "memory of an open stream that waits (KiB)",
}


def measure(python: Path, workload: str, source: Path | None = None, *observed: str) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", str(ROOT / "benchmarks" / "workload.py"), workload, *observed]
    env = os.environ | ({} if source is None else {"PYTHONPATH": str(source)})
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def compare(workload: str, runs: int, theirs: Path, source: Path | None, observed: list[str]) -> bool:
    """Prints a ratio, and returns whether its goal is met."""
    figure, goal = GOALS[workload] if workload in GOALS else (WITHOUT_PEER[workload], GOAL_AGAINST)
    goal = goal if source is None else GOAL_AGAINST
    ours_figures: list[float] = []
    their_figures: list[float] = []
    for number in range(runs + 1):
        ours = measure(Path(sys.executable), workload, None, *observed)
        other = measure(theirs, workload, source)
        if number:  # The first pair fills the file system's caches.
            ours_figures.append(ours[figure])
            their_figures.append(other[figure])
    ratios = [ours / other for ours, other in zip(ours_figures, their_figures, strict=True)]
    ratio = statistics.median(ratios)
    mark = "ok" if ratio <= goal else "MISSED"
    name = "1.6.5" if source is None else "other"
    print(f"{TITLES[workload]}")
    print(
        f"  ours {statistics.median(ours_figures):.6f}   {name} {statistics.median(their_figures):.6f}"
        f"   ratio {ratio:.3f} (min {min(ratios):.3f}, max {max(ratios):.3f})   goal <= {goal}   {mark}",
        flush=True,
    )
    return ratio <= goal


def main() -> int:
    module = OTHERS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if module is not None:
        # Has options of its own.
        command = [sys.executable, "-m", module, *sys.argv[2:]]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="workload",
        help=", ".join([*GOALS, *WITHOUT_PEER, "or stores alone"]),
    )
    parser.add_argument("--runs", type=int, default=5, help="pairs that count (default 5)")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout's src")
    parser.add_argument(
        "--observed",
        action="append",
        default=[],
        choices=("metrics", "traces"),
        help="count, or trace, in ours alone; repeatable",
    )
    options = parser.parse_args()
    if options.workloads == ["stores"]:
        import bench_stores

        return 0 if bench_stores.run() or not options.check else 1
    known = [*GOALS] if options.against is None else [*GOALS, *WITHOUT_PEER]
    names = options.workloads or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    source = None
    if options.against is not None:
        source = options.against.resolve()
        if not (source / "chatkit").is_dir():
            parser.error(f"{source} is no folder with the package chatkit")
    theirs = openai_chatkit_python() if source is None else Path(sys.executable)
    met = [compare(name, options.runs, theirs, source, options.observed) for name in names]
    return 1 if options.check and not all(met) else 0


if __name__ == "__main__":
    sys.exit(main())
