"""Log records as JSON lines, each with the request, the turn, the thread and the owner that it is about.

``logging.StreamHandler`` with :class:`JSONFormatter`, or ``chatkit serve --log-format json``. An owner is told by a
keyed digest: the same for one owner for as long as ``CHATKIT_SECRET`` is (without one, while the process runs), and of
no use without that.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from chatkit._secrets import digest_secret

__all__ = ["JSONFormatter", "about", "owner_digest"]

_NOTHING: Final[Mapping[str, str]] = {}
_about: ContextVar[Mapping[str, str]] = ContextVar("chatkit_log_about", default=_NOTHING)
_OWNER: Final = "owner"
_DIGEST_CHARS: Final = 24


@contextmanager
def about(**fields: str | None) -> Generator[None]:
    """Has the records that are logged in the block, and in tasks that it begins, say what they are about.

    Args:
        fields: ``request``, ``trace``, ``turn``, ``thread`` and ``owner``, or names of your own; None is left out. The
            owner is given as it is, and logged as its digest.
    """
    token = _about.set(
        {**_about.get(), **{name: value for name, value in fields.items() if value is not None}}
    )
    try:
        yield
    finally:
        _about.reset(token)


def owner_digest(owner: str) -> str:
    """Returns what stands for an owner in logs: an HMAC-SHA256 by ``CHATKIT_SECRET``, its first 24 hex digits."""
    return hmac.digest(digest_secret(), b"log owner\0" + owner.encode(), "sha256").hex()[:_DIGEST_CHARS]


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Its keys are ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``, those of :func:`about`, and ``exception``
    (the traceback) where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
        }
        if _OWNER in fields:
            fields[_OWNER] = owner_digest(fields[_OWNER])
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        parts = [part for part in (record.exc_text, record.stack_info) if part]
        if parts:
            fields["exception"] = "\n".join(parts)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)
