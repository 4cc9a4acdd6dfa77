"""Whose use a counter's key counts: keys of quotas and of sessions name it."""

from __future__ import annotations

__all__ = ["owner_of_count", "session_of_count"]


def owner_of_count(key: str) -> str | None:
    """Returns the owner whose use a counter's key counts; None for a group's, a session's or a tenant's."""
    parts = key.split(":", 4)
    if len(parts) == 5 and parts[0] == "quota" and parts[3] == "owner":
        return parts[4]
    return key.removeprefix("running:owner:") if key.startswith("running:owner:") else None


def session_of_count(key: str) -> str | None:
    """Returns the session whose requests or files a counter's key counts."""
    parts = key.split(":")
    return parts[1] if parts[0] == "session" and len(parts) == 3 else None
