"""Signed links, each good for one file, one purpose and a limited time."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final
from urllib.parse import quote, urlencode

from chatkit.errors import InvalidRequestError, LinkExpiredError, PermissionDeniedError

__all__ = ["check_file_id", "content_disposition", "served_at", "serving_at", "sign", "verify"]

_FILE_ID: Final = re.compile(r"[0-9A-Za-z_~-][0-9A-Za-z_.~-]{0,254}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNSAFE: Final = re.compile(r"[^ !#$&+\-.0-9A-Z^_`a-z{}~()\[\],;@=]")
_LONGEST_NAME: Final = 200

_served_at: ContextVar[str | None] = ContextVar("chatkit_files_at", default=None)


@contextmanager
def serving_at(url: str) -> Generator[None]:
    """Sets the address of stores that have none of their own, for the code inside.

    Args:
        url: Where the application serves files, absolute.
    """
    token = _served_at.set(url)
    try:
        yield
    finally:
        _served_at.reset(token)


def served_at() -> str | None:
    """Returns where the application serves files, as the present request reached it; None outside a request."""
    return _served_at.get()


def check_file_id(file_id: str) -> str:
    """Returns the id.

    Raises:
        InvalidRequestError: It is not 1 to 255 of ``0-9A-Za-z_.~-`` or begins with a dot.
    """
    if not _FILE_ID.fullmatch(file_id):
        raise InvalidRequestError(
            "A file's id has 1 to 255 characters of 0-9A-Za-z_.~- and begins with no dot."
        )
    return file_id


def sign(key: bytes, purpose: str, file_id: str, fields: Mapping[str, str]) -> str:
    """Returns the query of a link.

    Args:
        key: The secret; with it, anybody can make links.
        purpose: What the link is good for; one for another purpose has another signature.
        file_id: The file.
        fields: What else is signed; ``expires`` is a time in seconds since 1970.
    """
    return urlencode({**fields, "signature": _signature(key, purpose, file_id, fields)})


def verify(key: bytes, purpose: str, file_id: str, query: Mapping[str, str], now: float) -> dict[str, str]:
    """Returns the fields of a link that is good.

    Raises:
        PermissionDeniedError: It was not made with this key for this purpose and file.
        LinkExpiredError: It was, but its time is over.
    """
    fields = dict(query)
    given = fields.pop("signature", "")
    expected = _signature(key, purpose, file_id, fields)
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
        raise PermissionDeniedError("This link is not valid.")
    if now > float(fields["expires"]):
        raise LinkExpiredError
    return fields


def _signature(key: bytes, purpose: str, file_id: str, fields: Mapping[str, str]) -> str:
    parts = [purpose, file_id, *(part for name in sorted(fields) for part in (name, fields[name]))]
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    # Each part's length goes before it, or one could be moved into the next.
    message = b"".join(len(part).to_bytes(4) + part for part in encoded)
    return hmac.digest(key, message, hashlib.sha256).hex()


def content_disposition(name: str, *, inline: bool = False) -> str:
    """Returns the header's value for a file name (RFC 6266, RFC 8187), in ASCII.

    Args:
        name: As the user gave it; folders and control characters are left out.
        inline: Whether a browser may show the file in place.
    """
    kind = "inline" if inline else "attachment"
    plain = _CONTROL.sub("", re.split(r"[/\\]", name)[-1]).strip(" .")
    plain = plain.encode("utf-8", "replace").decode()
    if len(plain) > _LONGEST_NAME:
        stem, dot, extension = plain.rpartition(".")
        ending = dot + extension if stem and len(extension) <= 8 else ""
        plain = plain[: _LONGEST_NAME - len(ending)] + ending
    if not plain:
        return kind
    # A percent sign is decoded by some browsers in the plain form too.
    fallback = _UNSAFE.sub("_", plain)
    value = f'{kind}; filename="{fallback}"'
    if fallback != plain:
        value += f"; filename*=UTF-8''{quote(plain, safe='')}"
    return value
