"""The application under test, and what its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from openai.pagination import AsyncConversationCursorPage, SyncConversationCursorPage
from starlette.applications import Starlette

from chatkit.files import LocalFileStore
from chatkit.hosted import HostedContext, HostedRoutes
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    EndOfTurnItem,
    EntitySource,
    FileSource,
    GeneratedImageItem,
    SDKHiddenContextItem,
    SearchTask,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text
from tests.support.live_server import live_server

# Clients without the certificates of authorities, which take a tenth of a second to load.
HTTP = httpx2.Client(verify=False, timeout=60)

ACME, OTHER = "ck-acme-0123456789abcdef", "ck-other-0123456789abcdef"
KEYS = {ACME: "acme", OTHER: "other"}


class EchoServer(ChatKitServer[HostedContext]):
    """Answers with what was said; ``everything`` with an item of each kind, ``hold`` never."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.contexts: list[HostedContext] = []

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: HostedContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.contexts.append(context)
        said = "".join(part.text for part in input.content) if input is not None else ""

        async def title() -> str:
            return f"About {said}"

        self.set_title_beside(thread, title(), context)
        await asyncio.sleep(0)
        if said == "hold":
            await asyncio.get_running_loop().create_future()
        items = every_item(thread.id) if said == "everything" else [answer(thread.id, f"You said {said}")]
        for item in items:
            yield ThreadItemDoneEvent(item=item)


def answer(thread_id: str, text: str) -> AssistantMessageItem:
    return AssistantMessageItem(
        id=new_id("message"), thread_id=thread_id, content=[AssistantMessageContent(text=text)]
    )


def every_item(thread_id: str) -> list[ThreadItem]:
    """An item of each kind that a handler may yield, in an order that a stored thread keeps."""
    sources = (
        FileSource(title="A file", filename="a.pdf"),
        URLSource(title="A page", url="https://example.com/a"),
        EntitySource(title="A thing", id="thing"),
    )
    cited = AssistantMessageContent(
        text="Cited.", annotations=[Annotation(source=source, index=3) for source in sources]
    )
    tasks = [
        CustomTask(title="A step", content="What it does"),
        ThoughtTask(title=None, content="Hm"),
        SearchTask(title="A search", queries=["a"]),
    ]
    common = {"thread_id": thread_id}
    return [
        AssistantMessageItem(id=new_id("message"), content=[cited], **common),
        WidgetItem(id=new_id("message"), widget=Card(children=[Text(value="ü")]), **common),
        TaskItem(id=new_id("task"), task=tasks[0], **common),
        TaskItem(id=new_id("task"), task=tasks[1], **common),
        WorkflowItem(id=new_id("workflow"), workflow=Workflow(type="custom", tasks=tasks), **common),
        GeneratedImageItem(id=new_id("message"), **common),
        SDKHiddenContextItem(id=new_id("sdk_hidden_context"), content="hidden", **common),
        EndOfTurnItem(id=new_id("message"), **common),
        ClientToolCallItem(
            id=new_id("tool_call"), call_id="call_1", name="tool", arguments={"a": [1, None]}, **common
        ),
    ]


@dataclass
class Clock:
    """The moment that the application goes by."""

    ahead: float = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


@dataclass
class Hosted:
    """A running application.

    Attributes:
        url: Where it listens.
        clock: Its clock.
        servers: Its servers by workflow.
    """

    url: str
    clock: Clock
    servers: Mapping[str, EchoServer]

    def openai(self, key: str = ACME) -> OpenAI:
        http = DefaultHttpxClient(verify=False)
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, http_client=http)

    def session(self, user: str = "ada", workflow: str = "wf_a", key: str = ACME, **options: Any) -> Any:
        """Opens a session with the real client."""
        options = {"rate_limits": {"max_requests_per_1_minute": 1000}, **options}
        with self.openai(key) as client:
            return client.beta.chatkit.sessions.create(user=user, workflow={"id": workflow}, **options)

    def page(self, secret: str) -> Page:
        return Page(self.url, secret)


@dataclass
class Page:
    """A page with a client secret."""

    url: str
    secret: str

    def post(self, kind: str, /, **params: Any) -> httpx2.Response:
        metadata = params.pop("metadata", None)
        body = {"type": kind, "params": params} | ({} if metadata is None else {"metadata": metadata})
        headers = {"Authorization": f"Bearer {self.secret}"}
        return HTTP.post(f"{self.url}/chatkit", json=body, headers=headers)

    def say(self, text: str, thread_id: str | None = None, **more: Any) -> str:
        """Sends a message and returns the thread's id, once the answer has ended."""
        message = {
            "content": [{"type": "input_text", "text": text}],
            "attachments": [],
            "inference_options": {},
            **more,
        }
        if thread_id is None:
            response = self.post("threads.create", input=message)
        else:
            response = self.post("threads.add_user_message", thread_id=thread_id, input=message)
        assert response.status_code == 200, response.text
        assert '"error"' not in response.text, response.text
        return thread_id or httpx2_events(response)[0]["thread"]["id"]


def httpx2_events(response: httpx2.Response) -> list[Any]:
    import json

    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


@contextmanager
def hosted(
    store: Store[Any],
    other: Store[Any] | None = None,
    *,
    files: LocalFileStore | None = None,
    server: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Hosted]:
    """Runs an application with the workflows ``wf_a``, ``wf_same`` of the same server, and ``wf_b`` of another.

    ``server`` has options of both servers, the others are those of the application.
    """
    first = EchoServer(store, files, **(server or {}))
    second = EchoServer(other or store, files, **(server or {}))
    servers = {"wf_a": first, "wf_same": first, "wf_b": second}
    clock = Clock()
    routes = HostedRoutes(servers, KEYS, clock=clock, **options)
    app = Starlette(routes=routes.routes, lifespan=routes.lifespan)
    with live_server(app) as server:
        yield Hosted(server.url, clock, servers)


class Caller:
    """Calls the real client, with the synchronous or the asynchronous one; pages are gone through to their end."""

    def __init__(self, kind: str, url: str, key: str = ACME, **options: Any) -> None:
        self._kind = kind
        self._options = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0, **options}

    def __call__(self, name: str, *arguments: Any, pages: bool = True, **options: Any) -> Any:
        if self._kind == "async":
            return asyncio.run(self._async(name, arguments, options, pages))
        with OpenAI(http_client=DefaultHttpxClient(verify=False), **self._options) as client:
            found = _named(client.beta.chatkit, name)(*arguments, **options)
            paged = isinstance(found, SyncConversationCursorPage)
            return list(found) if paged and pages else found

    async def _async(
        self, name: str, arguments: tuple[Any, ...], options: dict[str, Any], pages: bool
    ) -> Any:
        http = DefaultAsyncHttpxClient(verify=False)
        async with AsyncOpenAI(http_client=http, **self._options) as client:
            found = await _named(client.beta.chatkit, name)(*arguments, **options)
            if isinstance(found, AsyncConversationCursorPage) and pages:
                return [entry async for entry in found]
            return found


def _named(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = getattr(found, part)
    return found
