"""A chat that lets nobody in without a client secret, and an application elsewhere that gives its pages secrets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatkit.errors import AuthenticationError, RateLimitedError
from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore
from chatkit.web import bearer, create_app, ui_routes
from tests.browser.stock.pages import page_routes
from tests.browser.stock.server import HeldServer
from tests.support.live_server import live_server

__all__ = ["HostedPlace", "Sessions", "hosted_place"]

_KEY = b"a key of this test alone, of 32 bytes and more"


class _ExpiredSecretError(AuthenticationError):
    code = "expired_client_secret"
    default_message = "The client secret has expired."


class _InvalidSecretError(AuthenticationError):
    code = "invalid_client_secret"
    default_message = "The client secret is not valid."


class Sessions:
    """Makes client secrets and checks them, as a test orders.

    Attributes:
        asked: The secrets for which pages wanted a new one, oldest first; None for the first one of a page.
        used: The secrets with which requests came to the chat, oldest first.
        lifetime: Seconds for which a secret is good.
        is_out: Whether the application gives no secrets.
        refuses: Whether the chat lets nobody in at all.
        wait: Seconds that the chat tells everybody to wait; None if nobody has to.
    """

    def __init__(self) -> None:
        self._tests = 0
        self.reset()

    def reset(self) -> None:
        """Forgets what a test has ordered and seen; pages are of another user from now on."""
        self._tests += 1
        self.asked: list[str | None] = []
        self.used: list[str] = []
        self.lifetime = 600
        self.is_out = False
        self.refuses = False
        self.wait: int | None = None
        self._made = 0
        self._ended = 0

    def end(self) -> None:
        """Lets the secrets that there are be good for nothing any more."""
        self._ended = self._made

    def make(self, user: str) -> str:
        """Returns a secret for a user."""
        self._made += 1
        told = {"user": user, "number": self._made, "exp": int(time.time()) + self.lifetime}
        return jwt.encode(told, _KEY, "HS256")

    def check(self, secret: str) -> dict[str, str]:
        """Returns the context of a request with a secret."""
        self.used.append(secret)
        try:
            told = jwt.decode(secret, _KEY, ["HS256"])
        except jwt.ExpiredSignatureError:
            raise _ExpiredSecretError from None
        except jwt.InvalidTokenError:
            raise _InvalidSecretError from None
        if self.refuses:
            raise _InvalidSecretError
        if told["number"] <= self._ended:
            raise _ExpiredSecretError
        if self.wait is not None:
            raise RateLimitedError(retry_after=self.wait)
        return {"user_id": told["user"]}

    async def answer(self, request: Request) -> Response:
        """Answers a page that wants a secret; with ``?other`` it is another user's."""
        self.asked.append(json.loads(await request.body())["current"])
        if self.is_out:
            return Response(status_code=503)
        name = "bob" if "other" in request.query_params else "ada"
        return JSONResponse({"client_secret": self.make(f"{name}_{self._tests}")})


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
    routes = [*server.routes(), *ui_routes()]
    app = create_app(server, context=bearer(sessions.check), cors_origins="*", routes=routes)
    with live_server(app) as chat:
        script = f"{chat.url}/chatkit.js"
        of_pages = [
            route for name, place in applications.items() for route in page_routes(name, place, script)
        ]
        session = Route("/session", sessions.answer, methods=["POST"])
        with live_server(Starlette(routes=[session, *of_pages])) as pages:
            yield HostedPlace(pages.url, chat.url, sessions)
