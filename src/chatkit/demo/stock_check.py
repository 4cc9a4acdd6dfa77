"""The server that ``chatkit stock-check`` drives an element against: what arrives is kept, answers can be held."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chatkit import __version__
from chatkit.demo import GuideServer
from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore, Store
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from chatkit.web import create_app, single_user, ui_is_built, ui_routes
from chatkit.web.ui import STATIC

__all__ = ["StockCheck", "make_app"]

_CHAT: Final = "/chatkit"
_HELD_AFTER: Final = 12
"""Events of an answer before it is held: the first lines of text among them."""

_LAST_FRAME: Final = b"event: turn.end"
"""After it an element that knows it may close the connection at once."""

_FOLDER: Final = Path(__file__).parent
_FETCH_SECONDS: Final = 20.0
_LONGEST_SCRIPT_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class StockCheck:
    """What is checked.

    Attributes:
        script: The address of the element's script: a URL, or a path of this server, such as ``/chatkit.js``.
        domain_key: Given to the element, which asks for one.
        origin: Of the script, where that is not this server.
        files: A folder for what is attached.
        tell: Called with the report as text.
    """

    script: str
    domain_key: str
    origin: str | None
    files: Path
    tell: Callable[[str], None]


class HeldGuide(GuideServer):
    """The guide, whose answers can be held in the middle."""

    def __init__(self, store: Store[Any], **options: Any) -> None:
        super().__init__(store, **options)
        self._released = asyncio.Event()
        self._released.set()
        self._waiting = 0

    @property
    def is_holding(self) -> bool:
        """Whether an answer stands still."""
        return self._waiting > 0

    def hold(self, *, held: bool) -> None:
        """Holds answers from now on, or lets them go on."""
        if held:
            self._released.clear()
        else:
            self._released.set()

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers as the guide does."""
        count = 0
        answer = cast("AsyncGenerator[ThreadStreamEvent, None]", super().respond(thread, input, context))
        async with aclosing(answer) as events:
            async for event in events:
                yield event
                count += 1
                if count == _HELD_AFTER:
                    self._waiting += 1
                    try:
                        await self._released.wait()
                    finally:
                        self._waiting -= 1


@dataclass(slots=True)
class Seen:
    """A request of the element.

    Attributes:
        number: Its place among all.
        type: The type of the protocol's request, ``"upload"`` for a file, ``""`` while its body is on its way.
        params: The parameters of the protocol's request.
        status: The status of the answer, 0 before it.
        ended: How the answer ended, None while it is being sent.
    """

    number: int
    type: str = ""
    params: Any = None
    status: int = 0
    ended: Literal["whole", "closed"] | None = None


