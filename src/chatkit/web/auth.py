"""The request context: what the application knows of who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias, TypeVar, cast

from starlette.requests import Request

__all__ = ["ContextFactory", "make_context", "single_user"]

TContext = TypeVar("TContext")

ContextFactory: TypeAlias = Callable[[Request], TContext | Awaitable[TContext]]
"""Returns the context of a request, at once or awaited.

It refuses a request by raising ``AuthenticationError`` (401), ``PermissionDeniedError`` (403), or the
framework's ``HTTPException``. A header that any client can set, such as ``x-user-id``, does not authenticate
anybody.
"""


def single_user(owner: str = "local") -> ContextFactory[dict[str, str]]:
    """Returns a context factory under which everybody is the same owner.

    For an application on one's own machine, or behind something that lets only one person in: there is no
    authentication at all.

    Args:
        owner: The owner of everything; the context is ``{"user_id": owner}``.
    """

    async def context(request: Request) -> dict[str, str]:
        return {"user_id": owner}

    return context


async def make_context(factory: ContextFactory[TContext], request: Request) -> TContext:
    """Returns what a factory makes of a request."""
    made = factory(request)
    return await cast("Awaitable[TContext]", made) if isawaitable(made) else cast("TContext", made)
