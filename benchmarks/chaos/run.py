"""Many users against three workers behind nginx while workers and servers die, with every byte checked.

Usage: ``scripts/bench chaos [--scenario NAME] [--log redis|postgres|sqlite] ...`` for one run,
``scripts/bench chaos --campaign TURNS`` for runs of all scenarios over all logs until so many turns are judged, and
``scripts/bench chaos --judge`` for runs with planted faults, which the judge has to find. The exit code tells whether
nothing was lost, doubled, reordered, endless, or other than database and views have it.

Each user has a thread: one message; the same message at two workers within milliseconds; several messages at once; a
tool's output, actions, a message answered again. All that was answered is sent again later, and something else with
the same key. ``--policy`` says what a message does in a thread in which a turn runs.

Scenarios: in ``load`` nothing fails. In ``chaos`` a worker dies, one freezes beyond its lease, the servers restart or
the file is locked; ``freezes`` and ``restarts`` are parts of it. In ``crashes`` workers die at any moment, one after
the other; ``kills`` measures when readers hear of it. ``rolling`` replaces all workers. In ``disk`` the disk of the
database is full for a while, which takes root: it is a small file system in memory. In ``partition`` no process dies:
one worker loses the server of the log, one sends into a black hole there, both for longer than a lease, the third one
loses PostgreSQL for some seconds, and all connections to both servers are reset at random the whole time. With the log
in PostgreSQL, a worker that loses the log's server loses the store as well; over SQLite there is no network.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from typing import NoReturn

from benchmarks.chaos.campaign import FOLDER, campaign, judge_the_judge
from benchmarks.chaos.faults import SCENARIOS, Run
from benchmarks.chaos.judge import FAULTS, Verdict
from benchmarks.chaos.plants import PLANTS
from benchmarks.chaos.sessions import SHAPES
from benchmarks.chaos.topology import LOGS, topology

__all__ = ["main"]

_SHOWN_LINES = 40


def run_once(options: argparse.Namespace) -> Verdict:
    """Carries one run out, and prints what came of it; what the workers wrote is kept if it is not clean."""
    print(
        f"{options.scenario}: {options.clients} users ({', '.join(options.shapes)}), {options.deltas} deltas at "
        f"{options.pause * 1000:g} ms, log in {options.log}, lease {options.lease:g} s, policy {options.policy}, "
        f"rerun {options.rerun}, seed {options.seed}{f', planted: {options.plant}' if options.plant else ''}",
        flush=True,
    )
    with topology(
        log=options.log,
        lease=options.lease,
        drain=options.drain if options.scenario == "rolling" else 0.0,
        rerun=options.rerun,
        links=options.scenario == "partition",
        policy=options.policy,
        plant=options.plant,
        small_disk=options.scenario == "disk",
        # Turns survive a restart that takes no longer than the stores wait: a busy machine makes it a long one.
        reconnect=60.0 if options.scenario in {"chaos", "restarts"} else 5.0,
    ) as servers:
        verdict = asyncio.run(Run(servers, options, options.seed).run())
        logs = servers.logs()
    _print(verdict)
    if not verdict.clean and not options.plant:
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{options.seed}.log"
        path.write_text("\n".join([logs, *verdict.records, ""]))
        print(f"  what the workers wrote, and what their readers saw: {path}")
    return verdict


def _print(verdict: Verdict) -> None:
    ends = {kind: count for kind, count in verdict.counts.items() if kind not in FAULTS}
    faults = {kind: verdict.counts[kind] for kind in FAULTS}
    print(f"  {ends}, injected {dict(verdict.injected)}")
    print(f"  faults {faults}")
    print(
        f"  reconnects {verdict.reconnects}, snapshots {verdict.snapshots}, shown text taken back at most "
        f"{verdict.shrunk} characters"
    )
    for line in verdict.lines[:_SHOWN_LINES]:
        print(f"    {line}")
    if len(verdict.lines) > _SHOWN_LINES:
        print(f"    and {len(verdict.lines) - _SHOWN_LINES} more")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--campaign", type=int, metavar="TURNS", help="runs until so many turns are judged")
    parser.add_argument("--minutes", type=float, help="begins no further run of a campaign after that long")
    parser.add_argument(
        "--unjudged",
        action="store_true",
        help="has no planted faults found first: where that was done just now",
    )
    parser.add_argument("--judge", action="store_true", help="runs with planted faults, all if none is named")
    parser.add_argument("--plant", default="", choices=["", *PLANTS], help="a fault of the workers' code")
    parser.add_argument("--scenario", default="chaos", choices=list(SCENARIOS))
    parser.add_argument("--log", default="redis", choices=LOGS, help="where the stream log is")
    parser.add_argument(
        "--policy",
        default="allow",
        choices=["allow", "reject", "enqueue", "interrupt"],
        help="of a busy thread",
    )
    parser.add_argument(
        "--shapes", type=_shapes, default=SHAPES, help=f"what users do, of {','.join(SHAPES)} (default: all)"
    )
    parser.add_argument("--clients", type=int, help="users at once (60, and 150 in a campaign)")
    parser.add_argument("--deltas", type=int, default=40, help="text deltas of an answer")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two of them")
    parser.add_argument("--spread", type=float, default=3.0, help="seconds within which users begin")
    parser.add_argument("--cuts", type=float, default=0.3, help="share of readers that lose their connection")
    parser.add_argument(
        "--stock", type=float, default=0.1, help="share of readers that know nothing of turns"
    )
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")
    parser.add_argument("--rerun", type=int, default=0, help="reruns of a turn after a crash")
    parser.add_argument(
        "--begun", type=float, default=0.6, help="share of users that see text when faults begin"
    )
    parser.add_argument("--kills", type=int, default=20, help="kills in the scenario of that name")
    parser.add_argument(
        "--drain", type=float, default=30.0, help="seconds to end turns, in the scenario rolling"
    )
    parser.add_argument(
        "--store-cut", type=float, default=3.0, help="seconds without PostgreSQL, in the scenario partition"
    )
    parser.add_argument(
        "--flicker", type=float, default=1.0, help="seconds between resets, in the scenario partition"
    )
    parser.add_argument(
        "--patience", type=float, help="seconds after which an answer is an endless one (by default minutes)"
    )
    parser.add_argument("--seed", type=int, help="decides what users do; taken from the clock if not given")
    return parser


def _shapes(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(SHAPES):
        raise argparse.ArgumentTypeError(f"known are {', '.join(SHAPES)}")
    return names


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the options of a run; what cannot be is refused."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.log == "sqlite" and options.scenario == "partition":
        parser.error("there is no network between workers and an SQLite file")
    if options.scenario == "disk" and os.geteuid() != 0:
        parser.error("only root can make a small disk")
    if options.clients is None:
        options.clients = 60 if options.campaign is None else 150
    if options.patience is None:
        # Long enough for a machine that does other things too: what has no end has none then either.
        options.patience = options.deltas * options.pause * 10 + 10 * options.lease + 120
    if options.seed is None:
        options.seed = time.time_ns() // 1_000_000 % 1_000_000_000
    return options


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for and returns the exit code."""
    options = parse(arguments)
    # Servers are stopped, whoever ends this process.
    signal.signal(signal.SIGTERM, _exit)

    def carry_out(given: list[str]) -> Verdict:
        return run_once(parse(given))

    if options.judge:
        found = judge_the_judge([options.plant] if options.plant else list(PLANTS), carry_out)
        print("ok" if found else "NOT FOUND")
        return 0 if found else 1
    clean = run_once(options).clean if options.campaign is None else campaign(options, carry_out)
    print("ok" if clean else "NOT CLEAN")
    return 0 if clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
