"""The media type of a file, checked by its first bytes.

A declared media type is a claim. The table shows whether the bytes contradict it; it does not prove that a file is
well-formed.
"""

from __future__ import annotations

import re
from functools import cache
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import Final

__all__ = ["HEAD_BYTES", "UNKNOWN_TYPE", "base_type", "detect", "is_shown_inline", "matches", "type_of_name"]

UNKNOWN_TYPE: Final = "application/octet-stream"
"""What clients say of a file whose type they do not know."""

HEAD_BYTES: Final = 1024
"""Bytes from a file's begin that are looked at."""

_ZIP: Final = "application/zip"
_OLE: Final = "application/x-ole-storage"
_MP4: Final = "video/mp4"
_XML: Final = "application/xml"
_HTML: Final = "text/html"
_SVG: Final = "image/svg+xml"
_HEIF: Final = "image/heic"

# Type, offset, bytes. The first match counts.
_SIGNATURES: Final[tuple[tuple[str, int, bytes], ...]] = (
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/gif", 0, b"GIF87a"),
    ("image/gif", 0, b"GIF89a"),
    ("image/webp", 8, b"WEBP"),
    ("audio/wav", 8, b"WAVE"),
    ("video/x-msvideo", 8, b"AVI "),
    ("image/avif", 4, b"ftypavif"),
    ("image/avif", 4, b"ftypavis"),
    (_HEIF, 4, b"ftyphei"),
    (_HEIF, 4, b"ftyphev"),
    (_HEIF, 4, b"ftypmif1"),
    (_HEIF, 4, b"ftypmsf1"),
    (_MP4, 4, b"ftyp"),
    (_MP4, 4, b"moov"),
    (_MP4, 4, b"mdat"),
    ("image/tiff", 0, b"II*\x00"),
    ("image/tiff", 0, b"MM\x00*"),
    ("image/x-icon", 0, b"\x00\x00\x01\x00"),
    ("application/pdf", 0, b"%PDF-"),
    (_ZIP, 0, b"PK\x03\x04"),
    (_ZIP, 0, b"PK\x05\x06"),
    (_OLE, 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("application/gzip", 0, b"\x1f\x8b\x08"),
    ("application/x-7z-compressed", 0, b"7z\xbc\xaf\x27\x1c"),
    ("application/x-rar-compressed", 0, b"Rar!\x1a\x07"),
    ("application/x-tar", 257, b"ustar"),
    ("video/webm", 0, b"\x1a\x45\xdf\xa3"),
    ("audio/ogg", 0, b"OggS"),
    ("audio/flac", 0, b"fLaC"),
    ("audio/mpeg", 0, b"ID3"),
    ("application/x-executable", 0, b"\x7fELF"),
    ("application/x-executable", 0, b"\xcf\xfa\xed\xfe"),
    ("application/x-executable", 0, b"\xca\xfe\xba\xbe"),
    ("application/rtf", 0, b"{\\rtf"),
)
# Two bytes are too few to tell such a file from a text that begins with them.
_WEAK: Final[tuple[tuple[str, bytes], ...]] = (
    ("image/bmp", b"BM"),
    ("application/x-msdownload", b"MZ"),
)
_RIFF: Final = frozenset({"image/webp", "audio/wav", "video/x-msvideo"})

# Which declared types each detected one is good for, besides itself.
_ALIASES: Final[dict[str, frozenset[str]]] = {
    "image/png": frozenset({"image/apng", "image/x-png"}),
    "image/jpeg": frozenset({"image/jpg", "image/pjpeg"}),
    "image/bmp": frozenset({"image/x-bmp", "image/x-ms-bmp"}),
    "image/x-icon": frozenset({"image/vnd.microsoft.icon"}),
    "image/avif": frozenset({"image/heif", "image/heic"}),
    _HEIF: frozenset({"image/heif", "image/heic-sequence", "image/heif-sequence", "image/avif"}),
    _MP4: frozenset(
        {"audio/mp4", "audio/x-m4a", "audio/m4a", "video/quicktime", "video/x-m4v", "video/3gpp"}
    ),
    "video/webm": frozenset({"audio/webm", "video/x-matroska", "audio/x-matroska"}),
    "audio/ogg": frozenset({"video/ogg", "application/ogg", "audio/opus"}),
    "audio/wav": frozenset({"audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    "audio/flac": frozenset({"audio/x-flac"}),
    "audio/mpeg": frozenset({"audio/mp3", "audio/aac", "video/mpeg"}),
    "application/gzip": frozenset({"application/x-gzip"}),
    "application/rtf": frozenset({"text/rtf"}),
    _ZIP: frozenset({"application/x-zip-compressed", "application/epub+zip", "application/java-archive"}),
    _OLE: frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"}),
    _SVG: frozenset({_XML, "text/xml"}),
    _HTML: frozenset({"application/xhtml+xml"}),
}
_ZIP_FAMILIES: Final = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
)
# Pictures that every browser shows and that cannot carry scripts, so no SVG.
_INLINE: Final = frozenset(
    {
        "image/apng",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/jpg",
        "image/png",
        "image/vnd.microsoft.icon",
        "image/webp",
        "image/x-icon",
    }
)
_KNOWN: Final = frozenset(
    {
        *(kind for kind, _, _ in _SIGNATURES),
        *(kind for kind, _ in _WEAK),
        *(alias for aliases in _ALIASES.values() for alias in aliases),
    }
    # No signature tells an ADTS stream, an MPEG frame or XML without a prolog for certain.
) - {"audio/aac", "audio/mpeg", "audio/mp3", "video/mpeg", "application/x-tar", _XML, "text/xml"}

# Atomic groups: comments in a row must not be divided among the repetitions in every possible way.
_MARKUP: Final = re.compile(
    rb"\s*+(?>(?><\?xml[^>]*>|<!--.*?-->)\s*+)*+<(!doctype\s+)?(html|svg|script|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_MORE_ENDINGS: Final = {
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".webp": "image/webp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


def base_type(mime_type: str) -> str:
    """Returns a media type in lower case, without parameters."""
    return mime_type.partition(";")[0].strip().lower()


@cache
def _types_by_ending() -> MimeTypes:
    # Python's own table, not the machine's: every worker is to say the same.
    types = MimeTypes(filenames=())
    for ending, kind in _MORE_ENDINGS.items():
        types.add_type(kind, ending)
    return types


def type_of_name(name: str) -> str | None:
    """Returns the usual media type of files with the ending of this name, None if it is not known."""
    kind, encoding = _types_by_ending().guess_type(f"name{PurePosixPath(name).suffix.lower()}")
    return None if encoding else kind


def detect(head: bytes) -> str | None:
    """Returns the media type that the first bytes of a file have the signature of, None if of none.

    Args:
        head: The first ``HEAD_BYTES`` bytes, or all of a shorter file.
    """
    for kind, offset, signature in _SIGNATURES:
        if head.startswith(signature, offset) and (kind not in _RIFF or head.startswith(b"RIFF")):
            return kind
    for kind, signature in _WEAK:
        if head.startswith(signature) and b"\x00" in head:
            return kind
    if markup := _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf")):
        return _SVG if markup[2].lower() == b"svg" else _HTML
    return None


def matches(mime_type: str, head: bytes) -> bool:
    """Returns whether a file that begins with these bytes can be of the declared type.

    A type with a signature needs it. Text must not be binary. A type that the table does not know passes, as
    nothing shows it in place: it is downloaded.

    Args:
        mime_type: As the client declared it.
        head: The first ``HEAD_BYTES`` bytes, or all of a shorter file.
    """
    declared = base_type(mime_type)
    found = detect(head)
    if declared in _KNOWN:
        return found is not None and (declared == found or declared in _ALIASES.get(found, frozenset()))
    if declared.startswith(_ZIP_FAMILIES):
        # Office encrypts a document into a container of the older kind.
        return found in {_ZIP, _OLE}
    if declared == _SVG:
        return found == _SVG
    if declared == _HTML:
        return found in {None, _HTML} and not _is_binary(head)
    if declared.startswith(("image/", "audio/", "video/")):
        return found is None or (found.startswith(("image/", "audio/", "video/")) and found != _SVG)
    if declared.startswith("text/") or declared in {"application/json", _XML}:
        return (found is None or found in {_HTML, _SVG}) and not _is_binary(head)
    return True


def is_shown_inline(mime_type: str) -> bool:
    """Returns whether a browser may show a file of the type in place: pictures that cannot carry scripts."""
    return base_type(mime_type) in _INLINE


def _is_binary(head: bytes) -> bool:
    return b"\x00" in head and not head.startswith(_BYTE_ORDER_MARKS)
