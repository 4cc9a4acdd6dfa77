"""Ids of requests: taken from a proxy or made, logged, and given back, so that a user's report leads to its records."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit._observers import ObservedRequest, working
from chatkit.ids import new_id
from chatkit.logs import about

__all__ = ["REQUEST_ID", "RequestIds"]

REQUEST_ID: Final = "X-Request-Id"

_ID: Final = re.compile(r"[\w.:=+/-]{1,128}", re.ASCII)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
"""Of https://www.w3.org/TR/trace-context/: version, trace id, id of the parent, flags."""


class RequestIds:
    """ASGI middleware that gives each request an id: that of its header ``X-Request-Id``, or else a new one.

    The answer has it in the same header, and records of :class:`chatkit.logs.JSONFormatter` have it as ``request``,
    those of the turn that the request began included. The id of the trace in ``traceparent`` is logged beside it.
    ``create_app`` has this middleware.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given, parent = headers.get(REQUEST_ID, ""), _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        request_id = given if _ID.fullmatch(given) else new_id("req")

        observed = ObservedRequest(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
                observed.status = message["status"]
            await send(message)

        with working(lambda observer: observer.request(observed)):
            trace = observed.trace_id or (None if parent is None else parent[1])
            with about(request=request_id, trace=trace):
                await self._app(scope, receive, send_with_id)
