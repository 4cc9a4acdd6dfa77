"""A context factory for JSON Web Tokens, and the public keys of their issuer.

Keys are fetched when needed, kept, and fetched again when the issuer changes them.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, Generic, cast
from urllib.parse import urlsplit

from pydantic_core import from_json
from starlette.requests import Request
from typing_extensions import TypeVar

from chatkit._checks import check_callable, check_number, check_text, check_texts
from chatkit._outages import Outage
from chatkit.errors import AuthenticationUnavailableError, ConfigurationError, MissingExtraError
from chatkit.web.auth import bearer_token, refusal

try:
    import httpx2
    import jwt
except ImportError as error:
    raise MissingExtraError(
        "Checking tokens needs more packages: pip install 'chatkit-server[auth]'."
    ) from error

__all__ = ["ALGORITHMS", "JWTContext"]

logger = logging.getLogger("chatkit.web")

TContext = TypeVar("TContext", default=dict[str, Any])

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are accepted by default: those that only the issuer can make."""

_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
)
_NOT_VALID: Final = "The token is not valid."
_DISCOVERY: Final = "/.well-known/openid-configuration"
_LARGEST_ANSWER_BYTES: Final = 1_048_576
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
# What a key may sign that does not say it.
_ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


class JWTContext(Generic[TContext]):
    """A context factory that accepts requests with a valid token in ``Authorization: Bearer ...``.

    Good is a token that one of the issuer's keys signed, of that issuer, for that audience, with an end that has not
    come. Everything else is answered with 401 and a ``WWW-Authenticate`` header before any store is asked. The keys
    are fetched from the issuer at the first request and kept; a token that names an unknown key makes them be fetched
    again, at most every ``refresh_pause`` seconds.

    Args:
        issuer: Who must have made the token: its claim ``iss``, to the letter.
        audience: For whom: one of these must be in its claim ``aud``.
        jwks_url: Where the issuer's keys are; by default the issuer's discovery document says it.
        context: Makes the context of the token's claims, at once or awaited; it may refuse by raising. By default
            ``{"user_id": <claim sub>, "claims": <all claims>}``.
        algorithms: Signatures that are accepted.
        leeway: Seconds by which the clocks of issuer and server may differ.
        cache_seconds: How long keys are used without looking for new ones. If the issuer cannot be reached then,
            those that are known stay in use.
        refresh_pause: The fewest seconds between two fetches.
        timeout: Seconds that a fetch may take.

    Raises:
        ConfigurationError: There is no audience, an address is not https, or an algorithm is none of ``ALGORITHMS``.
    """

    # No form of a foreign page can have the header.
    _chatkit_by_header = True

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Sequence[str],
        jwks_url: str | None = None,
        context: Callable[[dict[str, Any]], TContext | Awaitable[TContext]] | None = None,
        algorithms: Sequence[str] = ALGORITHMS,
        leeway: float = 60.0,
        cache_seconds: float = 3600.0,
        refresh_pause: float = 10.0,
        timeout: float = 5.0,
    ) -> None:
        audiences = [audience] if isinstance(audience, str) else audience
        check_texts(
            "JWTContext(audience=...)",
            audiences,
            "whom tokens are for, or those for others would be good here",
        )
        if not audiences:
            raise ConfigurationError(
                "audience= must name whom tokens are for, or those for others are good here."
            )
        check_text("JWTContext(issuer=...)", issuer, "who makes the tokens: their claim iss, to the letter")
        if context is not None:
            check_callable("JWTContext(context=...)", context, "a function of the token's claims")
        for name, number in (
            ("leeway", leeway),
            ("cache_seconds", cache_seconds),
            ("refresh_pause", refresh_pause),
        ):
            check_number(f"JWTContext({name}=...)", number)
        check_number("JWTContext(timeout=...)", timeout, above=True)
        check_texts("JWTContext(algorithms=...)", algorithms, f"some of {', '.join(ALGORITHMS)}")
        unknown = set(algorithms) - set(ALGORITHMS)
        if unknown or not algorithms:
            raise ConfigurationError(f"algorithms= must be some of {', '.join(ALGORITHMS)}.")
        if jwks_url is None:
            _check_address("issuer", issuer)
        else:
            _check_address("jwks_url", jwks_url)
        self._issuer = issuer
        self._audiences = list(audiences)
        self._context = context
        self._algorithms = list(algorithms)
        self._leeway = leeway
        self._keys = _KeySet(issuer, jwks_url, lifetime=cache_seconds, pause=refresh_pause, timeout=timeout)

    async def __call__(self, request: Request) -> TContext:
        """Returns the context of a request.

        Raises:
            AuthenticationError: It has no good token.
            AuthenticationUnavailableError: The issuer's keys cannot be fetched, and none are known.
        """
        claims = await self.claims_of(bearer_token(request))
        if self._context is None:
            return cast("TContext", {"user_id": claims["sub"], "claims": claims})
        made = self._context(claims)
        return await cast("Awaitable[TContext]", made) if isawaitable(made) else cast("TContext", made)

    async def claims_of(self, token: str) -> dict[str, Any]:
        """Returns the claims of a good token; raises as a call."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg"), header.get("kid")
            if algorithm not in self._algorithms or not (key_id is None or isinstance(key_id, str)):
                raise refusal(_NOT_VALID)
            key = await self._keys.find(key_id, algorithm)
            if key is None:
                raise refusal("The token is signed with an unknown key.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                leeway=self._leeway,
                # Compared below: what a library takes for equal has differed by version.
                options={"require": ["exp", "iss", "aud", "sub"], "verify_aud": False, "verify_iss": False},
            )
        except (jwt.PyJWTError, RecursionError, OverflowError, TypeError, ValueError) as error:
            # The last ones are what some versions raise for claims of the wrong kind.
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), _NOT_VALID)
            raise refusal(reason) from error
        self._check(claims)
        return claims

    def _check(self, claims: dict[str, Any]) -> None:
        """Raises AuthenticationError if a token is of another issuer, for another audience, or names no user."""
        issuer: object = claims["iss"]
        if not isinstance(issuer, str) or issuer != self._issuer:
            raise refusal("The token is of another issuer.")
        audience: object = claims["aud"]
        listed = cast("list[object]", audience) if isinstance(audience, list) else [audience]
        # A list with something else in it is malformed.
        if not all(isinstance(entry, str) for entry in listed) or not set(listed) & set(self._audiences):
            raise refusal("The token is for another audience.")
        subject: object = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise refusal(_NOT_VALID)


def _check_address(name: str, address: str) -> None:
    """Raises ConfigurationError if keys that come from an address could be anybody's."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigurationError(f"{name}={address!r} must be an https address.")


