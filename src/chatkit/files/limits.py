"""Limits on the size, number and media type of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatkit._checks import check_fields
from chatkit.errors import (
    ConfigurationError,
    InvalidRequestError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from chatkit.files.media_types import UNKNOWN_TYPE, base_type, matches, type_of_name

_MEDIA_TYPE: Final = re.compile(r"[\w.+!#$&^-]{1,127}/[\w.+!#$&^-]{1,127} *(;[\x20-\x7e]{0,200})?", re.ASCII)

__all__ = ["DEFAULT_LIMITS", "FileLimits", "check_content"]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What files an application takes.

    Attributes:
        max_bytes: Bytes of a file at most.
        max_count: Attachments of a message at most.
        mime_types: Media types that are taken, such as ``"image/*"`` or ``"application/pdf"``; ``"*/*"`` takes all.

    Raises:
        ConfigurationError: A number is not positive, or there is no media type.
    """

    max_bytes: int = 100 * 1024 * 1024
    max_count: int = 10
    mime_types: Sequence[str] = ("*/*",)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.max_bytes < 1 or self.max_count < 1:
            raise ConfigurationError("FileLimits: max_bytes and max_count must be at least 1.")
        if isinstance(self.mime_types, str) or not self.mime_types:
            raise ConfigurationError('FileLimits: mime_types must be a list, such as ["image/*"].')

    def fitting_type(self, name: str, mime_type: str) -> str:
        """Returns the media type to take a file under: the one its name's ending suggests where its own is not taken.

        Browsers know no type for many endings, such as ``.md``, and Windows calls a ``.csv`` an Excel sheet.

        Args:
            name: File name.
            mime_type: As announced; empty where the client knows none.
        """
        unknown = not mime_type or base_type(mime_type) == UNKNOWN_TYPE
        if not unknown and self._takes(mime_type):
            return mime_type
        guessed = type_of_name(name)
        if guessed is not None and self._takes(guessed):
            return guessed
        return mime_type or UNKNOWN_TYPE

    def _takes(self, mime_type: str) -> bool:
        return any(_is_within(base_type(mime_type), pattern.lower()) for pattern in self.mime_types)

    def check_announced(self, size: int, mime_type: str) -> None:
        """Raises if a file that a client announces is not taken.

        Args:
            size: The bytes that the client announces.
            mime_type: The media type that it announces.

        Raises:
            InvalidRequestError: The size is negative, or the type is none.
            RequestTooLargeError: The file is too large.
            UnsupportedMediaTypeError: The type is not taken.
        """
        if size < 0:
            raise InvalidRequestError("'size' must not be negative.")
        if not _MEDIA_TYPE.fullmatch(mime_type):
            raise InvalidRequestError("'mime_type' must be a media type, such as 'text/plain'.")
        if size > self.max_bytes:
            raise RequestTooLargeError(f"The file is too large; at most {self.max_bytes} bytes are taken.")
        if not self._takes(mime_type):
            raise UnsupportedMediaTypeError(
                f"Files of this type are not taken; send one of {', '.join(self.mime_types)}."
            )

    def check_count(self, count: int) -> None:
        """Raises InvalidRequestError if a message has too many attachments."""
        if count > self.max_count:
            raise InvalidRequestError(f"A message has {self.max_count} attachments at most.")


DEFAULT_LIMITS: Final = FileLimits()
"""100 MiB a file, ten files a message, any type: what front ends allow by default."""


def check_content(mime_type: str, announced: int, arrived: int, head: bytes) -> None:
    """Raises if the bytes of a file are not what was announced.

    Args:
        mime_type: As announced.
        announced: Bytes, as announced.
        arrived: Bytes that there are.
        head: The first of them, ``chatkit.files.media_types.HEAD_BYTES`` or all.

    Raises:
        RequestTooLargeError: There are more bytes.
        InvalidRequestError: There are fewer.
        UnsupportedMediaTypeError: They are not of the type.
    """
    if arrived > announced:
        raise RequestTooLargeError(f"The file has {arrived} bytes, but {announced} were announced.")
    if arrived < announced:
        raise InvalidRequestError(f"The file has {arrived} bytes, but {announced} were announced.")
    if not matches(mime_type, head):
        raise UnsupportedMediaTypeError("The file's content is not of the type that was announced.")


def _is_within(mime_type: str, pattern: str) -> bool:
    if pattern in {"*", "*/*"}:
        return True
    if pattern.endswith("/*"):
        return mime_type.startswith(pattern[:-1])
    return mime_type == pattern