class Recorder:
    """ASGI middleware that keeps what arrives below the chat's path, but for what the check itself asks."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.entries: list[Seen] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not self._is_of_element(scope):
            await self._application(scope, receive, send)
            return
        entry = Seen(number=len(self.entries))
        self.entries.append(entry)
        is_chat = scope["path"] == _CHAT
        if not is_chat:
            entry.type = "upload" if scope["method"] in {"PUT", "POST"} else "download"
        body = bytearray()

        async def receive_and_read() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                entry.ended = entry.ended or "closed"
            elif is_chat:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    _read(entry, bytes(body))
            return message

        async def send_and_note(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            elif not message.get("more_body") or _LAST_FRAME in message.get("body", b""):
                entry.ended = entry.ended or "whole"

        try:
            await self._application(scope, receive_and_read, send_and_note)
        finally:
            entry.ended = entry.ended or "closed"

    @staticmethod
    def _is_of_element(scope: Any) -> bool:
        if (
            not (scope["path"] == _CHAT or scope["path"].startswith(f"{_CHAT}/"))
            or scope["method"] == "OPTIONS"
        ):
            return False
        return all(name != b"x-stock-check" for name, _ in scope["headers"])


def _read(entry: Seen, body: bytes) -> None:
    try:
        request: Any = json.loads(body)
        entry.type, entry.params = str(request["type"]), request.get("params")
    except (ValueError, TypeError, KeyError, AttributeError):
        # A recording to transcribe is a form.
        entry.type = "no JSON"


class Row(BaseModel):
    """A line of the table."""

    step: str
    result: Literal["passed", "failed"]
    seen: str


class Report(BaseModel):
    """What the page has found."""

    rows: list[Row]
    browser: str
    frames: list[str]


def make_app(check: StockCheck) -> Any:
    """Returns an ASGI application: the page, the chat below ``/chatkit``, and what the page asks of the server.

    It has no sign-in, so it is for this machine alone.
    """
    server = HeldGuide(MemoryStore(), delay=0.01, file_store=LocalFileStore(check.files))
    recorder: Recorder

    async def page(request: Request) -> Response:
        settings = json.dumps({"script": check.script, "domainKey": check.domain_key})
        html = _FOLDER.joinpath("stock_check.html").read_text(encoding="utf-8")
        return HTMLResponse(html.replace("SETTINGS", settings.replace("<", "\\u003c")), headers=_FRESH)

    async def script(request: Request) -> Response:
        text = _FOLDER.joinpath("stock_check.js").read_text(encoding="utf-8")
        return Response(text, media_type="text/javascript", headers=_FRESH)

    async def style(request: Request) -> Response:
        text = _FOLDER.joinpath("stock_check.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css", headers=_FRESH)

    async def seen(request: Request) -> Response:
        entries = [asdict(entry) for entry in recorder.entries]
        return JSONResponse({"entries": entries, "held": server.is_holding})

    async def hold(request: Request) -> Response:
        server.hold(held=bool((await request.json())["held"]))
        return JSONResponse({})

    async def report(request: Request) -> Response:
        found = Report.model_validate_json(await request.body())
        script = await asyncio.to_thread(_describe_script, check.script)
        text = _written(check, found, script)
        check.tell(text)
        return JSONResponse({"text": text})

    routes: list[BaseRoute] = [
        Route("/", page),
        Route("/stock-check.js", script),
        Route("/stock-check.css", style),
        Route("/stock-check/seen", seen),
        Route("/stock-check/hold", hold, methods=["POST"]),
        Route("/stock-check/report", report, methods=["POST"]),
    ]
    if ui_is_built():
        routes += ui_routes()
    recorder = Recorder(
        create_app(
            server,
            context=single_user(),
            path=_CHAT,
            # The element may ask from a frame of the origin of its script.
            cors_origins=[check.origin] if check.origin else (),
            routes=routes,
        )
    )
    return recorder


_FRESH: Final = {"Cache-Control": "no-store"}


def _describe_script(address: str) -> str:
    """Returns what tells one version of the script from another, or why that cannot be read."""
    try:
        if address.startswith("/"):
            content = STATIC.joinpath(address.rsplit("/", 1)[-1]).read_bytes()
            told = [f"chatkit-server {__version__}"]
        else:
            # The scheme was checked when the command was given.
            with urllib.request.urlopen(address, timeout=_FETCH_SECONDS) as answer:  # noqa: S310
                content = answer.read(_LONGEST_SCRIPT_BYTES)
                headers = ("Last-Modified", "ETag")
                told = [f"{name}: {answer.headers[name]}" for name in headers if answer.headers[name]]
    except OSError as error:
        return f"unknown, the server could not read the script: {error.strerror or error}"
    digest = hashlib.sha256(content).hexdigest()
    return ", ".join([*told, f"SHA-256 {digest}", f"{len(content)} bytes"])


def _written(check: StockCheck, report: Report, script: str) -> str:
    """Returns the report in Markdown."""
    failed = sum(row.result == "failed" for row in report.rows)
    lines = [
        f"Stock check of {datetime.now(UTC):%Y-%m-%d}: {len(report.rows) - failed} passed, {failed} failed",
        "",
        f"- Script: {check.script}",
        f"- Version: {script}",
        *(f"- Frame: {frame}" for frame in report.frames),
        f"- Server: chatkit-server {__version__}",
        f"- Browser: {report.browser}",
        "",
        "| step | result | what was seen |",
        "|---|---|---|",
        *(f"| {row.step} | {row.result} | {row.seen.replace('|', '/')} |" for row in report.rows),
    ]
    return "\n".join(line.replace("\n", " ") for line in lines)
