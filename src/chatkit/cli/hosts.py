"""The check of Host and Origin that protects a server on one's own machine from other pages."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LocalHosts", "is_loopback"]


class LocalHosts:
    """ASGI middleware for a server without sign-in.

    A page on the web can give its own name the address of this server (DNS rebinding). Its requests are of the same
    origin to the browser, and only the Host header shows that they are not this server's. And any page may post a
    form, with a file in it, without asking first; it cannot read the answer, but the file is there.

    Args:
        application: Gets the requests with a Host header of this machine, and of this server's pages; the others are
            answered with 400.
        names: By which the server is known besides those of the machine itself.
        origins: Of other pages that may use the chat.
        by_address: Whether it is known by any address, as a server that other machines reach has to be: what a page
            on the web can take is a name.
    """

    def __init__(
        self, application: Any, names: Sequence[str], origins: Sequence[str] = (), *, by_address: bool = False
    ) -> None:
        self._application = application
        self._names = {name.lower().strip("[]") for name in names}
        self._origins = frozenset(origins)
        self._by_address = by_address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"} or self._is_allowed(scope):
            await self._application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_REFUSAL)).encode())]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": _REFUSAL})

    def _is_allowed(self, scope: Any) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if len(hosts) != 1:
            return False
        host = _without_port(hosts[0]).lower()
        if not (self._is_ours(host) or (self._by_address and _is_address(host))):
            return False
        return all(self._may(origin.lower(), host) for origin in origins)

    def _is_ours(self, host: str) -> bool:
        return host == "localhost" or host in self._names or is_loopback(host)

    def _may(self, origin: str, host: str) -> bool:
        if origin in self._origins:
            return True
        try:
            page = urlsplit(origin).hostname or ""
        except ValueError:
            return False
        return page == host or self._is_ours(page)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Returns whether text is an address by which only the machine itself can be reached."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


_REFUSAL = json.dumps(
    {
        "error": {
            "code": "bad_request",
            "message": "This server has no sign-in and answers under the names of its own machine only: localhost, "
            "127.0.0.1, [::1]. To serve it under another name, give that with --allow-host, or sign users in with "
            "--context; for pages from elsewhere, give their origin with --cors.",
        }
    }
).encode()
