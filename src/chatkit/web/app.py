"""A Starlette application for a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatkit.errors import ChatKitError
from chatkit.server import ChatKitServer
from chatkit.web.auth import ContextFactory, make_context
from chatkit.web.endpoint import HEALTH_PATH, READY_PATH, Endpoint, check_path
from chatkit.web.errors import response_for
from chatkit.web.lifecycle import Lifecycle
from chatkit.web.limits import DEFAULT_MAX_BODY_BYTES
from chatkit.web.response import DEFAULT_KEEP_ALIVE

__all__ = ["create_app", "server_lifespan"]

TContext = TypeVar("TContext")


def create_app(
    server: ChatKitServer[TContext],
    *,
    context: ContextFactory[TContext],
    path: str = "/chatkit",
    cors_origins: str | Sequence[str] = (),
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    keep_alive: float = DEFAULT_KEEP_ALIVE,
    workers: int | None = None,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """Returns an application with ``POST /chatkit``, ``GET /health`` and ``GET /readyz``.

    Its lifespan starts the server (turns that a crash cut off are finished) and closes it. When the process is
    asked to end, running turns are ended in order, so that open streams do not keep it alive. A client that does
    not read holds the HTTP server all the same; bound that with its own option, such as uvicorn's
    ``--timeout-graceful-shutdown 2``.

    Args:
        server: The server.
        context: Returns the request context; see ``ContextFactory``. ``single_user()`` is one without
            authentication.
        path: Where the protocol is spoken.
        cors_origins: Origins of the pages that may talk to this server from elsewhere, such as
            ``"https://app.example.com"``; with ``"*"``, any page may, but browsers send it no cookies.
        max_body_bytes: The most bytes of a request; more is answered with 413.
        keep_alive: Seconds of silence after which a stream gets a comment.
        workers: Processes that serve the application. None finds out from the command line of the usual
            servers and from ``WEB_CONCURRENCY``.
        routes: More routes; they come after the server's own.
        middleware: More middleware, inside the one for CORS.
        lifespan: The application's own lifespan, entered before the server starts and left after it is
            closed.

    Raises:
        ConfigurationError: An option cannot be as it is. At the application's start also: there are several
            workers, and the server cannot work in more than one.
    """
    check_path(path)
    lifecycle = Lifecycle(server, workers=workers)
    endpoint = Endpoint(server, lifecycle, max_body_bytes=max_body_bytes, keep_alive=keep_alive)

    async def chat(request: Request) -> Response:
        try:
            return await endpoint.chat(request, await make_context(context, request))
        except Exception as error:  # noqa: BLE001 -- response_for logs what is not expected
            return response_for(error)

    async def health(request: Request) -> Response:
        return await endpoint.health()

    async def ready(request: Request) -> Response:
        return await endpoint.ready()

    return Starlette(
        routes=[
            Route(path, chat, methods=["POST"]),
            Route(HEALTH_PATH, health, methods=["GET"]),
            Route(READY_PATH, ready, methods=["GET"]),
            *routes,
        ],
        middleware=[*_cors(cors_origins), *middleware],
        exception_handlers=dict.fromkeys((ChatKitError, HTTPException, Exception), _handle),
        lifespan=_with_lifespan(lifespan, lifecycle),
    )


def server_lifespan(
    server: ChatKitServer[Any], *, workers: int | None = None
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Returns a lifespan for an application whose endpoint is written by hand.

    It does what ``create_app`` does at start and end: ``FastAPI(lifespan=server_lifespan(server))``. Without
    it, streams that are open when the process is asked to end keep it alive until they are done.

    Args:
        server: The server.
        workers: Processes that serve the application; None finds out.
    """
    return Lifecycle(server, workers=workers).lifespan


async def _handle(request: Request, error: Exception) -> Response:
    return response_for(error)


def _cors(origins: str | Sequence[str]) -> list[Middleware]:
    allowed = [origins] if isinstance(origins, str) else list(origins)
    if not allowed:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=[origin.rstrip("/") for origin in allowed],
            # Pages send headers of their own through the element's fetch override.
            allow_headers=["*"],
            allow_methods=["GET", "POST"],
            # Cookies for every page on the web would let any of them act for the user.
            allow_credentials="*" not in allowed,
            expose_headers=["Retry-After"],
        )
    ]


def _with_lifespan(
    own: Callable[[Starlette], AbstractAsyncContextManager[Any]] | None, lifecycle: Lifecycle
) -> Callable[[Starlette], AbstractAsyncContextManager[Any]]:
    if own is None:
        return lifecycle.lifespan

    @asynccontextmanager
    async def both(app: Starlette) -> AsyncGenerator[Any]:
        async with own(app) as state, lifecycle.lifespan(app):
            yield state

    return both
