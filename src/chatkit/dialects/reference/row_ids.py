"""Ids of rows in a store that knows no owners: what they say of the owner, or of the thread, that a row belongs to.

An id with a tag is a text, ``~``, and twelve characters of ``[0-9A-Za-z]``. The tag of a thread's id is an HMAC of the
text under a key of the owner's, see :class:`OwnerTags`. The tag of an item's id is a hash of the text and the thread,
which makes the id unique in a table of the items of all threads.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from chatkit.ids import base62

__all__ = [
    "OwnerTags",
    "has_tag",
    "is_possible",
    "is_random",
    "is_tagged_item_id",
    "item_id_of_row",
    "tagged_item_id",
]

_SEPARATOR: Final = "~"
_TAG: Final = 12
_NONCE: Final = 19
_NONCE_RANDOM_BITS: Final = 56
_MADE_HERE: Final = re.compile(rf"thr_[0-9A-Za-z]{{{_NONCE}}}")

# For single-user applications without a secret: a forged id is of no use, since no row has it.
_BUILT_IN_SECRET: Final = b"no secret is configured"

_HEX: Final = re.compile(r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{12,}")
# Of chatkit.ids.new_id(), of this century's time.
_NEW_ID: Final = re.compile(r"0[C-V][0-9A-Za-z]{24}")
_ULID: Final = re.compile(r"0[0-7][0-9A-HJKMNP-TV-Z]{24}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_WORDS: Final = re.compile(r"[0-9A-Za-z]+")


def is_possible(text: str) -> bool:
    """Returns whether databases can have an id: PostgreSQL refuses NUL, and all of them what is no Unicode."""
    return "\0" not in text and not _SURROGATE.search(text)


def has_tag(row_id: str) -> bool:
    """Returns whether an id ends like one with a tag, of any owner or thread."""
    return row_id[-_TAG - 1 : -_TAG] == _SEPARATOR and row_id[-_TAG:].isalnum() and row_id[-_TAG:].isascii()


class OwnerTags:
    """The tags of one owner, in thread ids.

    An id that this class makes carries its tag, ``thr_`` + nonce + ``~`` + tag, which are 36 characters, and is the
    thread's id everywhere. A thread with an id of an application's own has a row with that id and a tag, and without
    the tag it is the thread's id everywhere else.

    Args:
        owner: The owner.
        configured: The application's secrets: the one that signs, None if there is none, then old ones.
    """

    def __init__(self, owner: str, configured: Sequence[bytes | None]) -> None:
        current, *old = configured
        accepted = (current or _BUILT_IN_SECRET, *old, _BUILT_IN_SECRET)
        self._keys = tuple(_owner_key(secret, owner) for secret in dict.fromkeys(accepted) if secret)

    def new_thread_id(self) -> str:
        """Returns an id for a new thread; ids of one process sort by the time they were made."""
        number = ((time.time_ns() // 1000) << _NONCE_RANDOM_BITS) | secrets.randbits(_NONCE_RANDOM_BITS)
        return self.row_ids(f"thr_{base62(number, _NONCE)}")[0]

    def row_ids(self, text: str) -> list[str]:
        """Returns the text with each tag that is good: that of the secret that signs now, then those of old ones."""
        return [f"{text}{_SEPARATOR}{_owner_tag(key, text)}" for key in self._keys]

    def owns(self, row_id: str) -> bool:
        """Returns whether an id has a tag of this owner's."""
        if not has_tag(row_id):
            return False
        text, tag = row_id[: -_TAG - 1], row_id[-_TAG:]
        return any(hmac.compare_digest(_owner_tag(key, text), tag) for key in self._keys)

    def thread_id(self, row_id: str) -> str:
        """Returns the thread's id, of the id of a row that this owner owns."""
        text = row_id[: -_TAG - 1]
        return row_id if _MADE_HERE.fullmatch(text) else text


@lru_cache(maxsize=4096)
def _owner_key(secret: bytes, owner: str) -> bytes:
    # The application may use its secret for other things, whose signatures must not be good here.
    key = hmac.digest(secret, b"chatkit owner tag", hashlib.sha256)
    return hmac.digest(key, owner.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _owner_tag(key: bytes, text: str) -> str:
    return _digits(hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256))


def _digits(digest: bytes) -> str:
    # Two of the 64 digits are the same as two others; faster than base 62.
    return base64.b64encode(digest[: _TAG * 6 // 8], b"xy").decode()


def tagged_item_id(thread_row: str, item_id: str) -> str:
    """Returns an id for an item's row that no item of another thread has."""
    parts = [part.encode("utf-8", "surrogatepass") for part in (thread_row, item_id)]
    digest = hashlib.sha256(len(parts[0]).to_bytes(4) + b"".join(parts)).digest()
    return f"{item_id}{_SEPARATOR}{_digits(digest)}"


def is_tagged_item_id(thread_row: str, row_id: str) -> bool:
    """Returns whether an id of an item's row has the tag of its thread."""
    return has_tag(row_id) and tagged_item_id(thread_row, row_id[: -_TAG - 1]) == row_id


def item_id_of_row(thread_row: str, row_id: str) -> str:
    """Returns the item's id, of the id of a row of the thread: without its tag, if it has one."""
    return row_id[: -_TAG - 1] if is_tagged_item_id(thread_row, row_id) else row_id


def is_random(item_id: str) -> bool:
    """Returns whether an id looks as if it was drawn for one item: it ends with random digits.

    Those are twelve or more hexadecimal digits, as of a UUID or of the ``generate_id()`` of the integration reference,
    a ULID, or an id of this package. ``msg_123`` does not, and a handler may yield it in every thread.
    """
    words = _WORDS.findall(item_id)
    if not words or not item_id.endswith(words[-1]):
        return False
    return any(kind.fullmatch(words[-1]) for kind in (_HEX, _NEW_ID, _ULID))