class _KeySet:
    """The public keys of an issuer, for any number of event loops.

    Args:
        issuer: The issuer, whose discovery document names the address of the keys.
        address: The address of the keys, if it is known; then nothing is discovered.
        lifetime: Seconds after which the keys are fetched again. Older ones stay in use while that fails.
        pause: The fewest seconds between two fetches, whatever keys tokens name.
        timeout: Seconds that a fetch may take.
    """

    def __init__(
        self, issuer: str, address: str | None, *, lifetime: float, pause: float, timeout: float
    ) -> None:
        self._issuer = issuer
        self._address = address
        self._lifetime = lifetime
        self._pause = pause
        self._timeout = timeout
        self._keys: list[jwt.PyJWK] | None = None
        self._fetched_at = -float("inf")
        self._next_try = -float("inf")
        self._outage = Outage(
            f"The keys of {issuer} cannot be fetched", f"The keys of {issuer} can be fetched again.", logger
        )
        # asyncio's locks belong to one loop each.
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Returns the key that a token names, None if the issuer has none.

        Args:
            key_id: The token's ``kid``; without one, the issuer must have a single key for the algorithm.
            algorithm: The token's ``alg``.
        """
        is_old = time.monotonic() - self._fetched_at >= self._lifetime
        # Where keys are known, one request looks for newer ones, and the others do not wait for it.
        if self._keys is None or (is_old and not self._lock().locked()):
            await self._refresh(self._fetched_at)
        found = self._known(key_id, algorithm)
        if found is None:
            # A new key, if the issuer changed them since; or a made up one.
            await self._refresh(self._fetched_at)
            found = self._known(key_id, algorithm)
        if self._keys is None:
            error = AuthenticationUnavailableError()
            error.outage = self._outage
            raise error
        return found

    def _lock(self) -> asyncio.Lock:
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def _known(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [key for key in self._keys or () if key.algorithm_name == algorithm]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.key_id == key_id), None)

    async def _refresh(self, seen: float) -> None:
        """Fetches the keys, unless another request has since, or one tried a moment ago."""
        async with self._lock():
            if self._fetched_at > seen or time.monotonic() < self._next_try:
                return
            try:
                async with asyncio.timeout(self._timeout):
                    self._keys = await self._fetch()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, jwt.PyJWTError) as error:
                self._outage.failed(AuthenticationUnavailableError(f"{error!r}"))
                # From now on: those that waited for this fetch must not wait for one more each.
                self._next_try = time.monotonic() + min(self._pause, _PAUSE_AFTER_FAILURE_SECONDS)
            else:
                self._outage.recovered()
                self._fetched_at = time.monotonic()
                self._next_try = self._fetched_at + self._pause

    async def _fetch(self) -> list[jwt.PyJWK]:
        # A client of its own: keys are fetched rarely, and connections belong to one event loop.
        async with httpx2.AsyncClient(timeout=self._timeout) as client:
            address = self._address
            if address is None:
                document = await _get(client, self._issuer.rstrip("/") + _DISCOVERY)
                if document.get("issuer") != self._issuer:
                    raise ValueError(f"the discovery document is that of {document.get('issuer')!r}")
                address = str(document.get("jwks_uri"))
                try:
                    _check_address("jwks_uri", address)
                except ConfigurationError as error:
                    raise ValueError(str(error)) from error
            listed = (await _get(client, address)).get("keys")
        if not isinstance(listed, list):
            raise ValueError("the answer has no list 'keys'")  # noqa: TRY004 -- one kind for what was answered
        found: list[jwt.PyJWK] = []
        for entry in cast("list[Any]", listed):
            found += _keys_of(entry)
        return found


async def _get(client: httpx2.AsyncClient, address: str) -> dict[str, Any]:
    async with client.stream("GET", address, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise ValueError("the answer is too large")
    document: object = from_json(bytes(body))
    if not isinstance(document, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004 -- as above
    return cast("dict[str, Any]", document)


def _keys_of(entry: Any) -> list[jwt.PyJWK]:
    """Returns an entry's key for each algorithm that it may be used with; none if it signs no tokens."""
    if not isinstance(entry, dict):
        return []
    fields = cast("dict[str, Any]", entry)
    # Not the symmetric kind: a key that everyone can fetch proves nothing.
    algorithms = _ALGORITHMS.get(str(fields.get("kty")), ())
    if fields.get("use", "sig") != "sig":
        return []
    found: list[jwt.PyJWK] = []
    for algorithm in algorithms:
        if fields.get("alg") in {None, algorithm}:
            # The last two are what some versions raise for fields of the wrong kind.
            with suppress(jwt.PyJWTError, TypeError, ValueError):
                found.append(jwt.PyJWK(fields, algorithm))
    return found
