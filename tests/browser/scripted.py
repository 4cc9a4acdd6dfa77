"""A server for tests of the element: it says what it is asked to, and can be made to fail in every way."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import expect
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit.actions import Action
from chatkit.demo import GuideServer
from chatkit.files import FileLimits, LocalFileStore
from chatkit.ids import new_id
from chatkit.store import MemoryStore
from chatkit.types import (
    Annotation,
    AssistantMessageItem,
    AudioInput,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomTask,
    EntitySource,
    FeedbackKind,
    ProgressUpdateEvent,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetComponentUpdated,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.web import create_app, single_user, ui_routes
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot
from tests.browser.chat_page import ChatPage
from tests.support.live_server import live_server

__all__ = ["Faults", "Scripted", "events", "opened", "scripted_server", "thread_of"]

_PAGE = """<!doctype html><html lang="en"><head><title>Test</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"></head>
<body><main><h1 id="heading">Test</h1><openai-chatkit id="chat"></openai-chatkit></main>
<script src="/own.js"></script><script src="/ui/chatkit.js" async></script></body></html>"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:"
)
_WEBM = bytes.fromhex("1a45dfa3")
_OWN = """
document.body.style.setProperty("margin", "0");
const chat = document.getElementById("chat");
chat.style.setProperty("height", "100vh");
const heading = document.getElementById("heading");
for (const [name, value] of [["position", "absolute"], ["overflow", "hidden"], ["inline-size", "1px"],
  ["block-size", "1px"], ["margin", "0"]]) heading.style.setProperty(name, value);
window.seen = [];
window.calls = [];
for (const name of ["ready", "error", "effect", "deeplink", "response.start", "response.end", "thread.change",
  "thread.load.start", "thread.load.end", "tool.change", "history.open", "history.close", "log"])
  chat.addEventListener("chatkit." + name, event => seen.push([name, event.detail ?? null]));
window.until = async found => {
  while (!seen.some(found)) await new Promise(resolve => requestAnimationFrame(resolve));
};
window.when = async isSo => {
  while (!isSo()) await new Promise(resolve => requestAnimationFrame(resolve));
};
window.everything = root => [...root.querySelectorAll("*")].flatMap(e =>
  [e, ...(e.shadowRoot ? everything(e.shadowRoot) : [])]);
window.apply = more => customElements.whenDefined("openai-chatkit").then(() =>
  chat.setOptions({ api: { url: "/chatkit", domainKey: "none" }, ...more }));
"""


@dataclass
class Faults:
    """What goes wrong on the way to the server, once each; and what the server was asked.

    Attributes:
        requests: Bodies of the requests so far.
    """

    requests: list[dict[str, Any]] = field(default_factory=list)
    _answers: dict[str, Response] = field(default_factory=dict)
    _cuts: dict[str, int] = field(default_factory=dict)
    _gates: dict[str, threading.Event] = field(default_factory=dict)

    def answer(self, kind: str, status: int, body: object, media_type: str = "application/json") -> None:
        """Has the next request of a kind answered by this."""
        content = body if isinstance(body, str) else json.dumps(body)
        self._answers[kind] = Response(content, status, media_type=media_type)

    def cut(self, kind: str, after: int) -> None:
        """Has the answer to the next request of a kind end properly, but after so many bytes."""
        self._cuts[kind] = after

    def hold(self, kind: str) -> threading.Event:
        """Has the next request of a kind wait until the event is set."""
        gate = self._gates[kind] = threading.Event()
        return gate

    def count(self, kind: str) -> int:
        """Returns how many requests of a kind there were."""
        return sum(request["type"] == kind for request in self.requests)


class _FaultMiddleware:
    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/chatkit":
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        request = json.loads(body)
        kind = request["type"]
        faults = self._faults
        faults.requests.append(request)
        if gate := faults._gates.pop(kind, None):
            await asyncio.to_thread(gate.wait, 20)
        if answer := faults._answers.pop(kind, None):
            await answer(scope, receive, send)
            return
        left = faults._cuts.pop(kind, None)
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def cutting(message: Message) -> None:
            nonlocal left
            if left is None or message["type"] != "http.response.body":
                await send(message)
            elif left > 0:
                left -= len(message.get("body", b""))
                await send({**message, "more_body": left > 0})

        await self._app(scope, again, cutting)


