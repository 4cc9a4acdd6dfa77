"""The API for the tenants' servers: ``/v1/chatkit/sessions`` and ``/v1/chatkit/threads``."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatkit.counters import Counter
from chatkit.errors import AuthenticationError, PermissionDeniedError, RateLimitedError
from chatkit.files.links import serving_at
from chatkit.hosted.client_secrets import client_secret
from chatkit.hosted.errors import BadRequestError, UnknownError, answering, first_problem
from chatkit.hosted.keys import ApiKeys, refuse_openai_key
from chatkit.hosted.models import Session, SessionRequest
from chatkit.hosted.paging import PageRequest, cursor
from chatkit.hosted.sessions import Sessions
from chatkit.hosted.workflows import Workflows
from chatkit.ids import new_id
from chatkit.web.auth import bearer_token
from chatkit.web.endpoint import read_body

__all__ = ["ServerApi"]

_PREFIX: Final = "/v1"
_BETA: Final = "chatkit_beta=v1"
_MINUTE: Final = 60.0
_MOST_BYTES: Final = 512 * 1024
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_Work = Callable[[Request, str], Awaitable[dict[str, Any]]]
"""Answers a request of a tenant."""


class ServerApi:
    """Answers the tenants' servers.

    Args:
        workflows: The servers of chats.
        keys: The tenants' keys.
        sessions: The table of sessions.
        counter: Counts requests.
        requests_per_minute: Of each tenant at most; None for any number.
        clock: Returns the present moment in seconds since 1970.
        files_path: Returns where the files of a workflow are.
    """

    def __init__(
        self,
        workflows: Workflows,
        keys: ApiKeys,
        sessions: Sessions,
        counter: Counter,
        *,
        requests_per_minute: int | None,
        clock: Callable[[], float],
        files_path: Callable[[str], str],
    ) -> None:
        self._workflows = workflows
        self._keys = keys
        self._sessions = sessions
        self._counter = counter
        self._requests_per_minute = requests_per_minute
        self._clock = clock
        self._files_path = files_path

    def routes(self) -> list[Route]:
        """Returns the routes below ``/v1``; what is not one of the API's there is told so."""
        sessions, threads = f"{_PREFIX}/chatkit/sessions", f"{_PREFIX}/chatkit/threads"
        calls: list[tuple[str, str, _Work]] = [
            (sessions, "POST", self._create),
            (sessions + "/{session_id}/cancel", "POST", self._cancel),
            (threads, "GET", self._list),
            (threads + "/{thread_id}", "GET", self._retrieve),
            (threads + "/{thread_id}", "DELETE", self._delete),
            (threads + "/{thread_id}/items", "GET", self._list_items),
        ]
        servers = list(self._workflows.distinct().values())
        return [
            *(
                Route(path, answering(self._calling(work), servers), methods=[method])
                for path, method, work in calls
            ),
            Route(_PREFIX + "/{path:path}", answering(_elsewhere, servers), methods=_METHODS),
        ]

    def _calling(self, work: _Work) -> Callable[[Request], Awaitable[Response]]:
        async def call(request: Request) -> Response:
            tenant = await self._tenant(request)
            betas = {
                beta.strip() for value in request.headers.getlist("openai-beta") for beta in value.split(",")
            }
            if _BETA not in betas:
                raise BadRequestError(f"Send the header 'OpenAI-Beta: {_BETA}'.", code="invalid_beta")
            return JSONResponse(await work(request, tenant), headers={"Cache-Control": "no-store"})

        return call

    async def _tenant(self, request: Request) -> str:
        """Returns the tenant whose key a request carries, and counts the request.

        Raises:
            AuthenticationError: It carries no key that is known.
            PermissionDeniedError: It carries a client secret.
            RateLimitedError: The tenant has sent too many.
        """
        key = bearer_token(request)
        refuse_openai_key(key)
        if key.startswith("ckcs-"):
            raise PermissionDeniedError("A client secret opens the chat only; use an API key here.")
        tenant = self._keys.tenant(key)
        if tenant is None:
            error = AuthenticationError("The API key is not valid.")
            error.code = "invalid_api_key"
            raise error
        if self._requests_per_minute is not None:
            limit = self._requests_per_minute
            count = await self._counter.take(f"api:{tenant}", window=_MINUTE, limit=limit)
            if not count.taken:
                raise RateLimitedError(
                    f"A tenant may send {limit} requests a minute. Try again in {math.ceil(count.seconds)} s.",
                    retry_after=math.ceil(count.seconds),
                )
        return tenant

    async def _create(self, request: Request, tenant: str) -> dict[str, Any]:
        try:
            asked = SessionRequest.model_validate_json(await read_body(request, _MOST_BYTES))
        except ValidationError as error:
            raise first_problem(error) from None
        if self._workflows[asked.workflow.id] is None:
            raise UnknownError(
                f"There is no workflow {asked.workflow.id!r} here.",
                param="workflow.id",
                code="workflow_not_found",
            )
        now = int(self._clock())
        session = Session(
            id=new_id("cksess"),
            tenant=tenant,
            user=asked.user,
            workflow=asked.workflow,
            configuration=asked.chatkit_configuration,
            requests_per_minute=asked.rate_limits.max_requests_per_1_minute,
            created_at=now,
            expires_at=now + asked.expires_after.seconds,
        )
        await self._sessions.add(session)
        return self._shown(session)

    async def _cancel(self, request: Request, tenant: str) -> dict[str, Any]:
        session_id = request.path_params["session_id"]
        session = None if "\0" in session_id else await self._sessions.find(session_id)
        if session is None or session.tenant != tenant:
            raise UnknownError("There is no such session.", code="session_not_found")
        if not session.cancelled and self._clock() < session.expires_at:
            await self._sessions.cancel(session_id)
            session = session.model_copy(update={"cancelled": True})
        return self._shown(session)

    def _shown(self, session: Session) -> dict[str, Any]:
        return session.answer(client_secret(session.id, session.expires_at), self._clock())

    async def _list(self, request: Request, tenant: str) -> dict[str, Any]:
        page = PageRequest.of(request.query_params)
        user = cursor(request.query_params, "user")
        return await page.load(self._workflows.load_threads(tenant, user))

    async def _retrieve(self, request: Request, tenant: str) -> dict[str, Any]:
        return await self._workflows.thread(tenant, _thread_id(request))

    async def _delete(self, request: Request, tenant: str) -> dict[str, Any]:
        thread_id = _thread_id(request)
        server, context = await self._workflows.find(tenant, thread_id)
        body = {"type": "threads.delete", "params": {"thread_id": thread_id}}
        await server.process(json.dumps(body), context)
        return {"id": thread_id, "object": "chatkit.thread.deleted", "deleted": True}

    async def _list_items(self, request: Request, tenant: str) -> dict[str, Any]:
        thread_id = _thread_id(request)
        page = PageRequest.of(request.query_params)
        server, context = await self._workflows.find(tenant, thread_id)
        url = request.url
        base = f"{url.scheme}://{url.netloc}{url.path.partition(f'{_PREFIX}/chatkit/')[0]}"
        # Previews are links to files of this server.
        with serving_at(f"{base}{self._files_path(self._workflows.name_of(server))}"):
            return await page.load(self._workflows.load_items(server, context, thread_id))


def _thread_id(request: Request) -> str:
    thread_id: str = request.path_params["thread_id"]
    if "\0" in thread_id:
        raise UnknownError("There is no such thread.", code="thread_not_found")
    return thread_id


async def _elsewhere(request: Request) -> Response:
    """Says that there is no such thing here; a key of OpenAI's is refused all the same."""
    refuse_openai_key(request.headers.get("authorization", "").partition(" ")[2])
    raise UnknownError(
        f"This server speaks ChatKit's part of the API: it has no {request.method} {request.url.path}. Models, files "
        "and all else are asked for at OpenAI, with another client than the one whose base_url leads here.",
        code="unknown_url",
    )
