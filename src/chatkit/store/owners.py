"""The owner of a request: the key that separates tenants, read from the request's context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from chatkit.errors import ConfigurationError, MissingOwnerError
from chatkit.types import ThreadMetadata

__all__ = [
    "OwnedThread",
    "OwnerContext",
    "OwnerOf",
    "joined_owner",
    "owner_from_context",
    "owner_range",
    "usual_owner",
]

OwnerOf: TypeAlias = Callable[[Any], str | None]
"""Returns the owner of a request context: the key that separates tenants."""


@dataclass(frozen=True, slots=True)
class OwnerContext:
    """A context that names the owner and nothing else: for work without a request, such as recovery."""

    owner: str


@dataclass(frozen=True, slots=True)
class OwnedThread:
    """A thread, and whose it is: for those who look at the threads of several owners."""

    owner: str
    thread: ThreadMetadata


def owner_range(prefix: str) -> tuple[str, str]:
    """Returns the first text that begins with a prefix, and the first after those that do; it is ASCII at its end.

    No owner is above the last character that there is, so that an empty prefix stands for all of them.
    """
    return prefix, f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}" if prefix else "\U0010ffff"


def joined_owner(*parts: str) -> str:
    """Returns the one owner that several names are, with slashes between them: no other names are the same."""
    # Nothing else is escaped, so that an owner is hardly longer than its parts: databases bound what they index.
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


_NO_OWNER = (
    "The request context names no owner. Give process() a context with a user_id, or tell the store where to find it: "
    "owner=lambda context: ...; for a single user, owner=lambda context: 'local'."
)


def usual_owner(context: object) -> str | None:
    """Returns the owner in ``context["user_id"]``, in ``context.user_id`` or in an ``OwnerContext``.

    Returns:
        ``""`` if the field is there and empty or None; None if there is no such field.
    """
    if isinstance(context, OwnerContext):
        return context.owner
    if isinstance(context, dict):
        fields = cast("dict[str, object]", context)
        if "user_id" not in fields:
            return None
        found = fields["user_id"]
    else:
        try:
            found = cast("Any", context).user_id
        except AttributeError:
            return None
    return "" if found is None else str(found)


def owner_from_context(context: object, owner: OwnerOf | None = None) -> str:
    """Returns the owner of a request context.

    By default ``context["user_id"]`` or ``context.user_id``.

    Args:
        context: The context given to ``process()``, or an ``OwnerContext``.
        owner: The application's own way to find the owner.

    Raises:
        ConfigurationError: The context names no owner: it has no such field.
        MissingOwnerError: The field is there, and empty.
    """
    if isinstance(context, OwnerContext):
        return context.owner
    found = usual_owner(context) if owner is None else owner(context)
    if found is None and owner is None:
        raise ConfigurationError(_NO_OWNER)
    if found is None or found == "":
        raise MissingOwnerError(_NO_OWNER)
    return str(found)
