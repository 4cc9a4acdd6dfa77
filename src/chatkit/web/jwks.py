"""The keys of an issuer of tokens: fetched when they are needed, kept, fetched again when they rotate."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import urlsplit

from pydantic_core import from_json

from chatkit.errors import AuthenticationUnavailableError, ConfigurationError, MissingExtraError

try:
    import httpx2
    import jwt
except ImportError as error:
    raise MissingExtraError(
        "Checking tokens needs more packages: pip install 'chatkit-server[auth]'."
    ) from error

__all__ = ["KeySet", "check_address"]

logger = logging.getLogger("chatkit.web")

_DISCOVERY: Final = "/.well-known/openid-configuration"
_LARGEST_ANSWER: Final = 1_048_576
_PAUSE_AFTER_FAILURE: Final = 1.0
# What a key may sign that does not say it.
_ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


def check_address(name: str, address: str) -> None:
    """Raises ConfigurationError if keys that come from an address could be anybody's."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigurationError(f"{name}={address!r} must be an https address.")


class KeySet:
    """The public keys of an issuer.

    May be used from several event loops: nothing of it is bound to one.

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
        # asyncio's locks belong to one loop each.
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Returns the key that a token names, None if the issuer has none.

        Args:
            key_id: The token's ``kid``; without one, the issuer must have a single key for the algorithm.
            algorithm: The token's ``alg``.

        Raises:
            AuthenticationUnavailableError: The keys cannot be fetched, and none are known.
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
            raise AuthenticationUnavailableError
        return found

    def _lock(self) -> asyncio.Lock:
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def _known(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [key for key in self._keys or () if key.algorithm_name == algorithm]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.key_id == key_id), None)

    async def _refresh(self, seen: float) -> None:
        """Fetches the keys, unless somebody else has done so since, or a moment ago."""
        async with self._lock():
            if self._fetched_at > seen or time.monotonic() < self._next_try:
                return
            try:
                async with asyncio.timeout(self._timeout):
                    self._keys = await self._fetch()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, jwt.PyJWTError) as error:
                logger.warning("The keys of %s cannot be fetched: %r", self._issuer, error)
                # From now on: those that waited for this fetch must not wait for one more each.
                self._next_try = time.monotonic() + min(self._pause, _PAUSE_AFTER_FAILURE)
            else:
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
                    check_address("jwks_uri", address)
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
            if len(body) > _LARGEST_ANSWER:
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
    # A symmetric key that anybody can fetch proves nothing: that kind is none of those known here.
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
