"""Ids of rows that say whose they are."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatkit.dialects.reference.row_ids import (
    OwnerTags,
    has_tag,
    is_possible,
    is_random,
    is_tagged_item_id,
    item_id_of_row,
    tagged_item_id,
)
from chatkit.ids import new_id

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "~", "a~", "ada", "thr_1", "é\x00", "\ud800", "a~" + "x" * 12]
)
SECRETS = (b"the secret", b"an older one", b"the oldest")


def test_new_thread_id() -> None:
    tags = OwnerTags("ada", (b"s",))
    ids = [tags.new_thread_id() for _ in range(200)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids, key=lambda made: made[:14])
    for made in ids:
        # Columns for a UUID and a prefix hold it.
        assert re.fullmatch(r"thr_[0-9A-Za-z]{19}~[0-9A-Za-z]{12}", made)
        assert len(made) == 36
        assert tags.owns(made)
        assert tags.thread_id(made) == made


@given(TEXTS, TEXTS, TEXTS)
def test_a_tag_is_the_owners_alone(owner: str, other: str, text: str) -> None:
    assume(owner != other)
    tags, others = OwnerTags(owner, (b"s",)), OwnerTags(other, (b"s",))
    for row_id in [*tags.row_ids(text), tags.new_thread_id()]:
        assert has_tag(row_id)
        assert tags.owns(row_id)
        assert not others.owns(row_id)
    assert tags.thread_id(tags.row_ids(text)[0]) == text


@given(TEXTS, st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_id_is_nobodys(owner: str, place: int, other: str) -> None:
    tags = OwnerTags(owner, (b"s",))
    made = tags.new_thread_id()
    place %= len(made)
    changed = made[:place] + other + made[place + 1 :]
    assert tags.owns(changed) == (changed == made)


@pytest.mark.parametrize(
    "text", ["", "~", "thr_1", "x~short", "a" + "~" + "x" * 13, "~" + "é" * 12, "a~" + "x" * 11 + "-"]
)
def test_ids_without_a_tag(text: str) -> None:
    assert not has_tag(text)
    assert not OwnerTags("ada", (b"s",)).owns(text)


def test_ids_that_no_database_has() -> None:
    assert [is_possible(text) for text in ("a\0", "\ud800", "x\udfffy", "", "é漢𐍈", "a~b")] == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]


def test_secrets_are_exchanged() -> None:
    first = OwnerTags("ada", (None,)).new_thread_id()
    second = OwnerTags("ada", (b"old",)).new_thread_id()
    now = OwnerTags("ada", (b"new", b"old"))
    assert now.owns(first)
    assert now.owns(second)
    assert not OwnerTags("ada", (b"new",)).owns(second)
    assert not OwnerTags("ada", (None,)).owns(second)
    assert OwnerTags("ada", (None, b"old")).owns(second)
    assert not OwnerTags("bob", (b"new", b"old")).owns(first)
    # An id of the application's own may have been stored under each of them.
    assert set(OwnerTags("ada", (b"old",)).row_ids("inbox")) < set(now.row_ids("inbox"))


@given(TEXTS, TEXTS, TEXTS)
def test_tags_of_items(thread: str, other: str, item: str) -> None:
    row_id = tagged_item_id(thread, item)
    assert is_tagged_item_id(thread, row_id)
    assert item_id_of_row(thread, row_id) == item
    if thread != other:
        assert tagged_item_id(other, item) != row_id
        assert item_id_of_row(other, row_id) == row_id


@pytest.mark.parametrize(
    "item_id",
    [
        "msg_0DfXvUwCdl0oDFkx4Ifu4XKXas",
        str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)),
        "msg_1a2b3c4d5e6f",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "msg-68a1b2c3d4e5f60718293a4b5c6d7e8f",
    ],
)
def test_random_ids(item_id: str) -> None:
    assert is_random(item_id)
    assert is_random(new_id("message"))


@pytest.mark.parametrize(
    "item_id",
    [
        "",
        "_",
        "msg_123",
        "answer",
        "__fake_id__",
        "msg_20261129082519",
        "abcdefabcdef",
        "msg_1a2b3c4d5e6f_0",
        "welcomeMessage2026forEverybody",
        "A" * 26,
        "é1a2b3c4d5e6",
    ],
)
def test_ids_that_several_threads_may_have(item_id: str) -> None:
    assert not is_random(item_id)
