"""Thoughts in a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.think_tags import ThinkTags, split_thoughts

CASES: list[tuple[str, str, list[str]]] = [
    ("Hello", "Hello", []),
    ("<think>hm</think>\n\nHello", "Hello", ["hm"]),
    ("Hello <think>hm</think> you", "Hello  you", ["hm"]),
    ("<thinking>hm</thinking>Hello", "Hello", ["hm"]),
    ("<THINK>hm</Think>Hello", "Hello", ["hm"]),
    ("<think>hm", "", ["hm"]),
    ("Hello <think>hm", "Hello ", ["hm"]),
    ("<think>a<think>b</think>c</think>Hello", "Hello", ["abc"]),
    ("<think>no <think> tags</think>Hello", "Hello", ["no  tagsHello"]),
    ("<think></think>Hello", "Hello", []),
    ("<think>a</think>one<think>b</think>two", "onetwo", ["a", "b"]),
    ("```\n<think>x</think>\n```\n<think>hm</think>y", "```\n<think>x</think>\n```\ny", ["hm"]),
    ("- ~~~~html\n  <think>x\n  ~~~\n  ~~~~\n<think>hm", "- ~~~~html\n  <think>x\n  ~~~\n  ~~~~\n", ["hm"]),
    ("Write `<think>` or ``a`<think>`` <think>hm</think>!", "Write `<think>` or ``a`<think>`` !", ["hm"]),
    ("one ` tick\n<think>hm</think>two", "one ` tick\ntwo", ["hm"]),
    ("```\n<think>x", "```\n<think>x", []),
    ("a < b <thin", "a < b <thin", []),
    ("stray </think> tag", "stray </think> tag", []),
    ("<think>a\n```\nx</think>b", "b", ["a\n```\nx"]),
]


def shown(pieces: list[tuple[bool, str]]) -> tuple[str, str]:
    return (
        "".join(text for thought, text in pieces if not thought),
        "".join(text for thought, text in pieces if thought),
    )


@pytest.mark.parametrize(("text", "answer", "thoughts"), CASES)
def test_texts(text: str, answer: str, thoughts: list[str]) -> None:
    assert split_thoughts(text) == (answer, thoughts)


WORDS = st.sampled_from(
    ["<think>", "</think>", "<", "think", ">", "`", "```", "~~~", "\n", " ", "a", "<thi", "/", "- "]
)


@given(st.lists(WORDS, max_size=25).map("".join), st.lists(st.integers(1, 9)))
def test_any_cuts_give_the_same(text: str, sizes: list[int]) -> None:
    whole = ThinkTags()
    expected = shown([*whole.feed(text), *whole.finish()])
    cut, pieces, rest = ThinkTags(), [], text
    for size in sizes:
        pieces += cut.feed(rest[:size])
        rest = rest[size:]
    pieces += [*cut.feed(rest), *cut.finish()]
    assert shown(pieces) == expected
    assert all(piece for _, piece in pieces)


@given(st.text())
def test_without_tags_nothing_is_changed(text: str) -> None:
    if "<think" not in text.lower():
        assert split_thoughts(text) == (text, [])
