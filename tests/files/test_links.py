"""Signed links and file names in headers."""

from __future__ import annotations

import email.message
import re
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidRequestError, LinkExpiredError, PermissionDeniedError
from chatkit.files.links import check_file_id, content_disposition, served_at, serving_at, sign, verify

KEY = b"key"
texts = st.text(max_size=20)


def parsed(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))


@given(
    st.dictionaries(st.sampled_from(["name", "size", "type", "more"]), st.text(st.characters(codec="utf-8")))
)
def test_a_link_gives_back_what_was_signed(fields: dict[str, str]) -> None:
    fields["expires"] = "100"
    query = parsed(sign(KEY, "upload", "f", fields))
    assert verify(KEY, "upload", "f", query, 100) == fields
    with pytest.raises(LinkExpiredError):
        verify(KEY, "upload", "f", query, 100.5)


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "999"},
        {"size": "8"},
        {"type": "text/html"},
        {"more": ""},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "\ud800é"},
    ],
)
def test_a_changed_link_is_forged(change: dict[str, str]) -> None:
    query = parsed(sign(KEY, "upload", "f", {"expires": "100", "size": "7", "type": "image/png"}))
    with pytest.raises(PermissionDeniedError):
        verify(KEY, "upload", "f", {**query, **change}, 50)


def test_a_link_is_good_for_one_file_purpose_and_key() -> None:
    query = parsed(sign(KEY, "upload", "f", {"expires": "100"}))
    for key, purpose, file_id in ((b"other", "upload", "f"), (KEY, "content", "f"), (KEY, "upload", "g")):
        with pytest.raises(PermissionDeniedError):
            verify(key, purpose, file_id, query, 50)
    for broken in ({}, {"expires": "100"}, {"signature": query["signature"]}):
        with pytest.raises(PermissionDeniedError):
            verify(KEY, "upload", "f", broken, 50)


@given(texts, texts, texts, texts)
def test_no_two_contents_have_one_signature(a: str, b: str, c: str, d: str) -> None:
    first = parsed(sign(KEY, a, b, {"expires": "1"}))["signature"]
    second = parsed(sign(KEY, c, d, {"expires": "1"}))["signature"]
    assert (first == second) == ((a, b) == (c, d))


@pytest.mark.parametrize("file_id", ["a", "atc_1", "a.b~c-d", "A" * 255])
def test_ids(file_id: str) -> None:
    assert check_file_id(file_id) == file_id


@pytest.mark.parametrize(
    "file_id", ["", ".", "..", ".a", "a/b", "a\\b", "a b", "é", "a\n", "a%2f", "A" * 256]
)
def test_ids_that_could_be_paths(file_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_file_id(file_id)


@given(st.text(), st.booleans())
def test_a_file_name_stays_inside_its_header(name: str, inline: bool) -> None:
    value = content_disposition(name, inline=inline)
    assert value.isascii()
    assert value.isprintable()
    assert re.fullmatch(
        r'(inline|attachment)(; filename="[^"\\%]*"(; filename\*=UTF-8\'\'[^;"\s]*)?)?', value
    )


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("a.png", "a.png"),
        ("a b;c.png", "a b;c.png"),
        ("ä.png", "ä.png"),
        ("100%.txt", "100%.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        ("a\r\nb: c", "ab: c"),
        ("\u202egnp.exe", "gnp.exe"),
        (".", None),
        ("", None),
    ],
)
def test_what_a_browser_makes_of_a_name(name: str, seen: str | None) -> None:
    message = email.message.Message()
    value = content_disposition(name)
    message["Content-Disposition"] = value
    extended = re.search(r"filename\*=UTF-8''(\S+)", value)
    found = unquote(extended[1]) if extended else message.get_filename()
    assert found == seen


def test_a_long_name_keeps_its_extension() -> None:
    value = content_disposition("x" * 500 + ".jpeg")
    assert value.endswith('x.jpeg"')
    assert len(value) < 240


def test_the_address_of_a_request() -> None:
    assert served_at() is None
    with serving_at("http://a/files"):
        assert served_at() == "http://a/files"
    assert served_at() is None
