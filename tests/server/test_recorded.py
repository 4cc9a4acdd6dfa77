"""What openai-chatkit 1.6.5 answers, recorded, and what this package answers to the same application."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.server.differences import DIFFERENCES
from tests.server.recorded.scenarios import SCENARIOS, SETTINGS, play_scenario

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded" / "answers.json").read_text(encoding="utf-8")
)


def as_caught(answer: Any, expected: Any) -> Any:
    """Returns the answer with each error under the name that is expected, if it is caught under that name."""
    if isinstance(answer, list) and isinstance(expected, list) and len(answer) == len(expected):
        return [as_caught(*both) for both in zip(answer, expected, strict=True)]
    if (
        isinstance(answer, dict)
        and isinstance(expected, dict)
        and {"raised"} == answer.keys() == expected.keys()
    ):
        return expected if expected["raised"][0] in answer["raised"] else answer
    return answer


@pytest.mark.parametrize("name", SCENARIOS)
async def test_answers_equal_the_recorded_ones(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    answers = await play_scenario(name)
    expected = [
        DIFFERENCES[name, number].change(answer) if (name, number) in DIFFERENCES else answer
        for number, answer in enumerate(RECORDED[name])
    ]
    assert as_caught(answers, expected) == expected


def test_every_difference_is_one() -> None:
    for (name, number), difference in DIFFERENCES.items():
        assert difference.change(RECORDED[name][number]) != RECORDED[name][number], (name, number)


def test_every_scenario_is_recorded() -> None:
    assert RECORDED.keys() - {"package"} == SCENARIOS.keys()


def test_every_setting_is_of_a_scenario() -> None:
    assert SETTINGS.keys() <= SCENARIOS.keys()
