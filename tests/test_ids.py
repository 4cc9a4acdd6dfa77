"""Identifiers and the clock."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit import ids
from chatkit.ids import ITEM_ID_PREFIXES, new_id, to_utc, utc_now

SHAPE = re.compile(r"([0-9A-Za-z]+)_([0-9A-Za-z]{20,32})")


@pytest.mark.parametrize(("kind", "prefix"), [*ITEM_ID_PREFIXES.items(), ("turn", "turn"), ("x9", "x9")])
def test_shape(kind: str, prefix: str) -> None:
    match = SHAPE.fullmatch(new_id(kind))
    assert match is not None
    assert match[1] == prefix


def test_no_collision_in_a_hundred_thousand() -> None:
    assert len({new_id("message") for _ in range(100_000)}) == 100_000


def test_at_least_96_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def draw(bits: int) -> int:
        asked.append(bits)
        return (1 << bits) - 1

    monkeypatch.setattr(ids.secrets, "randbits", draw)
    new_id("message")
    assert sum(asked) >= 96


@given(
    st.integers(min_value=0, max_value=2**55),
    st.integers(min_value=1, max_value=2**40),
    st.integers(min_value=0, max_value=2**96 - 1),
    st.integers(min_value=0, max_value=2**96 - 1),
)
def test_ids_sort_by_time_whatever_the_random_part(
    first: int, later: int, random_first: int, random_later: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made: list[str] = []
        for moment, drawn in ((first, random_first), (first + later, random_later)):
            patch.setattr(ids.time, "time_ns", lambda moment=moment: moment * 1000)
            patch.setattr(ids.secrets, "randbits", lambda bits, drawn=drawn: drawn)
            made.append(new_id("message"))
    assert made[0] < made[1]
    assert all(SHAPE.fullmatch(each) for each in made)


@given(st.integers(min_value=0, max_value=2**96 - 1), st.integers(min_value=0, max_value=2**96 - 1))
def test_every_random_bit_counts(first: int, second: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids.time, "time_ns", lambda: 1_800_000_000_000_000_000)
        made: list[str] = []
        for drawn in (first, second):
            patch.setattr(ids.secrets, "randbits", lambda bits, drawn=drawn: drawn)
            made.append(new_id("message"))
    assert (made[0] == made[1]) == (first == second)


def test_the_clock_is_aware_and_in_utc() -> None:
    assert utc_now().tzinfo is UTC
    assert abs(utc_now().timestamp() - time.time()) < 5


def test_naive_moments_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        moment = to_utc(datetime(2026, 7, 1, 12, 0))  # noqa: DTZ001 -- what is tested
        assert moment == datetime(2026, 6, 30, 22, 0, tzinfo=UTC)
        assert moment.tzinfo is UTC
    finally:
        monkeypatch.undo()
        time.tzset()


def test_aware_moments_keep_their_instant() -> None:
    given_moment = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert to_utc(given_moment) == given_moment
    assert to_utc(given_moment).tzinfo is UTC
