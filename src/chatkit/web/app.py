"""A Starlette application for a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
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
from chatkit.web.ui import Page, ui_routes
from chatkit.web.uploads import FileEndpoint, Uploads

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
    drain_seconds: float = 0.0,
    uploads: Uploads | None = Uploads(),  # noqa: B008 -- it cannot be changed
    ui: bool | Page = False,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """Returns an application with ``POST /chatkit``, ``GET /health`` and ``GET /readyz``, and files' routes.

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
        drain_seconds: How long running turns may go on, at most, once the process is asked to end; no new ones are
            taken meanwhile, and ``/readyz`` says so. What is left then is ended as interrupted, its partial answers
            stored. Give the HTTP server as long: uvicorn's ``--timeout-graceful-shutdown``.
        uploads: How files are taken and served; None if not at all. Their limits are the server's ``file_limits``.
        ui: Whether the application serves the page with a chat at ``/`` and the element at ``/chatkit.js``; a
            ``Page`` says more of the page. For the element alone, give ``ui_routes()`` as ``routes``.
        routes: More routes; they come after the server's own.
        middleware: More middleware, inside the one for CORS.
        lifespan: The application's own lifespan, entered before the server starts and left after it is
            closed.

    Raises:
        ConfigurationError: An option cannot be as it is. At the application's start also: there are several
            workers, and the server cannot work in more than one.
    """
    check_path(path)
    lifecycle = Lifecycle(server, workers=workers, drain_seconds=drain_seconds)
    files_path = None if uploads is None else uploads.path_beside(path)
    endpoint = Endpoint(
        server,
        lifecycle,
        max_body_bytes=max_body_bytes,
        keep_alive=keep_alive,
        path=path,
        files=files_path,
    )

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
            *([] if uploads is None else _file_routes(server, lifecycle, context, uploads, path)),
            *([] if ui is False else ui_routes(chat=path, page=Page() if ui is True else ui)),
            *routes,
        ],
        middleware=[*_cors(cors_origins), *middleware],
        exception_handlers=dict.fromkeys((ChatKitError, HTTPException, Exception), _handle),
        lifespan=_with_lifespan(lifespan, lifecycle),
    )


def server_lifespan(
    server: ChatKitServer[Any], *, workers: int | None = None, drain_seconds: float = 0.0
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Returns a lifespan for an application whose endpoint is written by hand.

    It does what ``create_app`` does at start and end: ``FastAPI(lifespan=server_lifespan(server))``. Without
    it, streams that are open when the process is asked to end keep it alive until they are done.

    Args:
        server: The server.
        workers: Processes that serve the application; None finds out.
        drain_seconds: How long running turns may go on once the process is asked to end; see ``create_app``.
    """
    return Lifecycle(server, workers=workers, drain_seconds=drain_seconds).lifespan


def _file_routes(
    server: ChatKitServer[TContext],
    lifecycle: Lifecycle,
    context: ContextFactory[TContext],
    uploads: Uploads,
    path: str,
) -> list[BaseRoute]:
    files = FileEndpoint(server, lifecycle)
    base = uploads.path_beside(path)

    def answering(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await work(request)
            except Exception as error:  # noqa: BLE001 -- response_for logs what is not expected
                return response_for(error)

        return answer

    async def post(request: Request) -> Response:
        return await files.post(request, await make_context(context, request))

    routes: list[BaseRoute] = [
        Route(f"{base}/{{file_id}}", answering(files.receive), methods=["PUT", "POST"]),
        Route(f"{base}/{{file_id}}", answering(files.content), methods=["GET"]),
        Route(f"{base}/{{file_id}}/preview", answering(files.preview), methods=["GET"]),
    ]
    if uploads.direct:
        routes.append(Route(base, answering(post), methods=["POST"]))
    return routes


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
            allow_methods=["GET", "POST", "PUT"],
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
