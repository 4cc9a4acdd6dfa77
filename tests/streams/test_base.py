"""Event ids."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidRequestError
from chatkit.ids import utc_now
from chatkit.streams import EventId, TurnInfo
from chatkit.streams.base import JUMP, InterruptedTurn, LogEntry


@given(st.text(min_size=1), st.integers(min_value=0, max_value=10**15 - 1))
def test_an_event_id_is_read_back(turn_id: str, seq: int) -> None:
    assert EventId.parse(f"{turn_id}:{seq}") == EventId(turn_id, seq)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "turn_1",
        "turn_1:",
        ":1",
        "turn_1:x",
        "turn_1:-1",
        "turn_1: 1",
        "turn_1:1.0",
        "turn_1:²",
        "t:" + "9" * 16,
    ],
)
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="turn_id:number"):
        EventId.parse(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = EventId.parse(text)
    except InvalidRequestError:
        return
    assert parsed.turn_id
    assert parsed.seq >= 0


ages = st.floats(min_value=-60, max_value=10**7)


@given(st.lists(st.tuples(ages, st.integers(min_value=0, max_value=JUMP // 2)), min_size=2, max_size=6))
def test_each_attempt_at_a_turn_has_numbers_of_its_own(attempts: list[tuple[float, int]]) -> None:
    """Whatever the clocks of the workers say, and however many of its events were saved."""
    base = 0
    for attempt, (age, saved) in enumerate(attempts, 2):
        started_at = utc_now() - timedelta(seconds=age)
        info = TurnInfo("turn", "thr", started_at=started_at, attempt=attempt, base=base)
        entries = [LogEntry(base + saved, b"{}")] if saved else []
        next_base = InterruptedTurn(info, entries).next_base
        assert next_base >= base + saved + JUMP
        base = next_base
    assert base < 10**15, "a cursor has fifteen digits"


def test_attempts_of_which_the_log_knows_nothing_have_numbers_of_their_own() -> None:
    started_at = utc_now() - timedelta(days=2)
    bases = [
        InterruptedTurn(TurnInfo("turn", "thr", started_at=started_at, attempt=attempt), []).next_base
        for attempt in (2, 3, 4)
    ]
    assert bases[0] + JUMP <= bases[1] <= bases[2] - JUMP
    young = InterruptedTurn(TurnInfo("turn", "thr", attempt=2), []).next_base
    older = TurnInfo("turn", "thr", attempt=2, started_at=utc_now() - timedelta(seconds=10))
    # A server that forgot the attempt before calls this one the second as well.
    assert InterruptedTurn(older, []).next_base >= young + 50 * JUMP
