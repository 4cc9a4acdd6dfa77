"""The model of how messages are accepted, and faults planted in it, which it finds."""

from __future__ import annotations

import pytest

from tests.stateful.acceptance_model import PLANTS, run
from tests.support.scale import examples


def test_messages_are_accepted_once_in_order_and_told() -> None:
    wrong: dict[int, list[str]] = {}
    run(range(examples(1500)), tell=wrong.__setitem__)
    assert not wrong


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(plant: str) -> None:
    assert any(run(range(seed, seed + 1), plant) for seed in range(1500))
