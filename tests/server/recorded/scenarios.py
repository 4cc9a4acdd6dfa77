"""What the application is asked: scenarios of requests, and how their answers are recorded.

Runs with whichever package provides ``chatkit``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chatkit.server import StreamingResult
from tests.server.recorded.application import Application
from tests.server.recorded.plain_store import PlainFiles, PlainStore

THREAD = "$thread"
MESSAGE = "$message"


def text(content: str, **rest: Any) -> dict[str, Any]:
    return {
        "content": [{"type": "input_text", "text": content}],
        "attachments": [],
        "inference_options": {},
        **rest,
    }


def create(content: str, **rest: Any) -> dict[str, Any]:
    return {"type": "threads.create", "params": {"input": text(content, **rest)}}


def say(content: str, **rest: Any) -> dict[str, Any]:
    return {
        "type": "threads.add_user_message",
        "params": {"thread_id": THREAD, "input": text(content, **rest)},
    }


def ask(kind: str, /, **params: Any) -> dict[str, Any]:
    return {"type": kind, "params": params}


def get() -> dict[str, Any]:
    return ask("threads.get_by_id", thread_id=THREAD)


def answer(status: str, **answers: Any) -> dict[str, Any]:
    return ask(
        "threads.add_structured_input",
        thread_id=THREAD,
        item_id="sin_1",
        input={"status": status, "answers": answers},
    )


def press(kind: str, action: str, payload: Any = None, item_id: str | None = "wid_1") -> dict[str, Any]:
    return ask(kind, thread_id=THREAD, item_id=item_id, action={"type": action, "payload": payload})


_MANY = [create("hello"), *[say("hello") for _ in range(3)], say("every_item")]

SCENARIOS: dict[str, list[dict[str, Any]]] = {
    "create": [create("hello"), get()],
    "create_with_everything": [
        {
            "type": "threads.create",
            "metadata": {"free": True},
            "params": {
                "input": {
                    "content": [
                        {"type": "input_text", "text": "hello"},
                        {
                            "type": "input_tag",
                            "id": "t1",
                            "text": "@Ada",
                            "data": {"k": 1},
                            "group": "people",
                            "interactive": True,
                        },
                        {"type": "input_tag", "id": "t2", "text": "@Bob", "data": {}},
                    ],
                    "attachments": [],
                    "quoted_text": "as you said",
                    "inference_options": {"tool_choice": {"id": "search"}, "model": "m1"},
                }
            },
        },
        get(),
    ],
    "silence": [create("silence"), get()],
    "second_message": [create("hello"), say("hello", quoted_text="q"), get()],
    "text_stream": [create("text_stream"), get()],
    "side_events": [create("side_events"), get()],
    "every_item": [create("every_item"), get(), ask("items.list", thread_id=THREAD, limit=50, order="asc")],
    "every_update": [create("every_update"), get()],
    "title_at_once": [create("title_at_once"), get()],
    "title_later": [create("title_later"), get()],
    "metadata_in_place": [create("metadata_in_place"), get()],
    "status_and_domains": [create("status_and_domains"), get()],
    "same_title": [create("same_title"), get()],
    "client_tool": [
        create("client_tool"),
        ask("threads.add_client_tool_output", thread_id=THREAD, result={"selected": [1, None, "x"]}),
        get(),
    ],
    "client_tool_twice": [
        create("client_tool"),
        ask("threads.add_client_tool_output", thread_id=THREAD, result=None),
        ask("threads.add_client_tool_output", thread_id=THREAD, result=1),
    ],
    "questions_answered": [
        create("questions"),
        answer("answered", name={"values": ["Ada"]}, one={"values": ["a", "b"]}, many={"values": ["a", "c"]}),
        get(),
    ],
    "questions_partly": [
        create("questions"),
        answer("answered", name={"values": ["Ada"], "skipped": True}, many={"values": []}),
        get(),
    ],
    "questions_skipped": [create("questions"), answer("skipped", name={"values": ["Ada"]}), get()],
    "questions_twice": [create("questions"), answer("skipped"), answer("answered")],
    "widget_replaced": [create("replaced"), get()],
    "removed": [create("removed"), get()],
    "retry": [
        create("hello"),
        say("hello"),
        say("hello"),
        ask("threads.retry_after_item", thread_id=THREAD, item_id=MESSAGE),
        get(),
    ],
    "stream_error": [create("stream_error"), get()],
    "stream_error_without_retry": [create("stream_error_without_retry"), get()],
    "custom_error": [create("custom_error"), get()],
    "plain_error": [create("plain_error"), get()],
    "error_after_partial": [create("error_after_partial"), get()],
    "action": [create("widget"), press("threads.custom_action", "go", {"n": 1}), get()],
    "action_without_item": [create("widget"), press("threads.custom_action", "go", [1], None), get()],
    "action_on_no_widget": [create("hello"), press("threads.custom_action", "go", item_id=MESSAGE)],
    "sync_action": [create("widget"), press("threads.sync_custom_action", "go", {"n": 1}), get()],
    "sync_action_without_change": [create("widget"), press("threads.sync_custom_action", "nothing"), get()],
    "threads": [
        create("hello"),
        create("hello"),
        create("title_at_once"),
        ask("threads.list", limit=2, order="desc"),
        ask("threads.list", limit=2, order="desc", after="thr_3"),
        ask("threads.list", limit=9999, order="asc"),
        ask("threads.list"),
    ],
    "items_down": [
        *_MANY,
        ask("items.list", thread_id=THREAD, limit=3, order="desc", after="end_i11"),
        ask("items.list", thread_id=THREAD, limit=50, order="desc", after="msg_i1"),
    ],
    "items_up": [
        *_MANY,
        ask("items.list", thread_id=THREAD, limit=4, order="asc"),
        ask("items.list", thread_id=THREAD, limit=50, order="asc", after="wid_i2"),
        ask("items.list", thread_id=THREAD),
        get(),
    ],
    "rename": [create("hello"), ask("threads.update", thread_id=THREAD, title="New"), get()],
    "delete": [create("hello"), ask("threads.delete", thread_id=THREAD), ask("threads.list")],
    "feedback": [
        create("hello"),
        ask("items.feedback", thread_id=THREAD, item_ids=["msg_hello1"], kind="positive"),
    ],
    "transcribe": [ask("input.transcribe", audio_base64="AAEC", mime_type="audio/webm;codecs=opus")],
    "attachments": [
        ask("attachments.create", name="a.txt", size=3, mime_type="text/plain"),
        ask("attachments.create", name="b.png", size=3, mime_type="image/png"),
        create("hello", attachments=["atc_a.txt", "atc_b.png"]),
        get(),
        ask("attachments.delete", attachment_id="atc_a.txt"),
    ],
    "unknown_thread": [ask("threads.get_by_id", thread_id="thr_none")],
    "unknown_attachment": [create("hello", attachments=["atc_none"]), ask("threads.list")],
    "unknown_retry": [
        create("hello"),
        ask("threads.retry_after_item", thread_id=THREAD, item_id="msg_none"),
        get(),
    ],
    "unknown_type": [ask("threads.explode")],
    "negative_limit": [create("hello"), ask("threads.list", limit=-1)],
}


async def play(scenario: list[dict[str, Any]]) -> list[Any]:
    """Returns the answers: lists of events, JSON bodies, or the name of what was raised."""
    store = PlainStore()
    server = Application(store, PlainFiles())
    context = {"user_id": "ada"}
    known: dict[str, str] = {}
    answers: list[Any] = []
    for request in scenario:
        body = json.dumps(request)
        for name, value in known.items():
            body = body.replace(f'"{name}"', json.dumps(value))
        answers.append(answer := await _send(server, body, context))
        if isinstance(answer, list):
            for event in answer:
                if event["type"] == "thread.created":
                    known.setdefault(THREAD, event["thread"]["id"])
                if event["type"] == "thread.item.done" and event["item"]["type"] == "user_message":
                    known.setdefault(MESSAGE, event["item"]["id"])
    return normalise(answers)


async def _send(server: Application, body: str, context: dict[str, Any]) -> Any:
    events: list[Any] = []
    try:
        result = await server.process(body, context)
        if not isinstance(result, StreamingResult):
            return json.loads(result.json)
        async for frame in result:
            assert frame.startswith(b"data: ")
            assert frame.endswith(b"\n\n")
            events.append(json.loads(frame[6:]))
    except Exception as error:  # noqa: BLE001 -- what is raised is a fact to record
        return {"raised": type(error).__name__, "sent": len(events)}
    return events


def normalise(value: Any) -> Any:
    """Returns the answers with moments as a placeholder, and made-up ids numbered as they come."""
    names: dict[str, str] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(entry) for entry in value]
        if isinstance(value, dict):
            return {key: "<time>" if key == "created_at" else walk(entry) for key, entry in value.items()}
        if isinstance(value, str):
            kind, _, number = value.rpartition("_")
            if kind in {"thr", "message"} and number.isdigit():
                return names.setdefault(value, f"<{kind} {len(names) + 1}>")
        return value

    return walk(value)


def play_all() -> dict[str, list[Any]]:
    """Returns the answers of every scenario."""
    return {name: asyncio.run(play(scenario)) for name, scenario in SCENARIOS.items()}
