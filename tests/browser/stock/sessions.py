"""Hosted ChatKit, and an application elsewhere that opens sessions for its pages with the ``openai`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chatkit.errors import RateLimitedError
from chatkit.files import LocalFileStore
from chatkit.hosted import create_hosted_app
from chatkit.hosted.client_secrets import invalid
from chatkit.store import MemoryStore
from chatkit.web.errors import response_for
from tests.browser.stock.pages import page_routes
from tests.browser.stock.server import HeldServer
from tests.support.live_server import live_server

__all__ = ["HostedPlace", "Sessions", "hosted_place"]

_KEY = "ck-0123456789-of-this-test-alone"
_WORKFLOW = "wf_shop"


class Sessions:
    """Opens sessions of hosted ChatKit, as an application's server does, and lets the chat fail as a test orders.

    Attributes:
        asked: The secrets for which pages wanted a new one, oldest first; None for the first one of a page.
        used: The secrets with which requests came to the chat, oldest first.
        is_out: Whether the application gives no secrets.
        refuses: Whether the chat lets nobody in at all.
        wait: Seconds that the chat tells everybody to wait; None if nobody has to.
        chat: Where the chat is.
    """

    chat = ""

    def __init__(self) -> None:
        self._tests = 0
        self.reset()

    def reset(self) -> None:
        """Forgets what a test has ordered and seen; pages are of another user from now on."""
        self._tests += 1
        self.asked: list[str | None] = []
        self.used: list[str] = []
        self.is_out = False
        self.refuses = False
        self.wait: int | None = None
        self._open: list[str] = []

    def end(self) -> None:
        """Lets the secrets that there are be good for nothing any more."""
        with OpenAI(
            base_url=f"{self.chat}/v1", api_key=_KEY, http_client=DefaultHttpxClient(verify=False)
        ) as client:
            for session_id in self._open:
                client.beta.chatkit.sessions.cancel(session_id)
        self._open.clear()

    async def make(self, user: str) -> str:
        """Returns the secret of a new session of a user."""
        http_client = DefaultAsyncHttpxClient(verify=False)
        async with AsyncOpenAI(base_url=f"{self.chat}/v1", api_key=_KEY, http_client=http_client) as client:
            session = await client.beta.chatkit.sessions.create(
                user=user,
                workflow={"id": _WORKFLOW},
                chatkit_configuration={"file_upload": {"enabled": True}},
                rate_limits={"max_requests_per_1_minute": 1_000},
            )
        self._open.append(session.id)
        return session.client_secret

    def watch(self, app: ASGIApp) -> ASGIApp:
        """Returns the chat with its door watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == "/chatkit":
                self.used.append(Headers(scope=scope)["authorization"].removeprefix("Bearer "))
                if self.refuses:
                    return await response_for(invalid())(scope, receive, send)
                if self.wait is not None:
                    return await response_for(RateLimitedError(retry_after=self.wait))(scope, receive, send)
            return await app(scope, receive, send)

        return watched

    async def answer(self, request: Request) -> Response:
        """Answers a page that wants a secret; with ``?other`` it is another user's."""
        self.asked.append(json.loads(await request.body())["current"])
        if self.is_out:
            return Response(status_code=503)
        name = "bob" if "other" in request.query_params else "ada"
        return JSONResponse({"client_secret": await self.make(f"{name}_{self._tests}")})


@dataclass
class HostedPlace:
    """The two servers.

    Attributes:
        pages: Where the application's pages are.
        chat: Where the chat and the element's script are.
        sessions: The secrets.
    """

    pages: str
    chat: str
    sessions: Sessions


@contextmanager
def hosted_place(folder: Path, applications: Mapping[str, Path]) -> Iterator[HostedPlace]:
    """Runs both servers while the block runs.

    Args:
        folder: Where the chat keeps files.
        applications: Folders of pages, by the name under which they are served.
    """
    sessions = Sessions()
    files = LocalFileStore(folder, secret="not a secret in a test, but long enough")
    server = HeldServer(MemoryStore(), file_store=files, delay=0.001)
    app = create_hosted_app(
        {_WORKFLOW: server},
        {_KEY: "shop"},
        cors_origins="*",
        routes=server.routes(),
        middleware=[Middleware(sessions.watch)],
    )
    with live_server(app) as chat:
        sessions.chat = chat.url
        script = f"{chat.url}/chatkit.js"
        of_pages = [
            route for name, place in applications.items() for route in page_routes(name, place, script)
        ]
        session = Route("/session", sessions.answer, methods=["POST"])
        with live_server(Starlette(routes=[session, *of_pages])) as pages:
            yield HostedPlace(pages.url, chat.url, sessions)
