"""The request context: what the application knows of who is asking."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Final, TypeAlias, TypeVar, cast

from starlette.requests import Request

from chatkit.errors import AuthenticationError

__all__ = ["ContextFactory", "api_keys", "bearer", "bearer_token", "make_context", "refusal", "single_user"]

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


_SCHEME: Final = 'Bearer realm="chatkit"'
_LONGEST_TOKEN: Final = 16_384
"""Longer ones are refused unread; HTTP servers usually stop at that size by themselves."""


def refusal(description: str) -> AuthenticationError:
    """Returns the error for credentials that are not good, with the header that RFC 6750 asks for.

    Args:
        description: Why, as the client may see it; no quotes, no backslashes.
    """
    return AuthenticationError(
        f"{description} Sign in again.",
        scheme=f'{_SCHEME}, error="invalid_token", error_description="{description}"',
    )


def bearer_token(request: Request) -> str:
    """Returns the token of the header ``Authorization: Bearer ...``.

    Raises:
        AuthenticationError: There is no such header, or more than one.
    """
    found = request.headers.getlist("authorization")
    scheme, _, token = (found[0] if len(found) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Send a token in the header 'Authorization: Bearer ...'.", scheme=_SCHEME)
    if len(token) > _LONGEST_TOKEN:
        raise refusal("The token is too long.")
    return token


def bearer(check: Callable[[str], TContext | Awaitable[TContext | None] | None]) -> ContextFactory[TContext]:
    """Returns a context factory that asks your own function about the token of each request.

    Args:
        check: Gets the token of ``Authorization: Bearer ...`` and returns the context, at once or awaited, or None for
            a token that is not good. It may raise, as any context factory.
    """

    async def context(request: Request) -> TContext:
        found = check(bearer_token(request))
        made = await cast("Awaitable[TContext | None]", found) if isawaitable(found) else found
        if made is None:
            raise refusal("The token is not valid.")
        return made

    return context


def api_keys(owners: Mapping[str, str], *, header: str = "authorization") -> ContextFactory[dict[str, str]]:
    """Returns a context factory that knows its users by a secret key each.

    Args:
        owners: The owner of each key; the context is ``{"user_id": owner}``. Several keys may have one owner, so that
            a key can be exchanged for a new one.
        header: The header with the key; in ``Authorization`` it follows the word ``Bearer``.
    """
    # Looked up by digest: how long that takes says nothing of how much of a key was guessed.
    by_digest = {_digest(key): owner for key, owner in owners.items()}
    is_bearer = header.lower() == "authorization"
    # No registered scheme has a header of its own; clients that read this one find the name in it.
    scheme = f'ApiKey realm="chatkit", header="{header}"'

    def context(request: Request) -> dict[str, str]:
        key = bearer_token(request) if is_bearer else request.headers.get(header, "")
        if not key:
            raise AuthenticationError(f"Send a key in the header {header!r}.", scheme=scheme)
        owner = by_digest.get(_digest(key))
        if owner is None:
            description = "The key is not valid."
            raise refusal(description) if is_bearer else AuthenticationError(description, scheme=scheme)
        return {"user_id": owner}

    return context


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


async def make_context(factory: ContextFactory[TContext], request: Request) -> TContext:
    """Returns what a factory makes of a request."""
    made = factory(request)
    return await cast("Awaitable[TContext]", made) if isawaitable(made) else cast("TContext", made)
