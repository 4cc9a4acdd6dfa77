"""Refuses pages of others that reach this machine's own server, under another name or across origins."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LocalHosts", "is_loopback"]


class LocalHosts:
    """ASGI middleware for a server without sign-in that only this machine reaches.

    A page on the web can give its own name the address 127.0.0.1 (DNS rebinding). Its requests are of the same
    origin to the browser, and only the Host header tells that they are not this server's. And any page may post a
    form, with a file in it, without asking first; it cannot read the answer, but the file is there.

    Args:
        application: Gets the requests with a Host header of this machine, and of this machine's pages; the others are
            answered with 400.
        name: What the user listens on, which is allowed too.
        origins: Of other pages that may use the chat; ``"*"`` for all.
    """

    def __init__(self, application: Any, name: str, origins: Sequence[str] = ()) -> None:
        self._application = application
        self._name = name.lower()
        self._origins = {origin.rstrip("/").lower() for origin in origins}

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
        return len(hosts) == 1 and self._is_ours(_without_port(hosts[0])) and all(map(self._may, origins))

    def _is_ours(self, host: str) -> bool:
        return host.lower() in {"localhost", self._name} or is_loopback(host)

    def _may(self, origin: str) -> bool:
        if self._origins & {"*", origin.lower()}:
            return True
        try:
            return self._is_ours(urlsplit(origin).hostname or "")
        except ValueError:
            return False


def is_loopback(address: str) -> bool:
    """Tells whether text is an address by which only the machine itself can be reached."""
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
            "127.0.0.1, [::1]. To serve it under another name, give --context or another --host; for pages from "
            "elsewhere, give their origin with --cors.",
        }
    }
).encode()
