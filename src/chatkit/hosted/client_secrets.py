"""Client secrets: what a page opens its session with, signed and good for a limited time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

from chatkit._secrets import accepted_secrets
from chatkit.errors import AuthenticationError
from chatkit.hosted.keys import refuse_openai_key

__all__ = ["ClientSecretError", "client_secret", "session_of"]

_FORM: Final = re.compile(r"ckcs-([0-9A-Za-z_]{1,64})\.([0-9]{1,12})\.([0-9A-Za-z_-]{43})")
_PURPOSE: Final = b"chatkit hosted client secret"


class ClientSecretError(AuthenticationError):
    """A client secret that does not open a session; ``code`` says why.

    The codes are ``missing_client_secret``, ``invalid_client_secret``, ``expired_client_secret`` and
    ``cancelled_client_secret``. A page answers each of them by asking its server for a new secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = f"{reason}_client_secret"


def client_secret(session_id: str, expires_at: int) -> str:
    """Returns the secret of a session: its id, its end, and their HMAC.

    Args:
        session_id: The session, which says the rest: tenant, user and workflow.
        expires_at: Seconds since 1970.
    """
    return f"ckcs-{session_id}.{expires_at}.{_signature(accepted_secrets()[0], session_id, str(expires_at))}"


def session_of(secret: str, now: float) -> str:
    """Returns the id of the session that a secret was made for.

    Args:
        secret: What the page sent.
        now: Seconds since 1970.

    Raises:
        AuthenticationError: It was not made here, or was altered; or its time is over.
    """
    refuse_openai_key(secret)
    found = _FORM.fullmatch(secret)
    if found is None:
        raise invalid()
    session_id, expires_at, signature = found.groups()
    good = [
        hmac.compare_digest(_signature(key, session_id, expires_at), signature) for key in accepted_secrets()
    ]
    if not any(good):
        raise invalid()
    if now >= int(expires_at):
        raise ClientSecretError(
            "expired", "The session has expired. Ask your server for a new client secret."
        )
    return session_id


def invalid() -> ClientSecretError:
    """Returns the error for a secret that opens nothing."""
    return ClientSecretError(
        "invalid", "The client secret is not valid. Ask your server for a new client secret."
    )


def _signature(secret: bytes, session_id: str, expires_at: str) -> str:
    key = hmac.digest(secret, _PURPOSE, "sha256")
    made = hmac.digest(key, f"{session_id}.{expires_at}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
