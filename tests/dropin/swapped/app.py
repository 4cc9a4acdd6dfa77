"""A small application for ``openai-chatkit`` 1.6.5, with a store of its own; the same file runs on either package.

``python app.py DATABASE [DATABASE...]`` serves one with each database, at ``/0``, ``/1`` and so on, on a free port of
this machine and prints the port.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import uvicorn
from agents import Agent, Model, Runner
from openai._models import construct_type
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult, stream_widget
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    Page,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
)
from chatkit.widgets import Card, Text

KINDS: dict[str, Any] = {
    "threads": TypeAdapter(ThreadMetadata),
    "items": TypeAdapter(ThreadItem),
    "attachments": TypeAdapter(Attachment),
}


class JsonStore(Store[dict[str, str]]):
    """Keeps everything as JSON in SQLite."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for kind in KINDS:
            self.connection.execute(
                f"CREATE TABLE IF NOT EXISTS {kind} (position INTEGER PRIMARY KEY, owner TEXT, thread TEXT, id TEXT, "
                "body TEXT, UNIQUE (owner, id))"
            )
        self.connection.execute("CREATE TABLE IF NOT EXISTS made (number INTEGER PRIMARY KEY)")

    def _number(self) -> int:
        return self.connection.execute("INSERT INTO made DEFAULT VALUES").lastrowid or 0

    def generate_thread_id(self, context: dict[str, str]) -> str:
        return f"thr_{self._number()}"

    def generate_item_id(self, item_type: Any, thread: ThreadMetadata, context: dict[str, str]) -> str:
        return f"{item_type}_{self._number()}"

    def _put(self, kind: str, thread_id: str, model: Any, context: dict[str, str]) -> None:
        self.connection.execute(
            f"INSERT INTO {kind} (owner, thread, id, body) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (owner, id) DO UPDATE SET body = excluded.body",
            (context["user_id"], thread_id, model.id, model.model_dump_json()),
        )

    def _get(self, kind: str, id: str, context: dict[str, str]) -> Any:
        row = self.connection.execute(
            f"SELECT body FROM {kind} WHERE owner = ? AND id = ?", (context["user_id"], id)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"{id} is not in {kind}")
        return KINDS[kind].validate_json(row[0])

    def _page(
        self, kind: str, thread_id: str, after: str | None, limit: int, order: str, context: dict[str, str]
    ) -> Any:
        rows = self.connection.execute(
            f"SELECT body FROM {kind} WHERE owner = ? AND thread = ? ORDER BY position {order}",
            (context["user_id"], thread_id),
        ).fetchall()
        found = [KINDS[kind].validate_json(body) for (body,) in rows]
        ids = [model.id for model in found]
        start = ids.index(after) + 1 if after else 0
        data = found[start : start + limit]
        more = start + limit < len(found)
        return Page(data=data, has_more=more, after=data[-1].id if more else None)

    def _delete(self, kind: str, column: str, value: str, context: dict[str, str]) -> None:
        self.connection.execute(
            f"DELETE FROM {kind} WHERE owner = ? AND {column} = ?", (context["user_id"], value)
        )

    async def load_thread(self, thread_id: str, context: dict[str, str]) -> ThreadMetadata:
        return self._get("threads", thread_id, context)

    async def save_thread(self, thread: ThreadMetadata, context: dict[str, str]) -> None:
        self._put("threads", "", thread, context)

    async def load_threads(self, limit: int, after: str | None, order: str, context: dict[str, str]) -> Any:
        return self._page("threads", "", after, limit, order, context)

    async def delete_thread(self, thread_id: str, context: dict[str, str]) -> None:
        self._delete("threads", "id", thread_id, context)
        self._delete("items", "thread", thread_id, context)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: dict[str, str]
    ) -> Any:
        return self._page("items", thread_id, after, limit, order, context)

    async def add_thread_item(self, thread_id: str, item: Any, context: dict[str, str]) -> None:
        self._put("items", thread_id, item, context)

    async def save_item(self, thread_id: str, item: Any, context: dict[str, str]) -> None:
        self._put("items", thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: dict[str, str]) -> Any:
        return self._get("items", item_id, context)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: dict[str, str]) -> None:
        self._delete("items", "id", item_id, context)

    async def save_attachment(self, attachment: Any, context: dict[str, str]) -> None:
        self._put("attachments", "", attachment, context)

    async def load_attachment(self, attachment_id: str, context: dict[str, str]) -> Any:
        return self._get("attachments", attachment_id, context)

    async def delete_attachment(self, attachment_id: str, context: dict[str, str]) -> None:
        self._delete("attachments", "id", attachment_id, context)


