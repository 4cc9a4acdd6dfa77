from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from chatkit.errors import AuthenticationError
from chatkit.web import single_user
from chatkit.web.auth import make_context


def request_with(**headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw})


async def test_a_single_user_owns_everything() -> None:
    assert await make_context(single_user(), request_with()) == {"user_id": "local"}
    assert await make_context(single_user("alice"), request_with(authorization="bob")) == {"user_id": "alice"}


async def test_contexts_of_different_requests_are_not_shared() -> None:
    factory = single_user()
    first = await make_context(factory, request_with())
    first["user_id"] = "changed by a handler"
    assert await make_context(factory, request_with()) == {"user_id": "local"}


async def test_factories_may_be_sync_or_async() -> None:
    def at_once(request: Request) -> str:
        return request.headers["name"]

    async def awaited(request: Request) -> str:
        return request.headers["name"]

    for factory in (at_once, awaited):
        factory_of_any: Any = factory
        assert await make_context(factory_of_any, request_with(name="alice")) == "alice"


async def test_a_refusal_passes_unchanged() -> None:
    refusal = AuthenticationError("Sign in first.")

    def refuse(request: Request) -> None:
        raise refusal

    with pytest.raises(AuthenticationError) as raised:
        await make_context(refuse, request_with())
    assert raised.value is refusal
