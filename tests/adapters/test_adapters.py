"""Adapters of other frameworks, as PyPI has them, on this package and on ``openai-chatkit``: the same answers."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.environments import PINS, our_python, their_python
from tests.dropin.environments import ROOT, pip, plain_environment, reach
from tests.support.scale import scaled

pytestmark = pytest.mark.timeout(900)  # The environments may have to be made first.

HERE = Path(__file__).parent
ADAPTERS = {"agent-framework-chatkit", "adk-chatkit"}
PROGRAMS = {"microsoft": "agent_framework_chatkit", "google_adk": "adk_chatkit"}
IDS = re.compile(r'"(id|thread_id|item_id|call_id|after)": "([^"]*)"')

REFUSED = "a server without a file store refuses attachments in words, and an error, of its own"
DIFFERENCES = {("google_adk", "attachment"): REFUSED}


def answers(python: Path, program: str, *arguments: str) -> dict[str, Any]:
    return played(python, program, *arguments)["answers"]


@cache
def played(python: Path, program: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        # Widgets of the old classes are deprecated in both, in other words.
        [python, "-W", "ignore::DeprecationWarning", HERE / f"{program}.py", *arguments],
        cwd=HERE,
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(100),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return f'"{match[1]}": "<{numbers.setdefault(match[2], len(numbers))}>"'

    told = json.loads(done.stdout.splitlines()[-1])
    if program == "google_adk":
        # The adapter merges what tools send with what the agent says, and which comes first is left to chance.
        told["answers"]["tool of the agent"]["answer"].sort(key=sent_by_a_tool)
    # Ids are random: what matters is which are the same.
    return json.loads(IDS.sub(numbered, json.dumps(told)))


def sent_by_a_tool(event: Any) -> bool:
    return event["type"] == "progress_update" or event.get("item", {}).get("type") == "widget"


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_application_answers_the_same_on_both(program: str) -> None:
    theirs, ours = answers(their_python(), program), answers(our_python(), program)
    assert ours.keys() == theirs.keys()
    for step, expected in theirs.items():
        if (program, step) in DIFFERENCES:
            assert "raised" in expected["answer"]
            assert "raised" in ours[step]["answer"], step
        else:
            assert ours[step] == expected, step


def test_the_visits_show_what_they_are_for() -> None:
    for program in PROGRAMS:
        visit = answers(our_python(), program)
        assert "I read" in str(visit["chat"]["answer"])
        assert visit["client tool"]["answer"][-1]["item"]["type"] == "client_tool_call"
        assert "I read" in str(visit["output of it"]["answer"])
        assert visit["retry"]["heard"]
        assert visit["feedback"]["heard"] == [["negative", 1]]
        assert "seen" in str(visit["action"]["answer"])
    microsoft = answers(our_python(), "microsoft")
    assert "data:text/plain;base64," in str(microsoft["message with it"]["heard"])
    assert "noon" in str(microsoft["output of it"]["heard"])


def test_a_shipped_store_takes_the_place_of_the_applications_own() -> None:
    own, shipped = answers(our_python(), "microsoft"), answers(our_python(), "microsoft", "shipped")
    # The model is told of a widget with its id, and with the fields in the order in which they are stored.
    assert {step: entry["answer"] for step, entry in shipped.items()} == {
        step: entry["answer"] for step, entry in own.items()
    }


def test_each_environment_has_one_distribution() -> None:
    # The other environment sees ours behind its own.
    file, *names = played(our_python(), "microsoft")["chatkit"]
    assert Path(file).is_relative_to(ROOT / "src")
    assert names == ["chatkit-server"]
    file, *names = played(their_python(), "microsoft")["chatkit"]
    assert Path(file).is_relative_to(their_python().parents[1])
    assert "openai-chatkit" in names


def test_what_pip_is_told_leaves_nothing_out_and_brings_no_other_distribution() -> None:
    text = (ROOT / "docs" / "frameworks.md").read_text()
    first, second = re.findall(
        r"^pip install (.*)$", text.partition("pip has no such option")[2], re.MULTILINE
    )
    assert set(second.split()) == {"--no-deps", *ADAPTERS}
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", PINS.read_text(), re.MULTILINE))
    done = pip(
        *("install", "--dry-run", "--ignore-installed", "--report", "-", "--no-deps"),
        *(f"{name}=={pins[name]}" for name in sorted(ADAPTERS)),
    )
    reach(done)
    assert all(f"`{name}` {pins[name]}" in text for name in ADAPTERS), "the versions that were tested"
    reported = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    assert {entry["name"] for entry in reported} == ADAPTERS
    needed = {
        re.split(r"[^\w-]", requirement)[0] for entry in reported for requirement in entry["requires_dist"]
    }
    assert "openai-chatkit" in needed
    # What this package brings as well.
    assert needed - {"openai-chatkit", "pydantic"} <= set(first.split())
