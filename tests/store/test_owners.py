"""How the owner of a request is found in its context."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chatkit.errors import ConfigurationError, MissingOwnerError
from chatkit.store.base import OwnerContext, owner_from_context, usual_owner


@pytest.mark.parametrize(
    ("context", "owner"),
    [
        ({"user_id": "ada"}, "ada"),
        ({"user_id": 7}, "7"),
        ({"user_id": 0}, "0"),
        ({"user_id": None}, ""),
        ({"user_id": ""}, ""),
        ({}, None),
        (SimpleNamespace(user_id="ada"), "ada"),
        (SimpleNamespace(user_id=None), ""),
        (SimpleNamespace(), None),
        (None, None),
        (OwnerContext("ada"), "ada"),
        (OwnerContext(""), ""),
    ],
)
def test_the_usual_field(context: Any, owner: str | None) -> None:
    assert usual_owner(context) == owner
    if owner:
        assert owner_from_context(context) == owner
    elif not isinstance(context, OwnerContext):
        with pytest.raises(ConfigurationError if owner is None else MissingOwnerError, match="owner="):
            owner_from_context(context)


def test_the_applications_own_way_is_the_only_one() -> None:
    context = {"user_id": "ada", "tenant": "acme"}
    assert owner_from_context(context, lambda given: given["tenant"]) == "acme"
    for empty in (None, ""):
        with pytest.raises(MissingOwnerError):
            owner_from_context(context, lambda given, empty=empty: empty)
    assert owner_from_context(OwnerContext("bob"), lambda given: given["tenant"]) == "bob"
