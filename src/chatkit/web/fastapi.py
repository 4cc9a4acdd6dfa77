"""A FastAPI router for a server."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Annotated, Any

from chatkit._checks import checked
from chatkit.errors import ChatKitError, InvalidRequestError, MissingExtraError

try:
    from fastapi import APIRouter, Depends
    from fastapi.exceptions import RequestValidationError
    from fastapi.routing import APIRoute
except ModuleNotFoundError as error:
    raise MissingExtraError("FastAPI is not installed: pip install 'chatkit-server[fastapi]'.") from error

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatkit.server import ChatKitServer
from chatkit.server.blocking import watch_loop
from chatkit.web.endpoint import HEALTH_PATH, READY_PATH, ChatRoutes
from chatkit.web.errors import response_for
from chatkit.web.origins import OriginCheck
from chatkit.web.refusals import note_refusal
from chatkit.web.response import DEFAULT_KEEP_ALIVE
from chatkit.web.uploads import FileRoutes, Uploads

__all__ = ["chatkit_router"]


@checked
def chatkit_router(
    server: ChatKitServer[Any],
    *,
    context: Callable[..., Any],
    path: str = "/chatkit",
    max_body_bytes: int | None = None,
    keep_alive: float = DEFAULT_KEEP_ALIVE,
    workers: int | None = None,
    drain_seconds: float = 0.0,
    uploads: Uploads | None = Uploads(),  # noqa: B008 -- it cannot be changed
    probes: bool = True,
    tags: Sequence[str | Enum] = ("chatkit",),
) -> APIRouter:
    """Returns a router with ``POST /chatkit``, ``GET /health`` and ``GET /readyz``, and files' routes.

    Include it with ``app.include_router(...)``. Its lifespan joins that of the application: it starts the
    server and closes it. Errors of its endpoints have the form ``{"error": {"code", "message"}}``, exceptions
    of FastAPI included; exceptions that the application has a handler for go to that handler.

    Args:
        server: The server.
        context: Returns the request context: a FastAPI dependency with any parameters of its own, or a
            function of the request.
        path: Where the protocol is spoken.
        max_body_bytes: The most bytes of a request, recordings included; more is answered with 413. None leaves it
            to the server's ``limits``: 2 MiB, and 25 MiB for recordings.
        keep_alive: Seconds of silence after which a stream gets a comment.
        workers: Processes that serve the application, for a server that cannot work in more than one. None is what
            ``WEB_CONCURRENCY`` says, or 1.
        drain_seconds: How long running turns may go on, at most, once the process is asked to end; no new ones are
            taken meanwhile, and ``/readyz`` says so. What is left then is ended as interrupted, its partial answers
            stored. Give the HTTP server as long: uvicorn's ``--timeout-graceful-shutdown``.
        uploads: How files are taken and served; None if not at all. Their limits are the server's ``file_limits``.
        probes: Whether the router has ``/health`` and ``/readyz``.
        tags: Of the operations in the OpenAPI document.

    Raises:
        ConfigurationError: An option cannot be as it is.
    """
    endpoint = ChatRoutes(
        server,
        context,
        path=path,
        files=None if uploads is None else uploads.path_beside(path),
        probes=probes,
        max_body_bytes=max_body_bytes,
        keep_alive=keep_alive,
        workers=workers,
        drain_seconds=drain_seconds,
    )
    router = APIRouter(route_class=_route_of(server), lifespan=endpoint.lifecycle.lifespan, tags=list(tags))
    dependency = _as_dependency(context)

    async def chatkit(request: Request, context: Annotated[Any, Depends(dependency)]) -> Response:
        return await endpoint.chat(request, context)

    router.add_api_route(
        path,
        chatkit,
        methods=["POST"],
        response_model=None,
        summary="The ChatKit endpoint",
        response_description="JSON, or a stream of events",
    )
    router.add_api_route(
        path, endpoint.describe, methods=["GET"], response_model=None, include_in_schema=False
    )
    if uploads is not None:
        files = FileRoutes(server, endpoint.lifecycle, OriginCheck(context, uploads.origins))
        base = uploads.path_beside(path)

        async def upload(request: Request, context: Annotated[Any, Depends(dependency)]) -> Response:
            return await files.post(request, context)

        if uploads.direct:
            router.add_api_route(
                base,
                upload,
                methods=["POST"],
                response_model=None,
                summary="Upload a file, the multipart field 'file'",
                response_description="The attachment",
            )
        for place, methods, answer in files.signed(base):
            router.add_api_route(place, answer, methods=methods, response_model=None, include_in_schema=False)
    if probes:
        for probe, answer in ((HEALTH_PATH, endpoint.health), (READY_PATH, endpoint.ready)):
            router.add_api_route(
                probe, answer, methods=["GET", "HEAD"], response_model=None, include_in_schema=False
            )
    return router


def _route_of(server: ChatKitServer[Any]) -> type[APIRoute]:
    """Returns the class of routes whose refusals are told to the audit log of a server."""

    class Route(_Route):
        refusing = (server,)

    return Route


class _Route(APIRoute):
    """A route whose errors have the form of this package."""

    refusing: tuple[ChatKitServer[Any], ...] = ()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                # The context is made here, and by code of the application.
                with watch_loop():
                    return await handler(request)
            except RequestValidationError as error:
                # What the client sent is not repeated.
                problems = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
                return response_for(InvalidRequestError("; ".join(problems)))
            except (ChatKitError, HTTPException) as error:
                await note_refusal(self.refusing, request, error)
                return response_for(error)
            except Exception as error:
                handlers = request.app.exception_handlers
                if 500 in handlers or any(kind in handlers for kind in type(error).__mro__):
                    raise
                return response_for(error)

        return answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().handle(scope, receive, send)
        except HTTPException as error:
            # Raised for a method that the route does not have, before there is a request to handle.
            if error.status_code != 405:
                raise
            await response_for(error)(scope, receive, send)


def _as_dependency(context: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the request to a function of one untyped parameter, which FastAPI would look for in the query."""
    parameters = list(inspect.signature(context).parameters.values())
    if (
        len(parameters) != 1
        or parameters[0].kind
        not in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
        or parameters[0].annotation is not inspect.Parameter.empty
        or parameters[0].default is not inspect.Parameter.empty
    ):
        # FastAPI 0.120 finds what annotations mean for functions and methods only, not for objects with __call__.
        call = inspect.getattr_static(type(context), "__call__")
        is_object = not inspect.isclass(context) and inspect.isfunction(call)
        return context.__call__ if is_object else context

    async def of_request(request: Request) -> Any:
        made = context(request)
        return await made if inspect.isawaitable(made) else made

    return of_request
