"""Lets a WSGI application serve an ASGI one, such as a chat, whose event loop runs in a thread."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.types import Message, Scope

BODY_BYTES = 256 * 1024
ENDING_SECONDS = 5


@dataclass
class Answer:
    """A response, for any framework."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]


class Bridge:
    """Answers WSGI requests with an application, in one event loop that lasts as long as the process.

    It starts with the first request, so that a server may fork its workers before. WSGI has no word for the end: have
    the server call ``close()`` then. What a process cuts off without it is kept all the same, but for the last quarter
    of a second, and is finished when the next one starts.

    Whose request it is, the WSGI application says; the other one finds it as ``request.user``.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._serving: set[asyncio.Task[Any]] = set()

    def answer(self, environ: dict[str, Any], user: object) -> Answer:
        """Answers a request, as the WSGI server hands it over."""
        self._start()
        exchange = _Exchange(environ, self._loop)
        self._loop.call_soon_threadsafe(self._begin, scope_of(environ, user), exchange)
        return exchange.begin()

    def close(self) -> None:
        """Ends the chat: running answers are stored as far as they are, and their readers are told."""
        with self._lock:
            if self._thread is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._ending.set)
                self._thread.join(ENDING_SECONDS)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                started: Future[None] = Future()
                self._thread = threading.Thread(target=self._run, args=(started,), name="chat", daemon=True)
                self._thread.start()
                started.result()

    def _run(self, started: "Future[None]") -> None:
        async def live() -> None:
            try:
                # Finishes at the start what a crash cut off.
                async with self._app.router.lifespan_context(self._app):
                    started.set_result(None)
                    await self._ending.wait()
                # What clients are still to be told.
                if self._serving:
                    await asyncio.wait(self._serving, timeout=1)
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(live())

    def _begin(self, scope: Scope, exchange: "_Exchange") -> None:
        task = self._loop.create_task(self._serve(scope, exchange))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, scope: Scope, exchange: "_Exchange") -> None:
        error: BaseException | None = None
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as raised:  # noqa: BLE001 -- raised again in the request's thread
            error = raised
        finally:
            exchange.end(error)


class _Exchange:
    """One request and its answer. Only the request's own thread reads from the client and writes to it."""

    def __init__(self, environ: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._input = environ["wsgi.input"]
        self._left = int(environ.get("CONTENT_LENGTH") or 0)
        self._loop = loop
        self._gone = asyncio.Event()
        self._told_all = False
        self._messages: queue.SimpleQueue[tuple[Message, asyncio.Future[bytes]] | BaseException | None] = (
            queue.SimpleQueue()
        )

    # In the event loop.

    async def receive(self) -> Message:
        if self._told_all:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body = await self._ask({"type": "read"}) if self._left else b""
        # A client that breaks off sends less than it said.
        self._left = self._left - len(body) if body else 0
        self._told_all = self._left == 0
        return {"type": "http.request", "body": body, "more_body": not self._told_all}

    async def send(self, message: Message) -> None:
        await self._ask(message)

    def end(self, error: BaseException | None) -> None:
        self._messages.put(error)

    async def _ask(self, message: Message) -> bytes:
        """Hands something to the request's thread, and waits until it has taken it: a slow client is waited for."""
        taken: asyncio.Future[bytes] = self._loop.create_future()
        self._messages.put((message, taken))
        leaving = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({taken, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        if not taken.done():
            raise OSError("The client is gone.")
        return taken.result()

    # In the request's thread.

    def begin(self) -> Answer:
        message = self._next()
        if message is None:
            raise RuntimeError("The application has not answered.")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        return Answer(message["status"], headers, self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            message = self._next()
            if message is None:
                raise StopIteration
            if message.get("body"):
                return message["body"]

    def close(self) -> None:
        """Is called at the end of each request, and when the client has left: WSGI servers notice that by writing."""
        with suppress(RuntimeError):  # The loop is closed.
            self._loop.call_soon_threadsafe(self._gone.set)

    def _next(self) -> Message | None:
        while True:
            found = self._messages.get()
            if found is None:
                return None
            if isinstance(found, BaseException):
                raise found
            message, taken = found
            content = b""
            if message["type"] == "read":
                content = self._input.read(min(self._left, BODY_BYTES))
            self._loop.call_soon_threadsafe(_take, taken, content)
            if message["type"] != "read":
                return message


def _take(taken: "asyncio.Future[bytes]", content: bytes) -> None:
    if not taken.done():
        taken.set_result(content)


def scope_of(environ: dict[str, Any], user: object) -> Scope:
    """Returns what an ASGI application is told of a request."""
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in environ.items()
        if (name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}) and value
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "root_path": environ.get("SCRIPT_NAME", ""),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", ""), 0),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "user": user,
    }
