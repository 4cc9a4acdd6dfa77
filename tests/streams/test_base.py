"""Event ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidRequestError
from chatkit.streams import EventId


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