class Parrot(Model):
    """A model that says what it heard."""

    async def get_response(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError

    async def stream_response(
        self, system_instructions: Any, input: Any, *given: Any, **named: Any
    ) -> AsyncIterator[Any]:
        heard = json.dumps(input[-1]["content"])
        part: dict[str, Any] = {"type": "output_text", "text": heard, "annotations": []}
        item = {"type": "message", "id": f"msg_{uuid4().hex}", "role": "assistant", "status": "completed"}
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        whole = item | {"content": [part]}
        response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "model": "parrot",
            "output": [whole],
        }
        response |= {"parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
        events: list[dict[str, Any]] = [
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
            {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
            *(
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
                for word in heard.split()
            ),
            {"type": "response.output_text.done", **place, "text": heard, "logprobs": []},
            {"type": "response.output_item.done", "output_index": 0, "item": whole},
            {"type": "response.completed", "response": response},
        ]
        for number, event in enumerate(events):
            yield construct_type(value={"sequence_number": number, **event}, type_=ResponseStreamEvent)


class Shop(ChatKitServer[dict[str, str]]):
    """Answers with a widget, a call for the page, or the parrot."""

    async def respond(
        self, thread: ThreadMetadata, input: Any, context: dict[str, str]
    ) -> AsyncIterator[Any]:
        said = input.content[0].text if input else "output"
        if said == "fail":
            raise RuntimeError("secret")
        if not thread.title:
            thread.title = said
        thread.metadata["turns"] = thread.metadata.get("turns", 0) + 1

        def new(kind: Any) -> dict[str, Any]:
            item_id = self.store.generate_item_id(kind, thread, context)
            return {"id": item_id, "thread_id": thread.id, "created_at": datetime.now()}  # noqa: DTZ005

        if said == "widget":
            widget = Card(children=[Text(id="t", value="Press")])
            async for event in stream_widget(
                thread, widget, generate_id=lambda kind: self.store.generate_item_id(kind, thread, context)
            ):
                yield event
        elif said == "tool":
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(**new("tool_call"), call_id="call", name="look", arguments={"at": 1})
            )
        elif said == "count":
            content = [AssistantMessageContent(text=f"Turn {thread.metadata['turns']}")]
            yield ThreadItemDoneEvent(item=AssistantMessageItem(**new("message"), content=content))
        else:
            agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
            heard: Any = await simple_to_agent_input(input) if input else [{"role": "user", "content": said}]
            result = Runner.run_streamed(Agent(name="Shop", model=Parrot()), heard, context=agent_context)
            async for event in stream_agent_response(agent_context, result):
                yield event

    async def action(
        self, thread: ThreadMetadata, action: Any, sender: Any, context: dict[str, str]
    ) -> AsyncIterator[Any]:
        widget = Card(children=[Text(value=f"{action.type} {action.payload}")])
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))


def application(path: str) -> Any:
    server = Shop(JsonStore(path))

    async def endpoint(request: Request) -> Response:
        result = await server.process(await request.body(), {"user_id": request.headers["x-test-user"]})
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(content=result.json, media_type="application/json")

    return endpoint


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    routes = [
        Route(f"/{number}", application(path), methods=["POST"]) for number, path in enumerate(sys.argv[1:])
    ]
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run([listener])
