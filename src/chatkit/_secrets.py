"""The application's secrets, from the environment: the one that signs, and those that it has replaced."""

from __future__ import annotations

import logging
import os
import secrets
from functools import cache, lru_cache
from typing import Final

__all__ = [
    "OLD_SECRETS_VARIABLE",
    "SECRET_VARIABLE",
    "accepted_secrets",
    "configured_secrets",
    "digest_secret",
    "signing_secret",
]

logger = logging.getLogger("chatkit.files")

SECRET_VARIABLE: Final = "CHATKIT_SECRET"  # noqa: S105 -- the name of the variable
OLD_SECRETS_VARIABLE: Final = "CHATKIT_OLD_SECRETS"

# Drawn at import, so that threads and forked workers have the same.
_PROCESS_SECRET: Final = secrets.token_bytes(32)


def signing_secret() -> bytes:
    """Returns the secret from ``CHATKIT_SECRET``, or a random one of this process, warning once."""
    return accepted_secrets()[0]


def accepted_secrets() -> tuple[bytes, ...]:
    """Returns the secrets whose signatures are good: the one that signs now, then those that it has replaced.

    The first one is random, and this process's own, where ``CHATKIT_SECRET`` is not set; a warning says so once.
    """
    current, *old = configured_secrets()
    if current is None:
        _warn_of_random_secret()
    return (current or _PROCESS_SECRET, *(secret for secret in old if secret is not None))


def digest_secret() -> bytes:
    """Returns the secret that ``signing_secret`` does, without a warning: for what need not outlive this process."""
    return configured_secrets()[0] or _PROCESS_SECRET


def configured_secrets() -> tuple[bytes | None, ...]:
    """Returns what the environment configures: ``CHATKIT_SECRET``, None if it is not set, then the old secrets.

    ``CHATKIT_OLD_SECRETS`` holds them with commas between them. Its whole text counts as one too, should an old secret
    have a comma in it.
    """
    return _configured(os.environ.get(SECRET_VARIABLE), os.environ.get(OLD_SECRETS_VARIABLE))


@lru_cache(maxsize=8)
def _configured(current: str | None, old: str | None) -> tuple[bytes | None, ...]:
    found = [part.strip() for part in (old or "").split(",")]
    if len(found) > 1 or found[0] != old:
        found.append(old or "")
    return (_encoded(current) if current else None, *(_encoded(text) for text in found if text))


def _encoded(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogateescape")


@cache
def _warn_of_random_secret() -> None:
    logger.warning(
        "%s is not set: attachments that were not sent yet, and client secrets, are unknown after a restart and to "
        "other processes. Set it to the same long random text for every process of this application.",
        SECRET_VARIABLE,
    )
