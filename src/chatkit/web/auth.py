"""Context factories: who sends a request."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from starlette.requests import Request

from chatkit._checks import check_callable, check_instance, check_text, shown
from chatkit.errors import AuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from chatkit.server import ChatKitServer

__all__ = [
    "ContextFactory",
    "api_keys",
    "bearer",
    "bearer_token",
    "check_context",
    "is_single_user",
    "make_context",
    "note_single_user",
    "reads_header",
    "refusal",
    "single_user",
]

TContext = TypeVar("TContext")

ContextFactory: TypeAlias = Callable[[Request], TContext | Awaitable[TContext]]
"""Returns the context of a request, at once or awaited.

It refuses a request by raising ``AuthenticationError`` (401), ``PermissionDeniedError`` (403), or the
framework's ``HTTPException``. A header that any client can set, such as ``x-user-id``, does not authenticate
anybody.
"""


def single_user(owner: str = "local") -> ContextFactory[dict[str, str]]:
    """Returns a context factory under which everybody is the same owner.

    For an application on one's own machine, or where something in front lets only one person in: there is no
    authentication at all.

    Args:
        owner: The owner of everything; the context is ``{"user_id": owner}``.

    Raises:
        ConfigurationError: The owner is no text.
    """
    check_text("single_user(owner=...)", owner)

    async def context(request: Request) -> dict[str, str]:
        return {"user_id": owner}

    setattr(context, _SINGLE_USER, owner)
    return context


_SINGLE_USER: Final = "_chatkit_single_user"
_BY_HEADER: Final = "_chatkit_by_header"


def is_single_user(factory: object) -> bool:
    """Returns whether a context factory is one of ``single_user``."""
    return getattr(factory, _SINGLE_USER, None) is not None


def note_single_user(server: ChatKitServer[Any], context: object) -> None:
    """Tells a server that all requests are of one user, if a context factory is one of ``single_user``.

    Threads in a store of ten methods that name no owner are this user's then.
    """
    if is_single_user(context):
        server.single_user = getattr(context, _SINGLE_USER)


def reads_header(factory: object) -> bool:
    """Returns whether a context factory reads a header that a foreign page cannot set."""
    return getattr(factory, _BY_HEADER, False) is True


_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEME: Final = 'Bearer realm="chatkit"'
_LONGEST_TOKEN_CHARACTERS: Final = 16_384
"""Longer ones are refused unread; HTTP servers usually stop at that size by themselves."""


def refusal(description: str) -> AuthenticationError:
    """Returns the error for credentials that are not good, with the header that RFC 6750 asks for.

    ``description`` says why, as the client may see it, without quotes and backslashes.
    """
    return AuthenticationError(
        f"{description} Sign in again.",
        scheme=f'{_SCHEME}, error="invalid_token", error_description="{description}"',
    )


def bearer_token(request: Request) -> str:
    """Returns the token of the header ``Authorization: Bearer ...``; raises AuthenticationError without exactly one."""
    found = request.headers.getlist("authorization")
    scheme, _, token = (found[0] if len(found) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Send a token in the header 'Authorization: Bearer ...'.", scheme=_SCHEME)
    if len(token) > _LONGEST_TOKEN_CHARACTERS:
        raise refusal("The token is too long.")
    return token


def bearer(check: Callable[[str], TContext | Awaitable[TContext | None] | None]) -> ContextFactory[TContext]:
    """Returns a context factory that asks your own function about the token of each request.

    Args:
        check: Gets the token of ``Authorization: Bearer ...`` and returns the context, at once or awaited, or None for
            a token that is not good. It may raise, as any context factory.

    Raises:
        ConfigurationError: The check cannot be called.
    """
    check_callable("bearer(check)", check, "a function that takes a token and returns the context, or None")

    async def context(request: Request) -> TContext:
        found = check(bearer_token(request))
        made = await cast("Awaitable[TContext | None]", found) if isawaitable(found) else found
        if made is None:
            raise refusal("The token is not valid.")
        return made

    setattr(context, _BY_HEADER, True)
    return context


def api_keys(owners: Mapping[str, str], *, header: str = "authorization") -> ContextFactory[dict[str, str]]:
    """Returns a context factory that knows its users by a secret key each.

    Args:
        owners: The owner of each key; the context is ``{"user_id": owner}``. Several keys may have one owner, so that
            a key can be exchanged for a new one.
        header: The header with the key; in ``Authorization`` it follows the word ``Bearer``.

    Raises:
        ConfigurationError: There is no key, or one without an owner; or no header can have that name.
    """
    _check_keys(owners)
    if not isinstance(cast("object", header), str) or not _HEADER.fullmatch(header):
        raise ConfigurationError(
            f"api_keys(header=...) is the name of a header, such as 'X-API-Key', not {shown(header)}."
        )
    if header.lower() in {"cookie", "host", "origin", "referer"}:
        raise ConfigurationError(
            f"api_keys(header={header!r}): browsers fill that header in themselves. Name another, such as 'X-API-Key'."
        )
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

    setattr(context, _BY_HEADER, True)
    return context


def _check_keys(owners: Mapping[str, str]) -> None:
    what = "api_keys() takes the owner of each key, such as api_keys({'a long random text': 'ada'})"
    check_instance("api_keys(owners)", owners, Mapping, "a mapping of keys to owners")
    if not owners:
        raise ConfigurationError(f"{what}; it was given none, and would let no one in.")
    for key, owner in owners.items():
        # The key itself is a secret.
        if not isinstance(cast("object", key), str) or not key or key != key.strip():
            raise ConfigurationError(
                f"{what}; the key of {shown(owner)} is empty, no text, or has spaces around it."
            )
        if not isinstance(cast("object", owner), str) or not owner:
            raise ConfigurationError(f"{what}; one key has the owner {shown(owner)}.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def check_context(context: object) -> None:
    """Raises ConfigurationError for a function that makes a context factory, where one is to be given."""
    made_by = next((maker for maker in (single_user, bearer, api_keys) if context is maker), None)
    if made_by is not None or getattr(context, "__name__", "") == "JWTContext":
        name = str(getattr(context, "__name__", ""))
        raise ConfigurationError(f"context={name} makes a context factory; call it: context={name}(...).")


async def make_context(factory: ContextFactory[TContext], request: Request) -> TContext:
    """Returns what a factory makes of a request."""
    made = factory(request)
    return await cast("Awaitable[TContext]", made) if isawaitable(made) else cast("TContext", made)
