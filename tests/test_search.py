"""What a search asks for, how texts are folded into words, and the pieces that are shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit._sqlite.fts5 import has_fts5
from chatkit._words import MAX_WORD, words_in
from chatkit.search import SearchQuery, SearchTerm, index_words
from chatkit.store._search_rows import owner_tag, vector_columns

# All that may mean something to a database, and all scripts.
TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("\"'*()^:-+&|!<>\\{}\0 \n_\u201c你好吗ทดสอบé\u0301🎉👩\u200d"))
)


def terms(text: str) -> tuple[SearchTerm, ...]:
    return SearchQuery.parse(text).terms


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ()),
        ('"" * ? !', ()),
        ("two words", (SearchTerm(("two",)), SearchTerm(("words",), True))),
        ("wor* two", (SearchTerm(("wor",), True), SearchTerm(("two",), True))),
        ('"one two" three', (SearchTerm(("one", "two")), SearchTerm(("three",), True))),
        ('"one two', (SearchTerm(("one", "two"), True),)),
        ("\u201cone two\u201d", (SearchTerm(("one", "two")),)),
        ("a-b_c don't", (SearchTerm(("a", "b", "c")), SearchTerm(("don", "t")))),
        ("ab abc", (SearchTerm(("ab",)), SearchTerm(("abc",), True))),
        ("same same", (SearchTerm(("same",)), SearchTerm(("same",), True))),
        ("你", (SearchTerm(("你",), True),)),
        ("你好吗", (SearchTerm(("你好", "好吗")),)),
        ("안녕", (SearchTerm(("안녕",), True),)),
    ],
)
def test_what_is_typed_is_read(typed: str, expected: tuple[SearchTerm, ...]) -> None:
    assert terms(typed) == expected


@given(TEXTS)
def test_nothing_that_is_typed_is_wrong(typed: str) -> None:
    found = terms(typed)
    assert len(found) <= 12
    assert sum(len(term.words) for term in found) <= 32
    for word in [word for term in found for word in term.words]:
        # What has a meaning for a database is in no word.
        assert word.isascii() <= word.isalnum()
        assert not set(word) & set("\"'*()^:-+&|!<>\\{}\0 \n_")
        assert 0 < len(word) <= MAX_WORD * 2


@given(TEXTS)
def test_places_of_words_are_those_of_the_text(text: str) -> None:
    words = list(words_in(text))
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)
    # Folding what was folded changes nothing but the ends of runs, which stand alone.
    once = [word.text for word in words if not word.ends_run and len(word.text) < MAX_WORD]
    assert all(unicodedata.is_normalized("NFC", word) for word in once)


@given(TEXTS, TEXTS)
def test_what_scores_is_shown_and_what_is_shown_is_in_the_text(text: str, typed: str) -> None:
    query = SearchQuery.parse(typed)
    score, snippet = query.score(index_words(text)), query.snippet(text)
    if score:
        assert query.ranges(text)
    if snippet is not None:
        last = 0
        for start, end in snippet.ranges:
            assert last <= start < end <= len(snippet.text)
            last = end
        assert "\n" not in snippet.text


@given(TEXTS)
def test_a_text_finds_itself(text: str) -> None:
    first = next(words_in(text), None)
    if first is not None:
        piece = text[first.start : first.end]
        query = SearchQuery.parse(f'"{piece}"')
        # Quotation marks are no part of a word.
        assert query.score(index_words(text)) > 0


@given(TEXTS)
def test_columns_of_the_index_hold_what_they_are_made_of(text: str) -> None:
    words = index_words(text)
    kept, vector = vector_columns("ada", words)
    assert kept == words
    assert vector is not None
    tag = owner_tag("ada")
    lexemes = [entry.rpartition(":")[0] for entry in vector.split(" ") if entry]
    assert {f"{tag}{word}" for word in words.split()} == set(lexemes)


def test_owners_have_tags_of_their_own() -> None:
    tags = {owner_tag(f"owner {number}") for number in range(10_000)}
    assert len(tags) > 9_990
    assert all(len(tag) == 6 and tag.isascii() and tag.isalnum() for tag in tags)


def test_a_snippet_is_cut_at_words_around_what_was_found() -> None:
    text = "# A **long** text\n" + "filler words " * 40 + "the needle is here, " + "more words " * 40
    snippet = SearchQuery.parse("needle").snippet(text)
    assert snippet is not None
    assert snippet.text.startswith("\u2026")
    assert snippet.text.endswith("\u2026")
    ((start, end),) = snippet.ranges
    assert snippet.text[start:end] == "needle"
    assert len(snippet.text) < 180
    short = SearchQuery.parse("long").snippet(text[:17])
    assert short is not None
    assert (short.text, short.ranges) == ("A long text", ((2, 6),))


def test_a_word_without_an_end_is_cut() -> None:
    text = "x" * 300_000
    snippet = SearchQuery.parse("x" * 900).snippet(text)
    assert snippet is not None
    assert len(snippet.text) < 1_000


def test_this_build_has_fts5() -> None:
    # Else the tests of SQLite's search were skipped.
    assert has_fts5()
