"""Operators: who looks after a chat, and what they may do.

A role of an operator who is signed in comes from groups that the identity provider names. The local operator, who runs
a command on the machine, has all of them: who has the database's password can read and change everything without it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, cast

from chatkit.audit.entries import Actor, printable_line
from chatkit.errors import ConfigurationError, InvalidRequestError, PermissionDeniedError

__all__ = ["Operator", "Role"]


class Role(StrEnum):
    """What an operator may do, besides looking at counts."""

    READ = "read"
    """See what users and models say."""
    EXPORT = "export"
    """Take a person's data out, and bring it in."""
    ERASE = "erase"
    """Delete a person's data."""
    DECIDE = "decide"
    """Decide what waits for an approval, and stop turns."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who looks after a chat.

    Attributes:
        name: The account of the machine, or the name that the identity provider gave.
        roles: What they may do; none is nothing at all.
        kind: How they are known: ``"signed_in"``, or ``"local"`` for who runs a command.
        note: What they say of themself, which nobody has checked.
    """

    name: str
    roles: frozenset[Role]
    kind: Literal["local", "signed_in"] = "signed_in"
    note: str = ""

    @classmethod
    def local(cls, note: str = "") -> Operator:
        """Returns who runs this process, with all roles.

        Args:
            note: What they say of themself, such as a name where several share an account.
        """
        return cls(_account(), frozenset(Role), "local", note)

    @classmethod
    def of_claims(
        cls,
        claims: Mapping[str, Any],
        grants: Mapping[str, Collection[Role | str]],
        *,
        groups: str = "groups",
        name: str = "sub",
    ) -> Operator:
        """Returns who is signed in with a token that was checked, such as by ``chatkit.web.JWTContext``.

        Args:
            claims: The token's claims.
            grants: The roles of each group, such as ``{"support": ["read"], "privacy": ["export", "erase"]}``.
            groups: The claim that lists the groups; with dots for one inside another, ``realm_access.roles``.
            name: The claim that names the person in the audit log.

        Raises:
            ConfigurationError: ``grants`` has a role that there is not.
            InvalidRequestError: The token names nobody.
        """
        roles = {group: _roles(group, granted) for group, granted in grants.items()}
        found = _claim(claims, groups)
        listed = cast("Iterable[object]", found) if isinstance(found, (list, tuple)) else [found]
        mine = [roles[group] for group in listed if isinstance(group, str) and group in roles]
        person = _claim(claims, name)
        if not isinstance(person, str) or not person:
            raise InvalidRequestError(f"The token has no claim {name!r} that names a person.")
        return cls(person, frozenset[Role]().union(*mine))

    @property
    def actor(self) -> Actor:
        """The operator in the audit log."""
        return Actor(self.kind, self.name, self.note)

    def require(self, role: Role | None, reason: str | None = None, *, unexplained: bool = False) -> str:
        """Returns the reason as it is recorded, if the operator may do something and has said why.

        Args:
            role: What it takes; None for any role.
            reason: Why it is done, in a line.
            unexplained: Whether it may be done without a reason.

        Raises:
            PermissionDeniedError: The operator does not have that role.
            InvalidRequestError: There is no reason, or none that can be recorded.
        """
        if not self.roles or (role is not None and role not in self.roles):
            needed = "a role" if role is None else f"the role '{role}'"
            raise PermissionDeniedError(f"{self.name} needs {needed} for this.")
        reason = (reason or "").strip()
        if not reason and not unexplained:
            raise InvalidRequestError(
                "Say why, in a line without personal data, such as the number of a ticket: it is recorded."
            )
        return printable_line("reason", reason)


def _roles(group: str, granted: Collection[Role | str]) -> frozenset[Role]:
    try:
        return frozenset(Role(role) for role in granted)
    except ValueError:
        raise ConfigurationError(
            f"The group {group!r} is granted {sorted(map(str, granted))}; roles are {', '.join(Role)}."
        ) from None


def _claim(claims: Mapping[str, Any], path: str) -> object:
    # A name with dots in it may be one name, such as an address.
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = cast("Mapping[str, object]", found).get(part) if isinstance(found, Mapping) else None
    return found


def _account() -> str:
    """Returns the account that this process runs under, whatever its environment says."""
    try:
        import pwd
    except ImportError:
        import getpass

        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
