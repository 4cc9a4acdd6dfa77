"""A context factory for signed tokens: JSON Web Tokens of an OpenID Connect provider, or of your own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, Final, Generic, cast

from starlette.requests import Request
from typing_extensions import TypeVar

from chatkit.errors import ConfigurationError
from chatkit.web.auth import bearer_token, refusal
from chatkit.web.jwks import KeySet, check_address, jwt

__all__ = ["ALGORITHMS", "JWTContext"]

TContext = TypeVar("TContext", default=dict[str, Any])

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are accepted by default: those that only the issuer can make."""

_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.InvalidIssuerError, "The token is of another issuer."),
)
_NOT_VALID: Final = "The token is not valid."


class JWTContext(Generic[TContext]):
    """A context factory that lets in who sends a good token in ``Authorization: Bearer ...``.

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
        audiences = [audience] if isinstance(audience, str) else list(audience)
        if not audiences or not all(audiences):
            raise ConfigurationError(
                "audience= must name whom tokens are for, or those for others are good here."
            )
        unknown = set(algorithms) - set(ALGORITHMS)
        if unknown or not algorithms:
            raise ConfigurationError(f"algorithms= must be some of {', '.join(ALGORITHMS)}.")
        if jwks_url is None:
            check_address("issuer", issuer)
        else:
            check_address("jwks_url", jwks_url)
        self._issuer = issuer
        self._audiences = audiences
        self._context = context
        self._algorithms = list(algorithms)
        self._leeway = leeway
        self._keys = KeySet(issuer, jwks_url, lifetime=cache_seconds, pause=refresh_pause, timeout=timeout)

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
                audience=self._audiences,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), _NOT_VALID)
            raise refusal(reason) from error
        if not claims["sub"]:
            raise refusal(_NOT_VALID)
        return claims
