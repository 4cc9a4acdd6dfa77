"""Hosted ChatKit as an application, and as routes for one of one's own."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatkit._checks import check_whole, checked
from chatkit._secrets import SECRET_VARIABLE, configured_secrets
from chatkit.counters import Counter, MemoryCounter, SQLiteCounter
from chatkit.errors import ChatKitError, ConfigurationError
from chatkit.hosted.api import ServerApi
from chatkit.hosted.chat import HostedChat
from chatkit.hosted.keys import ApiKeys
from chatkit.hosted.sessions import MemorySessions, Sessions
from chatkit.hosted.sqlite import SQLiteSessions
from chatkit.hosted.workflows import Workflows
from chatkit.limits import Limits
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.web.app import cors_middleware
from chatkit.web.endpoint import HEALTH_PATH, READY_PATH, ChatRoutes
from chatkit.web.errors import answer_error, response_for
from chatkit.web.lifecycle import usual_workers
from chatkit.web.response import DEFAULT_KEEP_ALIVE
from chatkit.web.ui import ui_is_built, ui_routes

__all__ = ["HostedRoutes", "create_hosted_app"]


_CHECK_HOLDS_SECONDS: Final = 1.0


class HostedRoutes:
    """The routes of hosted ChatKit, for an application of one's own.

    ``app.router.routes.extend(hosted.routes)``, before routes of the application's that would match the same paths.
    Enter ``hosted.lifespan(app)`` in the application's lifespan; without it the first request starts the servers.

    Args:
        workflows: The server of each workflow that a session may name; several may have one server.
        api_keys: The tenant of each API key, or of its hash as ``chatkit hosted key`` prints it.
        sessions: The table of sessions; by default in the database of the first workflow's store, or in memory.
        counter: Counts requests; by default in the same place.
        path: Where pages speak the protocol.
        requests_per_minute: Of each tenant's servers at most; None for any number.
        max_body_bytes: As for ``create_app``.
        keep_alive: As for ``create_app``.
        workers: As for ``create_app``.
        drain_seconds: As for ``create_app``.
        clock: Returns the present moment in seconds since 1970; for tests.

    Attributes:
        routes: The routes.

    Raises:
        ConfigurationError: An option cannot be as it is, or there are several workers, which do not share sessions,
            counts or secrets.
    """

    @checked
    def __init__(
        self,
        workflows: Mapping[str, ChatKitServer[Any]],
        api_keys: Mapping[str, str],
        *,
        sessions: Sessions | None = None,
        counter: Counter | None = None,
        path: str = "/chatkit",
        requests_per_minute: int | None = 6_000,
        max_body_bytes: int | None = None,
        keep_alive: float = DEFAULT_KEEP_ALIVE,
        workers: int | None = None,
        drain_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        found = Workflows(workflows)
        keys = ApiKeys(api_keys)
        if requests_per_minute is not None:
            check_whole("requests_per_minute", requests_per_minute, 1)
        if f"{path}/".startswith("/v1/"):
            raise ConfigurationError(
                f"path={path!r} is the API's, whose routes are below /v1; give pages another one, such as '/chatkit'."
            )
        store: object = next(iter(workflows.values())).store
        usual_sessions, usual_counter = _ports_beside(store, clock)
        self._sessions = usual_sessions if sessions is None else sessions
        self._counter = usual_counter if counter is None else counter
        self._workers = workers
        self._checking = asyncio.Lock()
        self._checked_at = -math.inf
        # Here too: not every application enters the lifespan.
        self._check_workers()

        def endpoint(server: ChatKitServer[Any], context: Any, files: str) -> ChatRoutes:
            routes = ChatRoutes(
                server,
                context,
                path=path,
                files=files,
                max_body_bytes=max_body_bytes,
                keep_alive=keep_alive,
                workers=workers,
                drain_seconds=drain_seconds,
            )
            server.limits = (server.limits or Limits()).for_service()
            return routes

        self._chat = HostedChat(
            found, self._sessions, self._counter, path=path, clock=clock, endpoint=endpoint
        )
        api = ServerApi(
            found,
            keys,
            self._sessions,
            self._counter,
            requests_per_minute=requests_per_minute,
            clock=clock,
            files_path=self._chat.files_path,
        )
        self.routes: list[BaseRoute] = [*self._chat.routes(), *api.routes()]

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:
        """The lifespan of an application with these routes: starts the servers, and closes them.

        Args:
            app: The application.

        Raises:
            ConfigurationError: There are several workers, which do not share sessions, counts, turns or secrets.
        """
        self._check_workers()
        async with AsyncExitStack() as running:
            for served in self._chat.served.values():
                await running.enter_async_context(served.endpoint.lifecycle.lifespan(app))
            running.push_async_callback(self._sessions.close)
            running.push_async_callback(self._counter.close)
            yield

    def _check_workers(self) -> None:
        workers = self._workers if self._workers is not None else usual_workers()
        if workers < 2:
            return
        for what, option in ((self._sessions, "sessions"), (self._counter, "counter")):
            if not what.shared:
                raise ConfigurationError(
                    f"{workers} workers cannot share {type(what).__name__}: give create_hosted_app({option}=...) one "
                    "that is in a database, or run one worker."
                )
        if configured_secrets()[0] is None:
            raise ConfigurationError(
                f"{workers} workers need one {SECRET_VARIABLE}, with which they sign client secrets: set it to a long "
                "random text."
            )

    async def ready(self, request: Request) -> Response:
        """Answers a readiness probe: 200 if requests can be served, else 503."""
        answers = [await served.endpoint.ready(request) for served in self._chat.served.values()]
        async with self._checking:
            # Anybody may ask, at any rate.
            if time.monotonic() - self._checked_at >= _CHECK_HOLDS_SECONDS:
                try:
                    await self._sessions.check()
                    await self._counter.check()
                except ChatKitError as error:
                    answers.append(response_for(error))
                else:
                    self._checked_at = time.monotonic()
        return max(answers, key=lambda answer: answer.status_code)

    async def health(self, request: Request) -> Response:
        """Answers a liveness probe."""
        return await next(iter(self._chat.served.values())).endpoint.health(request)


@checked
def create_hosted_app(
    workflows: Mapping[str, ChatKitServer[Any]],
    api_keys: Mapping[str, str],
    *,
    sessions: Sessions | None = None,
    counter: Counter | None = None,
    path: str = "/chatkit",
    cors_origins: str | Sequence[str] = (),
    requests_per_minute: int | None = 6_000,
    max_body_bytes: int | None = None,
    keep_alive: float = DEFAULT_KEEP_ALIVE,
    workers: int | None = None,
    drain_seconds: float = 0.0,
    ui: bool = True,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """Returns an application that takes the place of OpenAI's hosted ChatKit.

    It has the calls of ``openai.beta.chatkit`` below ``/v1``, for the tenants' servers; the chat at ``path``, for pages
    with a client secret; the element at ``/chatkit.js``; ``GET /health`` and ``GET /readyz``. Handlers get a
    :class:`HostedContext`.

    Args:
        workflows: The server of each workflow that a session may name; several may have one server.
        api_keys: The tenant of each API key, or of its hash as ``chatkit hosted key`` prints it.
        sessions: The table of sessions; by default in the database of the first workflow's store, or in memory.
        counter: Counts requests; by default in the same place.
        path: Where pages speak the protocol.
        cors_origins: Origins of the pages, where these come from elsewhere.
        requests_per_minute: Of each tenant's servers at most; None for any number.
        max_body_bytes: As for ``create_app``.
        keep_alive: As for ``create_app``.
        workers: As for ``create_app``.
        drain_seconds: As for ``create_app``.
        ui: Whether the application serves the element, where it is built.
        routes: More routes; they come after the application's own.
        middleware: More middleware, inside the one for CORS.
        lifespan: The application's own lifespan, entered before the servers start and left after they are closed.

    Raises:
        ConfigurationError: An option cannot be as it is, or there are several workers, which do not share sessions,
            counts or secrets; at the application's start also: they do not share turns.
    """
    hosted = HostedRoutes(
        workflows,
        api_keys,
        sessions=sessions,
        counter=counter,
        path=path,
        requests_per_minute=requests_per_minute,
        max_body_bytes=max_body_bytes,
        keep_alive=keep_alive,
        workers=workers,
        drain_seconds=drain_seconds,
    )

    @asynccontextmanager
    async def both(app: Starlette) -> AsyncGenerator[Any]:
        async with AsyncExitStack() as running:
            state = None if lifespan is None else await running.enter_async_context(lifespan(app))
            await running.enter_async_context(hosted.lifespan(app))
            yield state

    return Starlette(
        routes=[
            *hosted.routes,
            Route(HEALTH_PATH, hosted.health, methods=["GET"]),
            Route(READY_PATH, hosted.ready, methods=["GET"]),
            *(ui_routes(chat=path) if ui and ui_is_built() else []),
            *routes,
        ],
        middleware=[*cors_middleware(cors_origins, None), *middleware],
        exception_handlers=dict.fromkeys((ChatKitError, HTTPException, Exception), answer_error),
        lifespan=both,
    )


def _ports_beside(store: object, clock: Callable[[], float]) -> tuple[Sessions, Counter]:
    """Returns a table of sessions and a counter in the database of a store, or in memory where it has none."""
    if isinstance(store, SQLiteStore):
        database = cast("SQLiteStore[Any]", store).database
        return SQLiteSessions(database, clock), SQLiteCounter(database)
    # Without its driver there is no such store; loading it to ask would be a waste.
    if "chatkit.store.postgres" in sys.modules:
        from chatkit.store import PostgresStore

        if isinstance(store, PostgresStore):
            from chatkit.counters import PostgresCounter
            from chatkit.hosted.postgres import PostgresSessions

            pools = cast("PostgresStore[Any]", store).database
            return PostgresSessions(pools), PostgresCounter(pools)
    return MemorySessions(clock), MemoryCounter()
