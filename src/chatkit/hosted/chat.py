"""The chat of hosted ChatKit: let in by a client secret, and kept to what its session allows."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chatkit.counters import Counter
from chatkit.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTooLargeError,
)
from chatkit.hosted.client_secrets import ClientSecretError, invalid, session_of
from chatkit.hosted.context import HostedContext
from chatkit.hosted.errors import answering
from chatkit.hosted.models import Session
from chatkit.hosted.sessions import Sessions
from chatkit.hosted.workflows import Workflows
from chatkit.limits import DEFAULT_LIMITS
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.server.parsing import parse_request
from chatkit.types import (
    AttachmentsCreateReq,
    ChatKitReq,
    InputTranscribeReq,
    ThreadListParams,
    ThreadsAddClientToolOutputReq,
    ThreadsListReq,
    ThreadsSyncCustomActionReq,
    TurnsResumeReq,
    TurnsStopReq,
    is_streaming_req,
)
from chatkit.web.auth import bearer_token
from chatkit.web.endpoint import ChatRoutes
from chatkit.web.origins import OriginCheck
from chatkit.web.uploads import FileRoutes

__all__ = ["HostedChat"]

_MINUTE: Final = 60.0
_WORK: Final = (AttachmentsCreateReq, InputTranscribeReq, ThreadsSyncCustomActionReq)
"""Requests that make work, besides those that are answered with a stream."""
_GOING_ON: Final = (TurnsResumeReq, TurnsStopReq, ThreadsAddClientToolOutputReq)
"""Requests of a turn that has begun; its thread may have become an old one meanwhile."""
_LIGHT_FOR_ONE: Final = 10
"""How many of the others, of which a page sends several when it is opened, count as much as one of these."""
_MEGABYTE: Final = 1024 * 1024
_DEFAULT_PAGE: Final = 20


@dataclass(frozen=True, slots=True)
class _Served:
    """A server, and its routes."""

    server: ChatKitServer[Any]
    endpoint: ChatRoutes
    files: FileRoutes
    files_path: str


class HostedChat:
    """Answers pages.

    Args:
        workflows: The servers.
        sessions: The table of sessions.
        counter: Counts requests.
        path: Where the protocol is spoken; files are below it.
        clock: Returns the present moment in seconds since 1970.
        endpoint: Makes the routes of a server, from the path of its files.
    """

    def __init__(
        self,
        workflows: Workflows,
        sessions: Sessions,
        counter: Counter,
        *,
        path: str,
        clock: Callable[[], float],
        endpoint: Callable[[ChatKitServer[Any], Any, str], ChatRoutes],
    ) -> None:
        self._workflows = workflows
        self._sessions = sessions
        self._counter = counter
        self._path = path
        self._clock = clock
        self.served: dict[str, _Served] = {}
        for workflow, server in workflows.distinct().items():
            files = self.files_path(workflow)
            routes = endpoint(server, self._context, files)
            self.served[workflow] = _Served(
                server, routes, FileRoutes(server, routes.lifecycle, OriginCheck(self._context)), files
            )

    def files_path(self, workflow: str) -> str:
        """Returns where files of a workflow's server are."""
        return f"{self._path}/files/{self._workflows.home_of(workflow)}"

    def routes(self) -> list[Route]:
        """Returns the routes of the chat and of its files."""
        first = next(iter(self.served.values())).endpoint
        servers = [served.server for served in self.served.values()]
        return [
            Route(self._path, answering(self._chat, servers), methods=["POST"], name="chat"),
            Route(self._path, first.describe, methods=["GET"]),
            Route(f"{self._path}/files", answering(self._upload, servers), methods=["POST"]),
            *(
                Route(place, answering(answer, servers), methods=methods)
                for served in self.served.values()
                for place, methods, answer in served.files.signed(served.files_path)
            ),
        ]

    async def _let_in(self, request: Request) -> Session:
        """Returns the session of a request's client secret; raises ClientSecretError for one that is not good."""
        try:
            secret = bearer_token(request)
        except AuthenticationError as error:
            raise ClientSecretError(
                "missing", "Send a client secret in the header 'Authorization: Bearer ...'."
            ) from error
        session = await self._sessions.find(session_of(secret, self._clock()))
        if session is None or self._workflows[session.workflow.id] is None:
            # Forgotten, of another database, or of a workflow that is gone.
            raise invalid()
        if session.cancelled:
            raise ClientSecretError(
                "cancelled", "The session was cancelled. Ask your server for a new client secret."
            )
        return session

    async def _context(self, request: Request) -> HostedContext:
        return HostedContext.of(await self._let_in(request))

    def _served_for(self, session: Session) -> _Served:
        return self.served[self._workflows.home_of(session.workflow.id)]

    async def _chat(self, request: Request) -> Response:
        session = await self._let_in(request)
        served = self._served_for(session)
        process = partial(self._process, served.server, session)
        return await served.endpoint.chat(request, HostedContext.of(session), process)

    async def _upload(self, request: Request) -> Response:
        session = await self._let_in(request)
        served = self._served_for(session)
        await self._count(session, None)
        # Links in the answer lead to this server's files.
        path = request.scope["path"].removesuffix(f"{self._path}/files") + served.files_path
        moved = Request({**request.scope, "path": path}, request.receive)
        most = _most_bytes(session)
        async with self._file(session):
            response = await served.files.post(moved, HostedContext.of(session), limit=most)
            if response.status_code >= 400:
                # All other errors are raised.
                raise ClientDisconnect
        return response

    async def _process(
        self, server: ChatKitServer[Any], session: Session, body: bytes, context: HostedContext
    ) -> StreamingResult | NonStreamingResult:
        try:
            request = parse_request(body, server.limits or DEFAULT_LIMITS)
        except Exception:
            await self._count(session, None)
            raise
        await self._count(session, request)
        if isinstance(request, AttachmentsCreateReq):
            most = _most_bytes(session)
            if request.params.size > most:
                raise RequestTooLargeError(f"The file is too large; at most {most} bytes are taken.")
            async with self._file(session):
                return await server.process(body, context)
        if isinstance(request, ThreadsListReq):
            return NonStreamingResult(await self._list(server, session, request.params, context))
        if not isinstance(request, _GOING_ON):
            await self._check_history(server, session, getattr(request.params, "thread_id", None), context)
        return await server.process(body, context)

    async def _count(self, session: Session, request: ChatKitReq | None) -> None:
        """Counts a request; raises RateLimitedError where the session has sent too many."""
        light = request is not None and not _makes_work(request)
        limit = session.requests_per_minute * (_LIGHT_FOR_ONE if light else 1)
        key = f"session:{session.id}:{'light' if light else 'requests'}"
        count = await self._counter.take(key, window=_MINUTE, limit=limit)
        if not count.taken:
            raise RateLimitedError(
                f"This session may send {limit} requests of this kind a minute. Try again in "
                f"{math.ceil(count.seconds)} s.",
                retry_after=math.ceil(count.seconds),
            )

    @asynccontextmanager
    async def _file(self, session: Session) -> AsyncGenerator[None]:
        """Counts a file that the block takes, unless it raises.

        Raises:
            PermissionDeniedError: The session has had as many as it may.
        """
        files = session.configuration.file_upload
        key, window = f"session:{session.id}:files", float(session.expires_at - session.created_at)
        # Before, so that of many at once no more are let through.
        count = await self._counter.take(key, window=window, limit=files.max_files)
        if not count.taken:
            raise PermissionDeniedError(f"This session takes {files.max_files} files, and has had as many.")
        try:
            yield
        except BaseException:
            await self._counter.take(key, -1, window=window)
            raise

    async def _check_history(
        self, server: ChatKitServer[Any], session: Session, thread_id: str | None, context: HostedContext
    ) -> None:
        """Raises NotFoundError for a thread that is not among the recent ones that the session may see."""
        most = session.configuration.history.recent_threads
        if most is None or thread_id is None:
            return
        recent = await _list(server, context, {"limit": most})
        if all(thread["id"] != thread_id for thread in recent["data"]):
            raise NotFoundError(f"The thread {thread_id!r} is not one of the recent ones.")

    async def _list(
        self, server: ChatKitServer[Any], session: Session, params: ThreadListParams, context: HostedContext
    ) -> bytes:
        history = session.configuration.history
        asked = params.model_dump(exclude_none=True)
        if history.enabled and history.recent_threads is None:
            page = await _list(server, context, asked)
        else:
            most = history.recent_threads or 1
            page = await _list(server, context, {**asked, "limit": most, "order": "desc", "after": None})
            page = {**page, **_slice(page["data"] if history.enabled else [], params)}
            page = {name: value for name, value in page.items() if value is not None}
        capabilities = page.get("capabilities")
        if capabilities is not None and not session.configuration.file_upload.enabled:
            page["capabilities"] = {**capabilities, "uploads": False}
        return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()


