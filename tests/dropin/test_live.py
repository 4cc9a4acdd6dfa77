"""What is recorded is what ``openai-chatkit`` 1.6.5 does, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import scaled

TESTS = Path(__file__).resolve().parents[1]


def run(*arguments: object) -> str:
    done = subprocess.run(
        [openai_chatkit_python(), *map(str, arguments)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=scaled(100),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.timeout(900)  # The environment may have to be made first.
@pytest.mark.parametrize("recorded", ["server/recorded/answers.json", "agents/recorded/events.json"])
def test_recordings_are_fresh(recorded: str, tmp_path: Path) -> None:
    run(TESTS / Path(recorded).parent / "record.py", tmp_path / "now.json")
    expected, now = load(TESTS / recorded), load(tmp_path / "now.json")
    assert now.keys() == expected.keys()
    for name in expected:
        assert _comparable(now[name]) == _comparable(expected[name]), name


@pytest.mark.timeout(900)
def test_the_list_of_members_is_fresh() -> None:
    assert json.loads(run(TESTS / "dropin/members.py")) == load(TESTS / "dropin/members.json")


def _comparable(events: Any) -> Any:
    """Returns the events of a run with removals, whose order is that of a set, sorted at their end."""
    if not isinstance(events, list) or any(isinstance(event, list) for event in events):
        return events
    removals = [event for event in events if event.get("type") == "thread.item.removed"]
    return [event for event in events if event not in removals], sorted(
        event["item_id"] for event in removals
    )
