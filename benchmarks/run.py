"""Compares this package with openai-chatkit 1.6.5 in an environment of its own: the same application, turn by turn.

Usage: ``scripts/bench [--runs N] [--check] [workload ...]``. Ratios are ours divided by theirs; the median of the pairs
counts, since machines are noisy. With ``--check`` the exit code tells whether every goal is met.

Other measurements have names of their own: ``scripts/bench stores`` what a long thread costs, ``scripts/bench logs``
the stream logs beside one another, ``scripts/bench chaos`` many clients against workers and servers that die.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.reference_package import openai_chatkit_python  # noqa: E402

OTHERS = {"chaos": "benchmarks.chaos.run", "logs": "benchmarks.bench_shared_logs"}
GOALS = {"first": ("wall", 0.5), "get_by_id": ("cpu", 0.1), "deltas": ("cpu", 0.5)}
TITLES = {
    "first": "import and first streamed request, fresh process (wall s)",
    "get_by_id": "threads.get_by_id (CPU s each)",
    "deltas": "20,000 deltas in process (CPU s each)",
}


def measure(python: Path, workload: str) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", str(ROOT / "benchmarks" / "workload.py"), workload]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(workload: str, runs: int, theirs: Path) -> float:
    figure, goal = GOALS[workload]
    ours_figures: list[float] = []
    their_figures: list[float] = []
    for number in range(runs + 1):
        ours = measure(Path(sys.executable), workload)
        other = measure(theirs, workload)
        if number:  # The first pair fills the file system's caches.
            ours_figures.append(ours[figure])
            their_figures.append(other[figure])
    ratios = [ours / other for ours, other in zip(ours_figures, their_figures, strict=True)]
    ratio = statistics.median(ratios)
    mark = "ok" if ratio <= goal else "MISSED"
    print(f"{TITLES[workload]}")
    print(
        f"  ours {statistics.median(ours_figures):.6f}   1.6.5 {statistics.median(their_figures):.6f}"
        f"   ratio {ratio:.3f} (min {min(ratios):.3f}, max {max(ratios):.3f})   goal <= {goal}   {mark}"
    )
    return ratio


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
        default=list(GOALS),
        metavar="workload",
        help=", ".join([*GOALS, "or stores alone"]),
    )
    parser.add_argument("--runs", type=int, default=5, help="pairs that count (default 5)")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()
    if options.workloads == ["stores"]:
        import bench_stores

        return 0 if bench_stores.run() or not options.check else 1
    unknown = set(options.workloads) - set(GOALS)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    theirs = openai_chatkit_python()
    missed = [name for name in options.workloads if compare(name, options.runs, theirs) > GOALS[name][1]]
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
