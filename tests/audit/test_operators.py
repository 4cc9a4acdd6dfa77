"""Who an operator is, and what their roles let them do."""

from __future__ import annotations

import os
from typing import Any

import pytest

from chatkit.audit import Actor, Operator, Role
from chatkit.errors import ConfigurationError, InvalidRequestError, PermissionDeniedError

GRANTS = {"support": ["read"], "privacy": ["export", Role.ERASE], "nobody": []}


@pytest.mark.parametrize(
    ("claims", "options", "roles"),
    [
        ({"groups": ["support", "staff"]}, {}, {"read"}),
        ({"groups": ["support", "privacy"]}, {}, {"read", "export", "erase"}),
        ({"groups": "privacy"}, {}, {"export", "erase"}),
        ({"groups": ["nobody"]}, {}, set()),
        ({}, {}, set()),
        ({"groups": {"support": True}}, {}, set()),
        ({"groups": [["support"], 7, None]}, {}, set()),
        ({"realm_access": {"roles": ["support"]}}, {"groups": "realm_access.roles"}, {"read"}),
        ({"realm_access": ["roles"]}, {"groups": "realm_access.roles"}, set()),
        ({"https://example.com/roles": ["support"]}, {"groups": "https://example.com/roles"}, {"read"}),
    ],
)
def test_roles_come_from_groups_of_a_token(claims: dict[str, Any], options: Any, roles: set[str]) -> None:
    operator = Operator.of_claims({"sub": "u1", **claims}, GRANTS, **options)
    assert operator.roles == roles
    assert operator.actor == Actor("signed_in", "u1")


def test_a_token_names_a_person_by_another_claim() -> None:
    assert Operator.of_claims({"sub": "u1", "upn": "eve"}, GRANTS, name="upn").name == "eve"
    with pytest.raises(InvalidRequestError, match="no claim 'upn'"):
        Operator.of_claims({"sub": "u1"}, GRANTS, name="upn")


def test_a_role_that_there_is_not_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"'support' is granted \['reed'\]; roles are read, export"):
        Operator.of_claims({"sub": "u1"}, {"support": ["reed"]})


def test_the_local_operator_is_the_account_and_has_all_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    operator = Operator.local("Eve")
    assert operator.name != "somebody-else"
    assert operator.roles == set(Role)
    assert operator.actor == Actor("local", operator.name, "Eve")


def test_an_account_without_a_name_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)
    assert Operator.local().name == "uid 2000000001"


def test_a_role_and_a_reason_are_asked_for() -> None:
    reader = Operator("eve", frozenset({Role.READ}))
    assert reader.require(Role.READ, " ticket 7 ") == "ticket 7"
    assert reader.require(None, unexplained=True) == ""
    for role in (Role.EXPORT, Role.ERASE, Role.DECIDE):
        with pytest.raises(PermissionDeniedError, match=f"eve needs the role '{role}'"):
            reader.require(role, "ticket 7")
    for reason in (None, "", "  ", "two\nlines", "\u202e7 tekcit", "x" * 1001):
        with pytest.raises(InvalidRequestError):
            reader.require(Role.READ, reason)
    with pytest.raises(PermissionDeniedError, match="eve needs a role"):
        Operator("eve", frozenset()).require(None, "ticket 7")
