"""Checks of the origins of pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from chatkit._checks import shown
from chatkit.errors import ConfigurationError, PermissionDeniedError
from chatkit.web.auth import is_single_user, reads_header

__all__ = ["OriginCheck", "check_origins"]

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:*,\[\]]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of one machine to itself."""

_SENT_BY_BROWSERS: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes whose credentials browsers keep, and add to the requests of any page."""


def check_origins(place: str, origins: str | Iterable[str]) -> tuple[str, ...]:
    """Returns origins as browsers send them, or ``"*"`` alone; raises ConfigurationError for what is no origin.

    ``place`` is what they were given for, in messages.
    """
    given = [origins] if isinstance(origins, str) else list(cast("Iterable[object]", origins))
    if given == ["*"]:
        return ("*",)
    return tuple(_as_sent(place, origin) for origin in given)


def _as_sent(place: str, origin: object) -> str:
    example = "scheme://host, such as 'https://app.example.com' or 'http://localhost:5173'"
    if not isinstance(origin, str):
        raise ConfigurationError(f"{place}: an origin is {example}, not {shown(origin)}.")
    text = origin.strip().rstrip("/").lower()
    if text == "null":
        raise ConfigurationError(
            f"{place}: 'null' is the origin of any page in a sandbox and of local files; name pages by {example}."
        )
    if text == "*":
        raise ConfigurationError(
            f"{place}: '*' allows any page; give it alone, or only the origins that you mean."
        )
    match = _ORIGIN.fullmatch(text)
    if match is None:
        remedy = f"an origin is {example}, without a path and without '*'"
        if "," in text:
            remedy += "; give several as a list"
        elif "://" not in text:
            remedy += f". Did you mean 'https://{text.partition('/')[0]}'?"
        raise ConfigurationError(f"{place}: {shown(origin)} is no origin: {remedy}")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in {None, _DEFAULT_PORTS.get(scheme)} else f"{scheme}://{host}:{port}"


class OriginCheck:
    """Refuses requests of foreign pages where a browser adds the user's credentials to them by itself.

    A form can be posted to any server, with the user's cookies and without asking first. Browsers say where such a
    request comes from, in ``Sec-Fetch-Site`` and ``Origin``.

    Args:
        context: The context factory. One that reads a header that no form can set needs no check.
        origins: Origins of pages that are served elsewhere and may post with the user's cookies, besides those that
            the application's ``CORSMiddleware`` lets do so.
    """

    def __init__(self, context: object, origins: Sequence[str] = ()) -> None:
        self._by_header = reads_header(context)
        self._without_credentials = is_single_user(context)
        self._origins = frozenset(check_origins("origins", origins))

    def check(self, request: Request) -> None:
        """Raises PermissionDeniedError if a page of another origin would use credentials that are not its own."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        if origin is None and site is None:
            return  # Not sent by a browser.
        if site in {"same-origin", "none"} or self._by_header or self._has_token(request):
            return
        if origin is not None and (
            self._is_own(request, origin) or self._is_allowed(request, origin.lower())
        ):
            return
        raise PermissionDeniedError(
            "This page may not post files here. If it is one of yours, name its origin in Uploads(origins=[...])."
        )

    def _has_token(self, request: Request) -> bool:
        """Returns whether a page has put credentials into a header, for which browsers ask first."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return bool(token) and scheme.lower() not in _SENT_BY_BROWSERS

    def _has_credentials_of_the_browser(self, request: Request) -> bool:
        return self._without_credentials or "cookie" in request.headers or "authorization" in request.headers

    def _is_own(self, request: Request, origin: str) -> bool:
        """Returns whether a page has this server's name, or the one that a proxy says that it was asked by.

        Ports are not compared: proxies change them, and cookies do not know them. No page can set these headers in a
        request for which its browser does not ask first.
        """
        names = [*request.headers.getlist("host"), *request.headers.getlist("x-forwarded-host")]
        hosts = {_host(f"//{name.strip()}") for value in names for name in value.split(",")}
        page = _host(origin)
        return page is not None and (page in hosts or bool(page in _LOOPBACK and hosts & _LOOPBACK))

    def _is_allowed(self, request: Request, origin: str) -> bool:
        if origin in self._origins:
            return True
        for options in _cors_options(request.scope.get("app")):
            named = options.get("allow_origins", ())
            pattern = options.get("allow_origin_regex")
            if origin in named or (pattern is not None and re.fullmatch(pattern, origin)):
                return True
            if "*" in named and (
                options.get("allow_credentials") or not self._has_credentials_of_the_browser(request)
            ):
                return True
        return False


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _cors_options(app: object) -> list[dict[str, Any]]:
    """Returns the options of an application's own CORS middleware."""
    listed: list[Any] = getattr(app, "user_middleware", [])
    return [
        middleware.kwargs
        for middleware in listed
        if isinstance(middleware.cls, type) and issubclass(middleware.cls, CORSMiddleware)
    ]
