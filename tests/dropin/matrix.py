"""Which scenario shows which part of the protocol: ``python -m tests.dropin.matrix``; exit code 1 if one has none."""

from __future__ import annotations

import json
import sys
import typing
from pathlib import Path

from openai.types.responses import ResponseStreamEvent

from chatkit.agents.conversion import _HANDLERS
from tests.agents.recorded.scenarios import SCENARIOS as RUNS
from tests.agents.test_recorded import DIFFERENCES as OF_AGENTS
from tests.dropin.cases import TOPICS, cases
from tests.dropin.members import members, models_of
from tests.dropin.reasons import Reason
from tests.dropin.run_differences import REASONS
from tests.server.differences import DIFFERENCES as OF_SERVER
from tests.server.recorded.scenarios import SCENARIOS

__all__ = ["Table", "additions", "differences", "gaps", "lost", "tables"]

RECORDED = Path(__file__).with_name("members.json")
_SHOWN = 3

Table = dict[str, list[str]]
"""Member -> the scenarios that it occurs in."""


def reference_members() -> dict[str, list[str]]:
    """Returns what the protocol of 1.6.5 consists of."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def tables() -> dict[str, Table]:
    """Returns a table for each group of members of 1.6.5, and for what has no types."""
    occurring = {case.name: case.occurring for case in cases()}
    made: dict[str, Table] = {
        title: {name: [case for case, names in occurring.items() if name in names] for name in group}
        for title, group in reference_members().items()
        if title != "kinds of ids"
    }
    made["kinds of ids"] = _ids(reference_members()["kinds of ids"])
    raw = _raw_events()
    made["events of the Agents SDK that are converted"] = {name: raw.get(name, []) for name in _HANDLERS}
    kinds = [_tag(model) for model in models_of(ResponseStreamEvent)]
    made["events of the Agents SDK that are left out"] = {
        name: raw.get(name, []) for name in kinds if name not in _HANDLERS
    }
    made["topics"] = {
        title: [case.name for case in cases() if check(case)] for title, check in TOPICS.items()
    }
    return made


def _tag(model: typing.Any) -> str:
    return typing.get_args(model.model_fields["type"].annotation)[0]


def _raw_events() -> Table:
    found: Table = {}
    for name, scenario in RUNS.items():
        kinds = {entry["type"]: None for entry in scenario["entries"] if isinstance(entry, dict)}
        for kind in kinds:
            found.setdefault(kind, []).append(f"agents:{name}")
    return found


def _ids(kinds: list[str]) -> Table:
    """A kind's ids are made up by the stores of scenarios; what they look like is recorded."""
    answers = json.loads(
        (Path(__file__).parents[1] / "server/recorded/answers.json").read_text(encoding="utf-8")
    )
    named = {name: json.dumps(answers[name]) for name in SCENARIOS}
    return {
        kind: [
            f"server:{name}"
            for name, text in named.items()
            if name.startswith("ids_") and (f"/{kind}:" in text or f"<{_PREFIXES[kind]} " in text)
        ]
        for kind in kinds
    }


_PREFIXES = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "task": "tsk",
    "workflow": "wf",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}


def gaps() -> list[str]:
    """Returns what occurs in no scenario."""
    return [
        f"{title}: {name}" for title, table in tables().items() for name, found in table.items() if not found
    ]


def lost() -> list[str]:
    """Returns what 1.6.5 has and this package has not."""
    ours = members()
    return [
        f"{title}: {name}"
        for title, names in reference_members().items()
        for name in names
        if name not in ours[title]
    ]


def additions() -> list[str]:
    """Returns what this package has and 1.6.5 has not."""
    theirs = reference_members()
    return [
        f"{title}: {name}"
        for title, names in members().items()
        for name in names
        if name not in theirs[title]
    ]


def differences() -> dict[str, Reason]:
    """Returns why an answer is not the recorded one, by scenario and number of the answer."""
    found: dict[str, Reason] = {
        f"server:{name}[{number}]": difference.reason for (name, number), difference in OF_SERVER.items()
    }
    return found | {f"agents:{name}": REASONS[name] for name in OF_AGENTS}


def report() -> str:
    """Returns the matrix as text."""
    lines: list[str] = []
    made = tables()
    for title, table in made.items():
        width = max(map(len, table))
        lines += ["", f"{title.upper()}: {sum(map(bool, table.values()))} of {len(table)}"]
        for name, found in table.items():
            shown = ", ".join(found[:_SHOWN]) + (
                f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            )
            lines.append(f"  {name:{width}}  {shown or 'NO SCENARIO'}")
    lines += ["", f"ADDITIONS OF THIS PACKAGE: {len(additions())}", *(f"  {name}" for name in additions())]
    reasons: dict[str, list[str]] = {}
    for place, reason in differences().items():
        reasons.setdefault(str(reason), []).append(place)
    lines += ["", f"DIFFERENCES: {len(differences())}, for {len(reasons)} reasons"]
    for reason, places in sorted(reasons.items()):
        lines += [f"  {reason}", *(f"    {place}" for place in places)]
    count = sum(map(len, made.values()))
    played = f"{len(SCENARIOS)} scenarios of the server, {len(RUNS)} runs of the Agents SDK"
    lines += ["", f"{played}; {count} members, {len(gaps())} without a scenario, {len(lost())} lost."]
    lines += [f"  NO SCENARIO: {name}" for name in gaps()] + [f"  LOST: {name}" for name in lost()]
    return "\n".join(lines).strip()


if __name__ == "__main__":
    sys.stdout.write(f"{report()}\n")
    sys.exit(bool(gaps() or lost()))
