"""What the first bytes of a file say it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.files.media_types import detect, is_shown_inline, matches

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 "
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00"
ZIP = b"PK\x03\x04\x14\x00"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00"
SVG = b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg">'
HTML = b"\xef\xbb\xbf  <!DOCTYPE html><html>"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("mime_type", "head"),
    [
        ("image/png", PNG),
        ("IMAGE/PNG; q=1", PNG),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("image/jpg", b"\xff\xd8\xff\xdb"),
        ("image/gif", b"GIF89a\x01"),
        ("image/webp", WEBP),
        ("image/avif", b"\x00\x00\x00\x1cftypavif"),
        ("image/heic", b"\x00\x00\x00\x1cftypheic"),
        ("image/bmp", b"BM\x00\x00\x00\x00"),
        ("image/svg+xml", SVG),
        ("image/svg+xml", b"<!DOCTYPE svg PUBLIC>"),
        ("text/html", HTML),
        ("text/html", b"just a text"),
        ("application/pdf", b"%PDF-1.7\n"),
        ("application/zip", ZIP),
        (DOCX, ZIP),
        (DOCX, OLE),
        ("application/msword", OLE),
        ("audio/wav", b"RIFF\x10\x00\x00\x00WAVEfmt "),
        ("audio/webm", b"\x1a\x45\xdf\xa3"),
        ("video/quicktime", b"\x00\x00\x00\x08moov"),
        ("video/mp4", MP4),
        ("audio/mpeg", b"ID3\x04"),
        ("audio/mpeg", b"\xff\xfb\x90"),
        ("text/plain", b""),
        ("text/plain", b"BMW and MZ"),
        ("text/plain", b"<script>in a tutorial</script>"),
        ("text/plain", "\ufeffpläin".encode("utf-16")),
        ("text/csv", b"a;b\n"),
        ("application/json", b"{}"),
        ("application/xml", SVG),
        ("text/xml", b"<feed/>"),
        ("application/octet-stream", PNG),
        ("application/octet-stream", HTML),
        ("application/x-mine", b"\x00\x01"),
        ("image/x-mine", b"\x00\x01"),
    ],
)
def test_bytes_of_the_type(mime_type: str, head: bytes) -> None:
    assert matches(mime_type, head)


@pytest.mark.parametrize(
    ("mime_type", "head"),
    [
        ("image/png", b""),
        ("image/png", HTML),
        ("image/png", SVG),
        ("image/png", b"\xff\xd8\xff"),
        ("image/png", PNG[:7]),
        ("image/webp", b"RIFX\x10\x00\x00\x00WEBP"),
        ("image/jpeg", PNG),
        ("image/gif", b"GIF88a"),
        ("image/x-mine", HTML),
        ("image/x-mine", SVG),
        ("image/x-mine", ZIP),
        ("image/svg+xml", HTML),
        ("image/svg+xml", PNG),
        ("image/svg+xml", b"no markup"),
        ("video/mp4", HTML),
        ("audio/mpeg", b"%PDF-"),
        ("application/pdf", b"MZ\x00\x00"),
        ("application/pdf", b""),
        ("application/zip", b"PK"),
        (DOCX, HTML),
        ("text/plain", PNG),
        ("text/plain", b"\x7fELF\x02"),
        ("text/plain", b"a\x00b"),
        ("text/html", PNG),
        ("text/csv", ZIP),
        ("application/json", b"%PDF-1"),
    ],
)
def test_bytes_of_another_type(mime_type: str, head: bytes) -> None:
    assert not matches(mime_type, head)


@given(st.binary(max_size=64))
def test_pictures_are_never_what_could_be_markup(head: bytes) -> None:
    if is_shown_inline(detect(head) or ""):
        assert not head.lstrip().startswith(b"<")


@given(st.text(max_size=20), st.binary(max_size=64))
def test_any_input_has_an_answer(mime_type: str, head: bytes) -> None:
    assert matches(mime_type, head) in {True, False}


@pytest.mark.parametrize(
    "mime_type", ["image/svg+xml", "text/html", "application/pdf", "", "image/*", "image"]
)
def test_what_is_not_shown_in_place(mime_type: str) -> None:
    assert not is_shown_inline(mime_type)


def test_markup_is_looked_for_in_linear_time() -> None:
    begin = time.thread_time()
    for head in (b"<!---->" * 146, b" " * 1024, b"<?xml?>" * 146, b"<!--" * 256, b"<?xml >" * 145 + b"<"):
        assert detect(head) is None
    assert time.thread_time() - begin < 1