def _most_bytes(session: Session) -> int:
    """Returns how many bytes a file may have; raises PermissionDeniedError for a session that takes none."""
    files = session.configuration.file_upload
    if not files.enabled:
        raise PermissionDeniedError("This session takes no files.")
    return files.max_file_size * _MEGABYTE


def _makes_work(request: ChatKitReq) -> bool:
    streamed = is_streaming_req(request) and not isinstance(request, TurnsResumeReq)
    return streamed or isinstance(request, _WORK)


async def _list(server: ChatKitServer[Any], context: HostedContext, params: dict[str, Any]) -> dict[str, Any]:
    result = await server.process(json.dumps({"type": "threads.list", "params": params}), context)
    return json.loads(cast("NonStreamingResult", result).json)


def _slice(recent: list[dict[str, Any]], params: ThreadListParams) -> dict[str, Any]:
    """Returns the page that is asked for of the recent threads, newest first."""
    threads = recent if params.order == "desc" else recent[::-1]
    if params.after is not None:
        ids = [thread["id"] for thread in threads]
        if params.after not in ids:
            raise NotFoundError(f"The thread {params.after!r} is not one of the recent ones.")
        threads = threads[ids.index(params.after) + 1 :]
    limit = params.limit or _DEFAULT_PAGE
    page = threads[:limit]
    return {
        "data": page,
        "has_more": len(threads) > limit,
        "after": page[-1]["id"] if page and len(threads) > limit else None,
    }