class _ScriptedServer(GuideServer):
    """Answers what tests ask for, the rest as the guide does."""

    feedback: list[tuple[list[str], str]]
    actions: list[str]
    steps: queue.SimpleQueue[threading.Event]

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = input.content[0].text if input is not None and input.content else ""
        match text.split(" ")[0]:
            case "echo" if input is not None:
                told = {
                    "content": [part.model_dump(exclude_none=True) for part in input.content],
                    "quoted": input.quoted_text,
                    "attachments": [attachment.name for attachment in input.attachments],
                    "options": input.inference_options.model_dump(exclude_none=True),
                }
                yield _said(f"`{json.dumps(told)}`")
            case "say":
                yield _said(text.removeprefix("say "))
            case "shine":
                yield ClientEffectEvent(name="shine", data={"colour": "gold"})
                yield _said("It shines.")
            case "entity":
                source = EntitySource(
                    id="ord_7", title="Order 7", interactive=True, preview="lazy", data={"total": "12"}
                )
                yield _said("Your order is on its way.", [Annotation(source=source, index=25)])
            case "page-tool":
                yield ThreadItemDoneEvent(
                    item=ClientToolCallItem(
                        id=new_id("tool_call"), call_id="call_1", name="add", arguments={"a": 2, "b": 3}
                    )
                )
            case "board":
                yield ThreadItemDoneEvent(item=WidgetItem(id=new_id("message"), widget=_board()))
            case "plan":
                steps = Workflow(type="custom", tasks=[CustomTask(title="Ask the page")])
                yield ThreadItemAddedEvent(item=WorkflowItem(id=new_id("workflow"), workflow=steps))
                async for event in self._take_long():
                    yield event
                yield ThreadItemDoneEvent(
                    item=ClientToolCallItem(
                        id=new_id("tool_call"), call_id="call_2", name="ask", arguments={}
                    )
                )
            case _:
                async for event in super().respond(thread, input, context):
                    yield event

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        if action.type.startswith("guide."):
            async for event in super().action(thread, action, sender, context):
                yield event
            return
        self.actions.append(action.type)
        match action.type:
            case "order":
                yield _said(f"Order {self.actions.count('order')}")
            case "change" if sender is not None:
                component = DynamicWidgetComponent(type="Text", id="text", value="Changed")
                update = WidgetComponentUpdated(component_id="text", component=component)
                yield ThreadItemUpdatedEvent(item_id=sender.id, update=update)
                async for event in self._take_long():
                    yield event
            case "fail" if self.actions.count("fail") == 1:
                raise RuntimeError("The first time it fails.")
            case "fail":
                yield _said("It worked.")
            case "tell":
                yield ClientEffectEvent(name="told", data={})
                await self._step()
                item = AssistantMessageItem(id=new_id("message"), content=[])
                yield ThreadItemAddedEvent(item=item)
                for word in ("once ", "and ", "for ", "all"):
                    yield ThreadItemUpdatedEvent(id=item.id, delta=TextDelta(text=word))
                await self._step()
                yield ThreadItemDoneEvent(id=item.id)
            case _:
                pass

    async def _take_long(self) -> AsyncIterator[ThreadStreamEvent]:
        for number in range(20):
            yield ProgressUpdateEvent(text=f"{number} of 20 {'and on ' * 30}")

    async def _step(self) -> None:
        gate = threading.Event()
        self.steps.put(gate)
        await asyncio.to_thread(gate.wait, 20)

    async def transcribe(self, audio_input: AudioInput, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text="heard" if audio_input.data.startswith(_WEBM) else "nothing")

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Any
    ) -> None:
        self.feedback.append((item_ids, feedback))


def _said(text: str, annotations: list[Annotation] | None = None) -> ThreadStreamEvent:
    content = [TextContent(text=text, annotations=annotations or [])]
    return ThreadItemDoneEvent(item=AssistantMessageItem(id=new_id("message"), content=content))


def _board() -> DynamicWidgetRoot:
    buttons = [
        DynamicWidgetComponent(type="Button", label=kind, onClickAction={"type": kind})
        for kind in ("order", "change", "fail", "tell")
    ]
    text = DynamicWidgetComponent(type="Text", id="text", value="Choose")
    return DynamicWidgetRoot(type="Card", children=[text, *buttons])


@dataclass
class Scripted:
    """The running server.

    Attributes:
        url: The page with the element alone; ``apply(options)`` there sets it up.
        page: The page with the sidebar.
        faults: What goes wrong.
        feedback: What feedback arrived.
        actions: The actions of ``board`` that were carried out.
        steps: What the action ``tell`` waits for, twice.
        store: Where threads are.
    """

    url: str
    page: str
    faults: Faults
    feedback: list[tuple[list[str], str]]
    actions: list[str]
    steps: queue.SimpleQueue[threading.Event]
    store: MemoryStore[Any]


@contextmanager
def scripted_server(folder: Path) -> Iterator[Scripted]:
    """Runs the server while the block runs; files are kept in the folder, of at most 200,000 bytes each."""

    async def page(request: Request) -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        if "mute" in request.query_params:
            headers["Permissions-Policy"] = "microphone=()"
        return HTMLResponse(_PAGE, headers=headers)

    async def own(request: Request) -> Response:
        return Response(_OWN, media_type="text/javascript")

    faults = Faults()
    store: MemoryStore[Any] = MemoryStore()
    files = LocalFileStore(folder, secret="not a secret in a test, but long enough")
    server = _ScriptedServer(store, file_store=files, file_limits=FileLimits(max_bytes=200_000))
    server.feedback, server.actions, server.steps = [], [], queue.SimpleQueue()
    routes = [Route("/page", page), Route("/own.js", own), *ui_routes(path="/ui/")]
    app = create_app(
        server,
        context=single_user(),
        routes=routes,
        ui=True,
        middleware=[Middleware(_FaultMiddleware, faults=faults)],
    )
    with live_server(app) as live:
        yield Scripted(
            f"{live.url}/page", f"{live.url}/", faults, server.feedback, server.actions, server.steps, store
        )


def opened(
    open_page: Callable[..., ChatPage], server: Scripted, options: str = "{}", query: str = "", **more: Any
) -> ChatPage:
    """Opens the page with the element alone, and sets it up."""
    chat = open_page(server.url + query, **more)
    chat.page.evaluate(f"apply({options})")
    expect(chat.input).to_be_visible()
    return chat


def events(chat: ChatPage, *names: str) -> list[Any]:
    """Returns the events of the element so far, as name and detail; with names, those of them."""
    return [entry for entry in chat.page.evaluate("seen") if not names or entry[0] in names]


def thread_of(chat: ChatPage) -> str:
    """Returns the id of the thread that the element shows, as it told it last."""
    return str(chat.page.evaluate("seen.findLast(([name]) => name === 'thread.change')[1].threadId"))
