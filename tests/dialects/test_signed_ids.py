"""Attachment ids that describe their file."""

from __future__ import annotations

import base64
import logging
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatkit import _secrets
from chatkit._secrets import signing_secret
from chatkit.dialects import signed_ids
from chatkit.dialects.signed_ids import FileDescription, generate_signed_id, parse_signed_id

SECRET = b"a secret of the application"
ALPHABET = string.ascii_letters + string.digits + "-_"

names = st.text(max_size=300)
types = st.sampled_from(["image/png", "text/plain; charset=utf-8", ""]) | st.text(max_size=100)
owners = st.text(max_size=20)
short_names = st.text(max_size=20).filter(lambda name: len(name.encode("utf-8", "replace")) <= 20)


def make(name: str = "a.png", kind: str = "image/png", size: int = 7, owner: str = "alice") -> str:
    return generate_signed_id(FileDescription(name, kind, size), owner, secret=SECRET)


@given(short_names, st.sampled_from(["image/png", "application/x-é", ""]), st.integers(0, 2**48 - 1), owners)
def test_round_trip(name: str, kind: str, size: int, owner: str) -> None:
    description = FileDescription(name, kind, size)
    made = generate_signed_id(description, owner, secret=SECRET)
    assert parse_signed_id(made, owner, secret=SECRET) == description


@given(names, types, st.integers(), owners)
@example("漢" * 100, "image/" + "x" * 74, 2**200, "o")
@example("\ud800", "\udfff", -1, "\ud800")
def test_any_file_has_an_id_of_bounded_length(name: str, kind: str, size: int, owner: str) -> None:
    made = generate_signed_id(FileDescription(name, kind, size), owner, secret=SECRET)
    assert len(made) <= 200
    assert re.fullmatch(r"atc_[0-9A-Za-z_-]+", made)
    found = parse_signed_id(made, owner, secret=SECRET)
    assert found is not None
    assert found.size == min(max(size, 0), 2**48 - 1)
    assert found.mime_type in {kind.encode("utf-8", "replace").decode(), "application/octet-stream"}


def test_longest_id_uses_the_length_that_there_is() -> None:
    assert len(make("x" * 300)) == signed_ids.MAX_LENGTH == 200


@given(short_names, owners, st.data())
def test_changing_any_character_is_refused(name: str, owner: str, data: st.DataObject) -> None:
    made = generate_signed_id(FileDescription(name, "image/png", 1), owner, secret=SECRET)
    place = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(
        st.sampled_from([*ALPHABET, "=", "+", "/", " ", "\n", "é"]).filter(lambda c: c != made[place])
    )
    assert parse_signed_id(made[:place] + other + made[place + 1 :], owner, secret=SECRET) is None


@given(st.integers(0, 200), st.sampled_from([*ALPHABET, "=", " ", "\n", "."]))
def test_shortening_or_extending_is_refused(place: int, extra: str) -> None:
    made = make()
    place = min(place, len(made))
    assert parse_signed_id(made[:place] + extra + made[place:], "alice", secret=SECRET) is None
    if place < len(made):
        assert parse_signed_id(made[:place], "alice", secret=SECRET) is None


def test_spare_bits_of_the_last_character_are_part_of_the_id() -> None:
    made = next(made for length in range(3) if len(made := make("x" * length)) % 4 != 0)
    data = base64.urlsafe_b64decode(made[4:] + "==")
    twins = [
        made[:-1] + last
        for last in ALPHABET
        if last != made[-1] and base64.urlsafe_b64decode(made[4:-1] + last + "==") == data
    ]
    assert twins
    assert all(parse_signed_id(twin, "alice", secret=SECRET) is None for twin in twins)


@given(st.text() | st.text(ALPHABET).map(lambda text: f"atc_{text}"))
@example("atc_")
@example("atc_a")
@example("x" * 10_000)
def test_text_of_any_other_origin_is_refused(text: str) -> None:
    assert parse_signed_id(text, "alice", secret=SECRET) is None


@given(owners, owners)
def test_id_is_good_for_its_owner_only(owner: str, other: str) -> None:
    found = parse_signed_id(make(owner=owner), other, secret=SECRET)
    assert (found is not None) == (owner == other)


def test_id_is_good_for_its_secret_only() -> None:
    assert parse_signed_id(make(), "alice", secret=b"another secret") is None


def test_ids_of_the_same_file_differ() -> None:
    assert len({make() for _ in range(1000)}) == 1000


def test_id_does_not_show_its_owner() -> None:
    same_nonce = bytes(12)
    ids = {
        generate_signed_id(FileDescription("a", "b", 1), "alice", secret=secret, nonce=same_nonce)
        for secret in (SECRET, b"another secret")
    }
    hashes = {base64.urlsafe_b64decode(made[4:] + "==")[13:21] for made in ids}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("report of the year " * 20 + ".pdf", "report of the year", "….pdf"),
        ("x" * 300, "xxx", "x…"),
        ("." + "x" * 300, ".xxx", "x…"),
        ("a." + "x" * 300, "a.xxx", "x…"),
        ("漢字" * 100 + ".txt", "漢字漢字", "….txt"),
    ],
)
def test_long_names_keep_their_beginning_and_extension(name: str, start: str, end: str) -> None:
    found = parse_signed_id(make(name), "alice", secret=SECRET)
    assert found is not None
    assert found.name.startswith(start)
    assert found.name.endswith(end)
    assert len(found.name.encode()) > 85


def test_media_type_that_is_too_long_becomes_a_file_of_any_kind() -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    for kind, kept in ((word, word), ("image/" + "x" * 75, "application/octet-stream")):
        found = parse_signed_id(make(kind=kind), "alice", secret=SECRET)
        assert found is not None
        assert found.mime_type == kept


def test_secret_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "geheim é")
    assert signing_secret() == "geheim é".encode()
    assert caplog.records == []


@pytest.mark.parametrize("given_secret", [None, ""])
def test_without_a_secret_one_is_drawn_and_a_warning_says_so_once(
    given_secret: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _secrets._warn_of_random_secret.cache_clear()
    if given_secret is None:
        monkeypatch.delenv("CHATKIT_SECRET", raising=False)
    else:
        monkeypatch.setenv("CHATKIT_SECRET", given_secret)
    with caplog.at_level(logging.WARNING, logger="chatkit"):
        first, second = signing_secret(), signing_secret()
    assert first == second
    assert len(first) == 32
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "CHATKIT_SECRET" in caplog.text
    assert first.hex() not in caplog.text
