"""The same chat as an async view of Django, behind its middleware: sign-in, sessions and CSRF check."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chat import Context, server
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from starlette.requests import Request
from starlette.types import Message, Scope

from chatkit.errors import AuthenticationError
from chatkit.web import create_app

BODY_BYTES = 256 * 1024


def signed_in(request: Request) -> Context:
    """Returns the context of a request, by the user that the view hands over."""
    if not request.user.is_authenticated:
        raise AuthenticationError
    return {"user_id": str(request.user.pk), "name": request.user.get_username()}


# The path is the one that urls.py has for the view.
application = create_app(server, context=signed_in, path="/chatkit")


async def chatkit(request: ASGIRequest) -> StreamingHttpResponse:
    """Speaks the protocol; Django's session says who asks, its middleware checks the CSRF token."""
    return await answer(request)


# Django's check would read the form before the chat does, and links that are signed need no session. Files that a page
# of another origin posts are refused by the chat.
@csrf_exempt
async def files(request: ASGIRequest, path: str = "") -> StreamingHttpResponse:
    """Takes and serves files."""
    return await answer(request)


async def answer(request: ASGIRequest) -> StreamingHttpResponse:
    """Answers a request with the chat's application, in the event loop that the view runs in."""
    exchange = Exchange(request)
    scope: Scope = {**request.scope, "user": await request.auser(), "extensions": {}}
    exchange.task = asyncio.create_task(application(scope, exchange.receive, exchange.send))
    start = await exchange.next()
    response = StreamingHttpResponse(exchange.body(), status=start["status"])
    del response.headers["Content-Type"]
    for name, value in start["headers"]:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response


class Exchange:
    """One request and its answer; Django has the whole body by now."""

    def __init__(self, request: ASGIRequest) -> None:
        self.task: asyncio.Task[None]
        self._request = request
        self._told_all = False
        self._gone = asyncio.Event()
        # Of one message: what is not read yet is waited for.
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)

    async def receive(self) -> Message:
        if self._told_all:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body = self._request.read(BODY_BYTES)
        self._told_all = len(body) < BODY_BYTES
        return {"type": "http.request", "body": body, "more_body": not self._told_all}

    async def send(self, message: Message) -> None:
        if self._gone.is_set():
            raise OSError("The client is gone.")
        await self._messages.put(message)

    async def next(self) -> Message:
        """Returns the next message of the application; raises what it raised in place of one."""
        getting = asyncio.create_task(self._messages.get())
        await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self._messages.empty():
            getting.cancel()
            self.task.result()
            raise RuntimeError("The application has not answered.")
        return await getting

    async def body(self) -> AsyncIterator[bytes]:
        """Yields the body; a client that leaves stops the answer, what there is of it is kept."""
        try:
            is_more: Any = True
            while is_more:
                message = await self.next()
                is_more = message.get("more_body", False)
                if message.get("body"):
                    yield message["body"]
        finally:
            self._gone.set()
            while not self._messages.empty():
                self._messages.get_nowait()
            # What is left to be done after the last byte, also where this task is cancelled.
            await asyncio.shield(asyncio.wait({self.task}))
