"""Names, hashed passwords, and the sessions of users who have signed in, in memory."""

import hashlib
import hmac
import secrets


class Accounts:
    """Checks passwords and keeps sessions; a restart of the process signs everybody out."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._passwords: dict[str, bytes] = {}
        self._sessions: dict[str, str] = {}

    def add(self, name: str, password: str) -> None:
        """Adds a user."""
        self._passwords[name] = self._hash(password)

    def sign_in(self, name: str, password: str) -> str | None:
        """Returns the token of a new session, or None if name and password do not fit."""
        given = self._hash(password)
        if not hmac.compare_digest(self._passwords.get(name, b""), given):
            return None
        token = secrets.token_urlsafe()
        self._sessions[token] = name
        return token

    def sign_out(self, token: str | None) -> None:
        """Ends a session."""
        self._sessions.pop(token or "", None)

    def user(self, token: str | None) -> str | None:
        """Returns the name of the session's user, or None if there is no such session."""
        return self._sessions.get(token or "")

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=2**14, r=8, p=1)
