"""Two users of one server over HTTP: no request of the one reaches what belongs to the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest

from chatkit.files import AttachmentStore
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.types import (
    ChatKitReq,
    ClientToolCallItem,
    FileAttachment,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.web import api_keys, create_app
from chatkit.widgets import Card, Text
from tests.server.support import added, delta, done, user_input
from tests.support.live_server import live_server
from tests.support.scale import scaled

SECRET = "alice's secret"


class Files(AttachmentStore[Any]):
    async def create_attachment(self, input: Any, context: Any) -> Any:
        return FileAttachment(id=new_id("attachment"), name=input.name, mime_type=input.mime_type)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        calls.append(("deleted", attachment_id))


calls: list[Any] = []


class Chat(ChatKitServer[Any]):
    """Answers "wait" with an answer that does not end by itself, anything else with an item of each kind."""

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[Any]:
        calls.append(("respond", context["user_id"]))
        if input_user_message is not None and input_user_message.content[0].text == "wait":
            yield added("", id="msg_running")
            yield delta(SECRET, id="msg_running")
            await asyncio.Event().wait()
        yield done(SECRET, id="msg_1")
        yield ThreadItemDoneEvent(item=WidgetItem(id="wid_1", widget=Card(children=[Text(value=SECRET)])))
        question = StructuredInputFreeform(id="q", question=SECRET)
        yield ThreadItemDoneEvent(item=StructuredInputItem(id="sin_1", inputs=[question]))
        yield ThreadItemDoneEvent(item=ClientToolCallItem(id="tc_1", call_id="c", name="pick", arguments={}))

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        calls.append(("action", context["user_id"]))
        yield done("acted")

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        calls.append(("sync_action", context["user_id"]))
        return SyncCustomActionResponse()

    async def add_feedback(self, *arguments: Any) -> None:
        calls.append(("feedback", arguments))

    async def transcribe(self, audio_input: Any, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text=f"Said by {context['user_id']}")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store[Any]]:
    """Returns a function that makes a store of the kind that the test runs over."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        return lambda: PostgresStore(url)
    return MemoryStore if request.param == "memory" else lambda: SQLiteStore(tmp_path / "chat.db")


def requests_of(thread_id: str, attachment_id: str, turn_id: str) -> dict[str, dict[str, Any]]:
    """Returns, for each type of request, one that names what belongs to alice."""
    thread = {"thread_id": thread_id}
    action = {"item_id": "wid_1", "action": {"type": "go"}}
    message = user_input("Hi", attachments=[attachment_id])
    return {
        "threads.get_by_id": thread,
        "threads.create": {"input": message},
        "threads.list": {},
        "threads.search": {"query": SECRET},
        "threads.add_user_message": thread | {"input": user_input("Hi")},
        "threads.add_client_tool_output": thread | {"result": {}},
        "threads.add_structured_input": thread | {"item_id": "sin_1", "input": {"status": "skipped"}},
        "threads.custom_action": thread | action,
        "threads.sync_custom_action": thread | action,
        "threads.retry_after_item": thread | {"item_id": "msg_1"},
        "threads.update": thread | {"title": "Bob was here"},
        "threads.delete": thread,
        "items.list": thread,
        "items.feedback": thread | {"item_ids": ["msg_1"], "kind": "positive"},
        "attachments.create": {"name": "bob.txt", "size": 1, "mime_type": "text/plain"},
        "attachments.delete": {"attachment_id": attachment_id},
        "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/wav"},
        "turns.stop": thread | {"turn_id": turn_id},
        "turns.resume": thread | {"after": f"{turn_id}:1"},
    }


# What carries no id of another one's works, for oneself.
ANSWERED = {"threads.list", "threads.search", "attachments.create", "input.transcribe"}


async def test_no_request_of_bob_reaches_what_is_alices(make_store: Callable[[], Store[Any]]) -> None:
    calls.clear()
    app = create_app(Chat(make_store(), Files()), context=api_keys({"a-key": "alice", "b-key": "bob"}))
    with live_server(app) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:

            async def ask(
                key: str | None, kind: str, metadata: Any = None, /, **params: Any
            ) -> httpx2.Response:
                return await client.post(
                    "/chatkit",
                    json={"type": kind, "params": params, "metadata": metadata or {}},
                    headers={} if key is None else {"Authorization": f"Bearer {key}"},
                )

            attachment = (
                await ask("a-key", "attachments.create", name=SECRET, size=1, mime_type="text/plain")
            ).json()
            created = await ask(
                "a-key", "threads.create", input=user_input(SECRET, attachments=[attachment["id"]])
            )
            assert created.status_code == 200
            assert SECRET in created.text
            (thread,) = (await ask("a-key", "threads.list")).json()["data"]
            body = {
                "type": "threads.add_user_message",
                "params": {"thread_id": thread["id"], "input": user_input("wait")},
                "metadata": {"resumable": True},
            }
            headers = {"Authorization": "Bearer a-key"}
            async with client.stream("POST", "/chatkit", json=body, headers=headers) as running:
                lines = running.aiter_lines()
                async with asyncio.timeout(scaled(20)):
                    event_id = ""
                    while SECRET not in (line := await anext(lines)):
                        event_id = line[4:] if line.startswith("id: ") else event_id
                turn_id = event_id.rpartition(":")[0]
                before = (await ask("a-key", "items.list", thread_id=thread["id"])).json()
                done_before = list(calls)

                asked = requests_of(thread["id"], attachment["id"], turn_id)
                known = {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds_of(ChatKitReq)}
                assert set(asked) == known, "a new type of request needs a line here"
                for kind, params in asked.items():
                    for key in (None, "c-key"):
                        assert (await ask(key, kind, **params)).status_code == 401
                    for metadata in ({}, {"resumable": True}):
                        answer = await ask("b-key", kind, metadata, **params)
                        assert answer.status_code == (200 if kind in ANSWERED else 404), kind
                        assert SECRET not in answer.text
                        assert thread["id"] not in answer.text
                        assert turn_id not in answer.text
                assert (await ask("b-key", "threads.list")).json()["data"] == []

                assert calls == done_before, "no handler of the application was called"
                assert (await ask("a-key", "items.list", thread_id=thread["id"])).json() == before
                found = (await ask("a-key", "threads.get_by_id", thread_id=thread["id"])).json()
                assert (found.get("title"), found["active_turn"]) == (thread.get("title"), {"id": turn_id})
                stopped = await ask("a-key", "turns.stop", thread_id=thread["id"], turn_id=turn_id)
                assert stopped.json() == {"stopped": [turn_id]}
            for kind in ("attachments.delete", "threads.delete"):
                assert (await ask("a-key", kind, **asked[kind])).status_code == 200


def kinds_of(union: Any) -> list[Any]:
    """Returns the models of a union of unions."""
    arguments = get_args(union)
    if not arguments:
        return [union] if hasattr(union, "model_fields") else []
    return [kind for argument in arguments for kind in kinds_of(argument)]
