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

from chatkit._checks import checked
from chatkit.errors import ChatKitError, ConfigurationError
from chatkit.limits import Limits
from chatkit.server import ChatKitServer
from chatkit.server.blocking import watch_loop
from chatkit.web.auth import ContextFactory, is_single_user, make_context
from chatkit.web.endpoint import HEALTH_PATH, READY_PATH, ChatRoutes
from chatkit.web.errors import answer_error, response_for
from chatkit.web.lifecycle import Lifecycle
from chatkit.web.origins import OriginCheck, check_origins
from chatkit.web.refusals import note_refusal
from chatkit.web.request_ids import REQUEST_ID, RequestIds
from chatkit.web.response import DEFAULT_KEEP_ALIVE
from chatkit.web.ui import ChatPage, ui_routes
from chatkit.web.uploads import FileRoutes, Uploads

__all__ = ["cors_middleware", "create_app", "server_lifespan"]

TContext = TypeVar("TContext")


@checked
def create_app(
    server: ChatKitServer[TContext],
    *,
    context: ContextFactory[TContext],
    path: str = "/chatkit",
    cors_origins: str | Sequence[str] = (),
    max_body_bytes: int | None = None,
    keep_alive: float = DEFAULT_KEEP_ALIVE,
    workers: int | None = None,
    drain_seconds: float = 0.0,
    uploads: Uploads | None = Uploads(),  # noqa: B008 -- it cannot be changed
    ui: bool | ChatPage = False,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """Returns an application with ``POST /chatkit``, ``GET /health`` and ``GET /readyz``, and files' routes.

    Its lifespan starts the server (turns that a crash cut off are finished) and closes it. When the process is
    asked to end, running turns are ended in order, so that open streams do not keep it alive. A client that does
    not read holds the HTTP server all the same; bound that with its own option, such as uvicorn's
    ``--timeout-graceful-shutdown 2``. Unless there is a single user, the server's ``limits`` per owner are those of
    ``Limits().for_service()`` where it has none.

    Args:
        server: The server.
        context: Returns the request context; see ``ContextFactory``. ``single_user()`` is one without
            authentication.
        path: Where the protocol is spoken.
        cors_origins: Origins of the pages that may talk to this server from elsewhere, such as
            ``"https://app.example.com"``; with ``"*"``, any page may, but browsers send it no cookies.
        max_body_bytes: The most bytes of a request, recordings included; more is answered with 413. None leaves it
            to the server's ``limits``: 2 MiB, and 25 MiB for recordings.
        keep_alive: Seconds of silence after which a stream gets a comment.
        workers: Processes that serve the application, for a server that cannot work in more than one. None is what
            ``WEB_CONCURRENCY`` says, or 1.
        drain_seconds: How long running turns may go on, at most, once the process is asked to end; no new ones are
            taken meanwhile, and ``/readyz`` says so. What is left then is ended as interrupted, its partial answers
            stored. Give the HTTP server as long: uvicorn's ``--timeout-graceful-shutdown``.
        uploads: How files are taken and served; None if not at all. Their limits are the server's ``file_limits``.
        ui: Whether the application serves the page with a chat at ``/`` and the element at ``/chatkit.js``; a
            ``ChatPage`` says more of the page. For the element alone, give ``ui_routes()`` as ``routes``.
        routes: More routes; they come after the server's own.
        middleware: More middleware, inside the one for CORS.
        lifespan: The application's own lifespan, entered before the server starts and left after it is
            closed.

    Raises:
        ConfigurationError: An option cannot be as it is. At the application's start also: there are several
            workers, and the server cannot work in more than one.
    """
    page = ChatPage() if ui is True else ui
    if isinstance(page, ChatPage) and page.attachments and getattr(server, "attachment_store", None) is None:
        raise ConfigurationError(
            "ChatPage(attachments=True) needs a server that keeps files: give it one, such as "
            "file_store=LocalFileStore(), or leave attachments out."
        )
    endpoint = ChatRoutes(
        server,
        context,
        path=path,
        files=None if uploads is None else uploads.path_beside(path),
        max_body_bytes=max_body_bytes,
        keep_alive=keep_alive,
        workers=workers,
        drain_seconds=drain_seconds,
    )
    if not is_single_user(context):
        server.limits = (server.limits or Limits()).for_service()
    lifecycle = endpoint.lifecycle

    async def chat(request: Request) -> Response:
        return await endpoint.chat(request, await make_context(context, request))

    return Starlette(
        routes=[
            Route(path, _answering(chat, server), methods=["POST"], name="chat"),
            Route(path, endpoint.describe, methods=["GET"]),
            Route(HEALTH_PATH, endpoint.health, methods=["GET"]),
            Route(READY_PATH, endpoint.ready, methods=["GET"]),
            *([] if uploads is None else _file_routes(server, lifecycle, context, uploads, path)),
            *([] if page is False else ui_routes(chat=path, page=page)),
            *routes,
        ],
        middleware=[Middleware(RequestIds), *cors_middleware(cors_origins, context), *middleware],
        exception_handlers=dict.fromkeys((ChatKitError, HTTPException, Exception), answer_error),
        lifespan=_with_lifespan(lifespan, lifecycle),
    )


@checked
def server_lifespan(
    server: ChatKitServer[Any], *, workers: int | None = None, drain_seconds: float = 0.0
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Returns a lifespan for an application whose endpoint is written by hand.

    It does what ``create_app`` does at start and end: ``FastAPI(lifespan=server_lifespan(server))``. Without
    it, streams that are open when the process is asked to end keep it alive until they are done.

    Args:
        server: The server.
        workers: Processes that serve the application; see ``create_app``.
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
    files = FileRoutes(server, lifecycle, OriginCheck(context, uploads.origins))
    base = uploads.path_beside(path)

    async def post(request: Request) -> Response:
        return await files.post(request, await make_context(context, request))

    routes: list[BaseRoute] = [
        Route(place, _answering(answer, server), methods=methods)
        for place, methods, answer in files.signed(base)
    ]
    if uploads.direct:
        routes.append(Route(base, _answering(post, server), methods=["POST"]))
    return routes


def _answering(
    work: Callable[[Request], Awaitable[Response]], server: ChatKitServer[Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            # The context is made here, and by code of the application.
            with watch_loop():
                return await work(request)
        except Exception as error:  # noqa: BLE001 -- response_for logs what is not expected
            await note_refusal([server], request, error)
            return response_for(error)

    return answer


def cors_middleware(origins: str | Sequence[str], context: object) -> list[Middleware]:
    """Returns the middleware that lets pages of other origins use the chat; none where there are no such origins.

    Args:
        origins: Of the pages.
        context: The context factory.

    Raises:
        ConfigurationError: One is no origin, or any page could act for the single user.
    """
    allowed = check_origins("create_app(cors_origins=...)", origins)
    if not allowed:
        return []
    if "*" in allowed and is_single_user(context):
        raise ConfigurationError(
            "create_app(cors_origins='*', context=single_user()) would let every page on the web read and write the "
            "only user's chat. Name the origins, such as cors_origins=['http://localhost:5173'], or sign users in."
        )
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=allowed,
            # Pages send headers of their own through the element's fetch override.
            allow_headers=["*"],
            allow_methods=["GET", "POST", "PUT"],
            # Cookies for every page on the web would let any of them act for the user.
            allow_credentials="*" not in allowed,
            expose_headers=["Retry-After", REQUEST_ID],
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
