"""The recorded scenarios show every part of the protocol, and every difference has a reason that is written down."""

from __future__ import annotations

import sys

import pytest

from tests.agents.test_recorded import DIFFERENCES as OF_AGENTS
from tests.dropin import matrix
from tests.dropin.run_differences import REASONS


def test_every_part_of_the_protocol_occurs() -> None:
    # Shown with `-s`, and when the test fails.
    sys.stdout.write(f"\n{matrix.report()}\n")
    assert matrix.gaps() == []


def test_nothing_of_the_protocol_is_lost() -> None:
    assert matrix.lost() == []


def test_every_difference_names_its_reason() -> None:
    assert REASONS.keys() == OF_AGENTS.keys()
    for place, reason in matrix.differences().items():
        assert len(str(reason)) > len("fault 1: "), place


def test_what_occurs_nowhere_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    members = matrix.reference_members()
    members["events"].append("HologramEvent")
    monkeypatch.setattr(matrix, "reference_members", lambda: members)
    assert matrix.gaps() == ["events: HologramEvent"]
    assert matrix.lost() == ["events: HologramEvent"]
