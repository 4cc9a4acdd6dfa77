"""Attachment ids that describe their file, for stores that have no place for attachments.

An id is ``atc_`` and base64 of: a version, a nonce, a hash of the owner, the size, the media type, the name, and the
HMAC of all these. The secret is needed to make or to change one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_LENGTH", "FileDescription", "generate_signed_id", "parse_signed_id"]

MAX_LENGTH: Final = 200
"""Characters of an id at most."""

_PREFIX: Final = "atc_"
_VERSION: Final = b"\x01"
_NONCE: Final = 12
_OWNER: Final = 8
_SIZE: Final = 6
_SIGNATURE: Final = 16
_HEADER: Final = len(_VERSION) + _NONCE + _OWNER + _SIZE + 1
_TEXTS: Final = (MAX_LENGTH - len(_PREFIX)) * 3 // 4 - _HEADER - _SIGNATURE
_LONGEST_TYPE: Final = 80
_LONGEST_EXTENSION: Final = 8


@dataclass(frozen=True, slots=True)
class FileDescription:
    """What an id tells of its file.

    Attributes:
        name: File name; a long one is shortened in the middle, its extension kept.
        mime_type: Media type; one of more than 80 bytes becomes ``application/octet-stream``.
        size: Bytes, as announced by the client.
    """

    name: str
    mime_type: str
    size: int


def generate_signed_id(
    description: FileDescription, owner: str, *, secret: bytes, nonce: bytes | None = None
) -> str:
    """Returns an id of at most ``MAX_LENGTH`` characters of ``[0-9A-Za-z_-]``.

    Args:
        description: The file.
        owner: The tenant that the file belongs to, empty where there are none.
        secret: The application's secret.
        nonce: Twelve bytes that make the id unique; random by default.
    """
    key = _key(secret)
    kind = description.mime_type.encode("utf-8", "replace")
    if len(kind) > _LONGEST_TYPE:
        kind = b"application/octet-stream"
    size = min(max(description.size, 0), 256**_SIZE - 1)
    payload = b"".join(
        (
            _VERSION,
            nonce or secrets.token_bytes(_NONCE),
            _owner_hash(key, owner),
            size.to_bytes(_SIZE),
            bytes((len(kind),)),
            kind,
            _shortened(description.name, _TEXTS - len(kind)),
        )
    )
    return _PREFIX + _encode(payload + _signature(key, payload))


def parse_signed_id(text: str, owner: str, *, secret: bytes) -> FileDescription | None:
    """Returns what the id describes; None if it was not made with this secret for this owner."""
    if len(text) > MAX_LENGTH or not text.startswith(_PREFIX):
        return None
    encoded = text.removeprefix(_PREFIX)
    try:
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return None
    # The decoder skips what is not base64, and does not look at spare bits.
    if len(data) < _HEADER + _SIGNATURE or _encode(data) != encoded:
        return None
    payload, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
    key = _key(secret)
    if not hmac.compare_digest(signature, _signature(key, payload)) or not payload.startswith(_VERSION):
        return None
    rest = payload[len(_VERSION) + _NONCE :]
    if not hmac.compare_digest(rest[:_OWNER], _owner_hash(key, owner)):
        return None
    size, texts = rest[_OWNER : _OWNER + _SIZE], rest[_OWNER + _SIZE + 1 :]
    end_of_type = rest[_OWNER + _SIZE]
    return FileDescription(
        name=texts[end_of_type:].decode(),
        mime_type=texts[:end_of_type].decode(),
        size=int.from_bytes(size),
    )


def _key(secret: bytes) -> bytes:
    # The application may use its secret for other things, whose signatures must not be good here.
    return hmac.digest(secret, b"chatkit attachment id", hashlib.sha256)


def _signature(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, b"signature" + payload, hashlib.sha256)[:_SIGNATURE]


def _owner_hash(key: bytes, owner: str) -> bytes:
    # Keyed, or guessing at owners' names would tell whose the file is.
    return hmac.digest(key, b"owner" + owner.encode("utf-8", "surrogatepass"), hashlib.sha256)[:_OWNER]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _shortened(name: str, limit: int) -> bytes:
    whole = name.encode("utf-8", "replace")
    if len(whole) <= limit:
        return whole
    stem, dot, extension = whole.rpartition(b".")
    ending = "…".encode()
    if stem and 0 < len(extension) <= _LONGEST_EXTENSION:
        ending += dot + extension
    else:
        stem = whole
    kept = stem[: limit - len(ending)].decode("utf-8", "ignore").encode()
    return kept + ending
