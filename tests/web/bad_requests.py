"""The bad-input table: requests that must be refused, and how.

Ids stand in the requests as ``$name``; ``seed`` makes the things that they name. Owner of what begins with
``bob`` is bob; all requests are alice's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template
from typing import Any

from chatkit.store import Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    ClosedStatus,
    FileAttachment,
    HiddenContextItem,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.widgets import Card, Text

DEEP = 100_000
SIZE_LIMIT = 1_000_000


@dataclass(frozen=True)
class Bad:
    """A request and the answer to it.

    Attributes:
        name: What is wrong.
        body: The request: bytes as they are, anything else as JSON.
        status: Expected HTTP status.
        code: Expected code.
        headers: Sent besides the usual ones.
        at_the_door: Whether only our own endpoints check it; an endpoint that hands every body to
            ``process()`` takes it.
    """

    name: str
    body: Any
    status: int
    code: str
    headers: dict[str, str] | None = None
    at_the_door: bool = False

    def content(self, ids: dict[str, str]) -> bytes:
        """Returns the body with the ids put in."""
        if isinstance(self.body, bytes):
            return self.body
        return Template(json.dumps(self.body)).substitute(ids).encode()


def ask(kind: str, /, **params: Any) -> dict[str, Any]:
    return {"type": kind, "params": params}


def say(text: str = "hello", **changes: Any) -> dict[str, Any]:
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
        **changes,
    }


def raw(request: str) -> bytes:
    return request.encode()


ACTION = {"type": "press", "payload": {}}
FEEDBACK = {"item_ids": [], "kind": "positive"}
HELLO = json.dumps(ask("threads.create", input=say()))
LISTS = [("threads.list", {}), ("items.list", {"thread_id": "$thread"})]


def malformed() -> list[Bad]:
    bodies: dict[str, Any] = {
        "empty body": b"",
        "blank body": b" \n\t ",
        "broken UTF-8": b'{"type":"threads.list","params":{"after":"\xff\xfe"}}',
        "truncated UTF-8": b'{"type":"threads.list","params":{"after":"\xe2\x82"}}',
        "UTF-16": HELLO.encode("utf-16"),
        "truncated JSON": HELLO[:-1].encode(),
        "trailing comma": b'{"type":"threads.list","params":{},}',
        "two documents": (HELLO + HELLO).encode(),
        "single quotes": b"{'type':'threads.list','params':{}}",
        "form encoding": b"type=threads.list&params=",
        "raw NUL": b'{"type":"threads.list\x00","params":{}}',
        "NUL between": b'{"type":"threads.list",\x00"params":{}}',
        "array": [ask("threads.list")],
        "null": None,
        "number": 7,
        "text": "threads.list",
        "boolean": True,
        "empty object": {},
        "no type": {"params": {}},
        "unknown type": ask("threads.explode"),
        "internal name as type": ask("ThreadsListReq"),
        "type of another case": ask("Threads.List"),
        "type with NUL": ask("threads.list\x00"),
        "number as type": {"type": 1, "params": {}},
        "null as type": {"type": None, "params": {}},
        "list as type": {"type": ["threads.list"], "params": {}},
        "number longer than any parser takes": raw(
            '{"type":"threads.list","params":{"limit":' + "9" * 10_000 + "}}"
        ),
        "deep array": b"[" * DEEP,
        "deep closed array": b"[" * DEEP + b"]" * DEEP,
        "deep object": b'{"type":' * DEEP,
        "deep tool output": raw(
            '{"type":"threads.add_client_tool_output","params":{"thread_id":"thr_1","result":'
            + "[" * DEEP + "]" * DEEP + "}}"
        ),
        "deep metadata": raw(
            '{"type":"threads.list","params":{},"metadata":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}"
        ),
    }  # fmt: skip
    return [Bad(name, body, 400, "malformed_request") for name, body in bodies.items()]


def invalid() -> list[Bad]:
    bodies: dict[str, Any] = {
        "no params": {"type": "threads.list"},
        "null as params": {"type": "threads.list", "params": None},
        "list as params": {"type": "threads.list", "params": []},
        "text as params": {"type": "threads.list", "params": "{}"},
        "list as metadata": {**ask("threads.list"), "metadata": []},
        "no thread id": ask("threads.get_by_id"),
        "null as thread id": ask("threads.get_by_id", thread_id=None),
        "number as thread id": ask("threads.get_by_id", thread_id=1),
        "object as thread id": ask("threads.delete", thread_id={"$$ne": None}),
        "list as thread id": ask("threads.delete", thread_id=["$thread"]),
        "no input": ask("threads.create"),
        "no content": ask("threads.create", input={"attachments": []}),
        "text as content": ask("threads.create", input=say(content="hello")),
        "unknown content": ask("threads.create", input=say(content=[{"type": "input_video", "url": "x"}])),
        "content without text": ask("threads.create", input=say(content=[{"type": "input_text"}])),
        "null as text": ask("threads.create", input=say(content=[{"type": "input_text", "text": None}])),
        "number as text": ask("threads.create", input=say(content=[{"type": "input_text", "text": 1}])),
        "tag without id": ask("threads.create", input=say(content=[{"type": "input_tag", "text": "x"}])),
        "numbers as attachments": ask("threads.create", input=say(attachments=[1])),
        "text as inference options": ask("threads.create", input=say(inference_options="fast")),
        "text as tool choice": ask("threads.create", input=say(inference_options={"tool_choice": "x"})),
        "number as quoted text": ask("threads.create", input=say(quoted_text=1)),
        "number as idempotency key": {
            **ask("threads.create", input=say()),
            "metadata": {"idempotency_key": 1},
        },
        "empty idempotency key": {
            **ask("threads.create", input=say()),
            "metadata": {"idempotency_key": ""},
        },
        "long idempotency key": {
            **ask("threads.create", input=say()),
            "metadata": {"idempotency_key": "k" * 256},
        },
        "no title": ask("threads.update", thread_id="$thread"),
        "null as title": ask("threads.update", thread_id="$thread", title=None),
        "list as title": ask("threads.update", thread_id="$thread", title=["x"]),
        "unknown feedback": ask("items.feedback", thread_id="$thread", item_ids=["$answer"], kind="great"),
        "text as item ids": ask("items.feedback", thread_id="$thread", item_ids="$answer", kind="positive"),
        "no tool result": ask("threads.add_client_tool_output", thread_id="$thread"),
        "action without a type": ask("threads.custom_action", thread_id="$thread", action={"payload": {}}),
        "text as action": ask("threads.sync_custom_action", thread_id="$thread", action="press"),
        "number as item id": ask("threads.custom_action", thread_id="$thread", item_id=1, action=ACTION),
        "action of no widget": ask(
            "threads.custom_action", thread_id="$thread", item_id="$answer", action=ACTION
        ),
        "sync action of no widget": ask(
            "threads.sync_custom_action", thread_id="$thread", item_id="$question", action=ACTION
        ),
        "retry of an answer": ask("threads.retry_after_item", thread_id="$thread", item_id="$answer"),
        "retry of a hidden item": ask("threads.retry_after_item", thread_id="$thread", item_id="$hidden"),
        "answers to no questions": ask(
            "threads.add_structured_input", thread_id="$thread", item_id="$answer", input={}
        ),
        "unknown status of answers": ask(
            "threads.add_structured_input", thread_id="$thread", item_id="$form", input={"status": "maybe"}
        ),
        "numbers as answers": ask(
            "threads.add_structured_input",
            thread_id="$thread",
            item_id="$form",
            input={"answers": {"q": {"values": [1]}}},
        ),
        "list as answers": ask(
            "threads.add_structured_input", thread_id="$thread", item_id="$form", input={"answers": []}
        ),
        "negative size": ask("attachments.create", name="a.txt", size=-1, mime_type="text/plain"),
        "text as size": ask("attachments.create", name="a.txt", size="big", mime_type="text/plain"),
        "half a byte": ask("attachments.create", name="a.txt", size=0.5, mime_type="text/plain"),
        "size without end": raw(
            '{"type":"attachments.create","params":{"name":"a","mime_type":"a/b","size":1e400}}'
        ),
        "no name": ask("attachments.create", size=1, mime_type="text/plain"),
        "no base64": ask("input.transcribe", audio_base64="not base64!", mime_type="audio/ogg"),
        "cut off base64": ask("input.transcribe", audio_base64="AAA", mime_type="audio/ogg"),
        "base64 with spaces": ask("input.transcribe", audio_base64="AA AA", mime_type="audio/ogg"),
        "base64 with NUL": ask("input.transcribe", audio_base64="AAAA\x00", mime_type="audio/ogg"),
        "base64 beyond ASCII": ask("input.transcribe", audio_base64="ÄÄÄÄ", mime_type="audio/ogg"),
        "no recording": ask("input.transcribe", mime_type="audio/ogg"),
        "number as turn": ask("turns.stop", thread_id="$thread", turn_id=1),
    }
    for cursor in (
        "nonsense",
        "turn_1:",
        ":5",
        "turn_1:-1",
        "turn_1:x",
        "turn_1:" + "9" * 30,
        "turn_1:\u0663",
        "",
    ):
        bodies[f"resume after {cursor[:12]!r}"] = ask("turns.resume", thread_id="$thread", after=cursor)
    for kind, params in LISTS:
        for limit in (-1, 10_000, 10**30, True, False, "20", 2.5, [], {}):
            bodies[f"{kind}: limit {json.dumps(limit)[:12]}"] = ask(kind, **params, limit=limit)
        bodies[f"{kind}: order"] = ask(kind, **params, order="sideways")
        bodies[f"{kind}: null as order"] = ask(kind, **params, order=None)
        bodies[f"{kind}: number as cursor"] = ask(kind, **params, after=1)
    for number in ("9" * 4000, "1e400", "-1e400", "NaN", "Infinity"):
        bodies[f"limit {number[:12]}"] = raw('{"type":"threads.list","params":{"limit":' + number + "}}")
    bodies |= too_long()
    return [Bad(name, body, 422, "invalid_request") for name, body in bodies.items()]


def too_long() -> dict[str, Any]:
    name, text, payload = "n" * 256, "t" * (256 * 1024 + 1), {"a": "p" * 64 * 1024}
    tag = {"type": "input_tag", "id": "t", "text": "Tag", "data": {}}
    deep = json.loads("[" * 101 + "]" * 101)
    infinite = b'{"type":"threads.add_client_tool_output","params":{"thread_id":"thr_thread","result":[%b]}}'
    values = {
        "id of a thread": ask("threads.get_by_id", thread_id=name),
        "id of an item": ask("threads.retry_after_item", thread_id="$thread", item_id=name),
        "id of an attachment": ask("attachments.delete", attachment_id=name),
        "id of a message's attachment": ask("threads.create", input=say(attachments=[name])),
        "id of a turn": ask("turns.stop", thread_id="$thread", turn_id=name),
        "cursor": ask("threads.list", after="c" * 4097),
        "cursor of items": ask("items.list", thread_id="$thread", after="c" * 4097),
        "title": ask("threads.update", thread_id="$thread", title="t" * 1001),
        "query": ask("threads.search", query="t" * 1001),
        "name of a file": ask("attachments.create", name=name, size=1, mime_type="text/plain"),
        "type of a file": ask("attachments.create", name="a", size=1, mime_type=name),
        "size of a file": ask("attachments.create", name="a", size=2**53, mime_type="text/plain"),
        "type of a recording": ask("input.transcribe", audio_base64="AAAA", mime_type=name),
        "text": ask("threads.create", input=say(text)),
        "texts together": ask(
            "threads.create",
            input=say(content=[{"type": "input_text", "text": text[: len(text) // 2 + 1]}] * 2),
        ),
        "quoted text": ask("threads.create", input=say(quoted_text=text)),
        "list of texts": ask("threads.create", input=say(content=say()["content"] * 1001)),
        "list of attachments": ask("threads.create", input=say(attachments=["$file"] * 1001)),
        "list of items": ask(
            "items.feedback", thread_id="$thread", item_ids=["$answer"] * 1001, kind="positive"
        ),
        "id of a tag": ask("threads.create", input=say(content=[{**tag, "id": name}])),
        "text of a tag": ask("threads.create", input=say(content=[{**tag, "text": "t" * 1001}])),
        "group of a tag": ask("threads.create", input=say(content=[{**tag, "group": name}])),
        "data of a tag": ask("threads.create", input=say(content=[{**tag, "data": payload}])),
        "tool": ask("threads.create", input=say(inference_options={"tool_choice": {"id": name}})),
        "model": ask("threads.create", input=say(inference_options={"model": name})),
        "metadata": {**ask("threads.list"), "metadata": payload},
        "type of an action": ask("threads.custom_action", thread_id="$thread", action={"type": name}),
        "payload": ask("threads.custom_action", thread_id="$thread", action={**ACTION, "payload": payload}),
        "payload of a sync action": ask(
            "threads.sync_custom_action", thread_id="$thread", action={**ACTION, "payload": payload}
        ),
        "answer": ask(
            "threads.add_structured_input",
            thread_id="$thread",
            item_id="$form",
            input={"answers": {"q": {"values": [text]}}},
        ),
        "list of answers": ask(
            "threads.add_structured_input",
            thread_id="$thread",
            item_id="$form",
            input={"answers": {"q": {"values": ["a"] * 1001}}},
        ),
        "map of answers": ask(
            "threads.add_structured_input",
            thread_id="$thread",
            item_id="$form",
            input={"answers": {f"q{number}": {} for number in range(1001)}},
        ),
        "id of a question": ask(
            "threads.add_structured_input",
            thread_id="$thread",
            item_id="$form",
            input={"answers": {name: {}}},
        ),
        "nesting of a tool's result": ask("threads.add_client_tool_output", thread_id="$thread", result=deep),
        "nesting of a payload": ask(
            "threads.custom_action", thread_id="$thread", action={**ACTION, "payload": deep}
        ),
        "nesting of metadata": {**ask("threads.list"), "metadata": {"a": deep}},
        "number": infinite % b"1e999",
        "negative number": infinite % b"-1e999",
        "number that is none": infinite % b"NaN",
        "infinite number": infinite % b"Infinity",
    }
    return {f"too long: {what}": body for what, body in values.items()}


def too_many_values() -> list[Bad]:
    bodies = {
        "contents": b'{"type":"threads.create","params":{"input":{"content":[' + b"1," * 500_000 + b"1]}}}",
        "objects": b'{"type":"threads.create","params":{"input":{"content":[' + b"{}," * 300_000 + b"{}]}}}",
        "texts": b'{"type":"threads.create","params":{"input":{"attachments":['
        + b'"",' * 300_000
        + b'""]}}}',
        "keys": b'{"type":"threads.list","params":{' + b'"a":1,' * 150_000 + b'"a":1}}',
        "metadata": b'{"type":"threads.list","params":{},"metadata":{"a":[' + b"0," * 400_000 + b"0]}}",
        "results": b'{"type":"threads.add_client_tool_output","params":{"result":['
        + b"[]," * 300_000
        + b"0]}}",
        "unknown fields": b'{"type":"threads.list","params":{},"more":[' + b"null," * 150_000 + b"null]}",
    }
    return [Bad(f"too many: {what}", body, 413, "request_too_large") for what, body in bodies.items()]


def on_thread(thread: str, **items: str) -> dict[str, dict[str, Any]]:
    """Returns one request of every type that names a thread."""
    item = items.get("item", "itm_unknown")
    return {
        "threads.get_by_id": ask("threads.get_by_id", thread_id=thread),
        "threads.update": ask("threads.update", thread_id=thread, title="mine now"),
        "threads.delete": ask("threads.delete", thread_id=thread),
        "threads.add_user_message": ask("threads.add_user_message", thread_id=thread, input=say()),
        "threads.retry_after_item": ask(
            "threads.retry_after_item", thread_id=thread, item_id=items.get("question", item)
        ),
        "threads.add_client_tool_output": ask("threads.add_client_tool_output", thread_id=thread, result={}),
        "threads.add_structured_input": ask(
            "threads.add_structured_input", thread_id=thread, item_id=items.get("form", item), input={}
        ),
        "threads.custom_action": ask("threads.custom_action", thread_id=thread, action=ACTION),
        "threads.custom_action of a widget": ask(
            "threads.custom_action", thread_id=thread, item_id=items.get("widget", item), action=ACTION
        ),
        "threads.sync_custom_action": ask("threads.sync_custom_action", thread_id=thread, action=ACTION),
        "threads.sync_custom_action of a widget": ask(
            "threads.sync_custom_action", thread_id=thread, item_id=items.get("widget", item), action=ACTION
        ),
        "items.list": ask("items.list", thread_id=thread),
        "items.feedback": ask("items.feedback", thread_id=thread, **FEEDBACK),
        "turns.stop": ask("turns.stop", thread_id=thread),
        "turns.stop of a turn": ask("turns.stop", thread_id=thread, turn_id="$bob_turn"),
        "turns.resume": ask("turns.resume", thread_id=thread),
        "turns.resume after an event": ask("turns.resume", thread_id=thread, after="$bob_turn:1"),
    }


def missing() -> list[Bad]:
    bodies: dict[str, Any] = {}
    for name, request in on_thread("thr_unknown").items():
        bodies[f"unknown thread: {name}"] = request
    for name, request in on_thread(
        "$bob_thread", question="$bob_question", form="$bob_form", widget="$bob_widget"
    ).items():
        bodies[f"another owner's thread: {name}"] = request
    for name, request in on_thread("thr_\x00\x1f'; DROP TABLE threads; --").items():
        bodies[f"odd thread id: {name}"] = request
    bodies["lone surrogate in an id"] = raw('{"type":"threads.get_by_id","params":{"thread_id":"\\ud800"}}')
    bodies["lone low surrogate in an id"] = raw(
        '{"type":"threads.get_by_id","params":{"thread_id":"\\udc00"}}'
    )
    bodies |= {
        "NUL as cursor of threads": ask("threads.list", after="thr_\0"),
        "NUL as cursor of items": ask("items.list", thread_id="$thread", after="itm_\0"),
        "NUL in an item to retry": ask("threads.retry_after_item", thread_id="$thread", item_id="itm_\0"),
        "NUL in items": ask("items.feedback", thread_id="$thread", item_ids=["itm_\0"], kind="positive"),
        "NUL in a form": ask("threads.add_structured_input", thread_id="$thread", item_id="\0", input={}),
        "NUL in a widget": ask("threads.custom_action", thread_id="$thread", item_id="\0", action=ACTION),
        "NUL in an attachment": ask("attachments.delete", attachment_id="atc_\0"),
        "NUL in a message's attachment": ask("threads.create", input=say(attachments=["\0"])),
        "NUL in a turn": ask("turns.stop", thread_id="$thread", turn_id="\0"),
    }
    for whose, item in {
        "unknown": "itm_unknown",
        "another owner's": "$bob_question",
        "another thread's": "$locked_question",
    }.items():
        bodies |= {
            f"{whose} item: retry": ask("threads.retry_after_item", thread_id="$thread", item_id=item),
            f"{whose} item: feedback": ask(
                "items.feedback", thread_id="$thread", item_ids=["$answer", item], kind="negative"
            ),
            f"{whose} item: cursor": ask("items.list", thread_id="$thread", after=item),
        }
    for whose, owner in {"unknown": "unknown", "another owner's": "$bob"}.items():
        bodies |= {
            f"{whose} form": ask(
                "threads.add_structured_input", thread_id="$thread", item_id=f"{owner}_form", input={}
            ),
            f"{whose} widget": ask(
                "threads.custom_action", thread_id="$thread", item_id=f"{owner}_widget", action=ACTION
            ),
            f"{whose} widget, sync": ask(
                "threads.sync_custom_action", thread_id="$thread", item_id=f"{owner}_widget", action=ACTION
            ),
            f"{whose} thread as cursor": ask("threads.list", after=f"{owner}_thread"),
            f"{whose} attachment: delete": ask("attachments.delete", attachment_id=f"{owner}_file"),
            f"{whose} attachment: new thread": ask(
                "threads.create", input=say(attachments=["$file", f"{owner}_file"])
            ),
            f"{whose} attachment: message": ask(
                "threads.add_user_message", thread_id="$thread", input=say(attachments=[f"{owner}_file"])
            ),
        }
    return [Bad(name, body, 404, "not_found") for name, body in bodies.items()]


def conflicts() -> list[Bad]:
    table: list[Bad] = []
    for state in ("locked", "closed"):
        thread, question = f"${state}_thread", f"${state}_question"
        table += [
            Bad(f"message to a {state} thread", ask("threads.add_user_message", thread_id=thread, input=say()),
                409, f"thread_{state}"),
            Bad(f"retry in a {state} thread",
                ask("threads.retry_after_item", thread_id=thread, item_id=question), 409, f"thread_{state}"),
        ]  # fmt: skip
    return [
        *table,
        Bad("output for no call", ask("threads.add_client_tool_output", thread_id="$thread", result={}),
            409, "conflict"),
        Bad("answers for the second time",
            ask("threads.add_structured_input", thread_id="$thread", item_id="$answered_form", input={}),
            409, "conflict"),
        Bad("no turn to resume", ask("turns.resume", thread_id="$thread"), 404, "turn_not_found"),
        Bad("unknown turn to resume", ask("turns.resume", thread_id="$thread", after="turn_unknown:3"),
            404, "turn_not_found"),
        Bad("another owner's turn in one's own thread",
            ask("turns.resume", thread_id="$thread", after="$bob_turn:1"), 404, "turn_not_found"),
        Bad("action that nobody handles", ask("threads.custom_action", thread_id="$thread", action=ACTION),
            501, "not_implemented"),
        Bad("sync action that nobody handles",
            ask("threads.sync_custom_action", thread_id="$thread", item_id="$widget", action=ACTION),
            501, "not_implemented"),
        Bad("dictation that nobody takes",
            ask("input.transcribe", audio_base64="AAAA", mime_type="audio/ogg"), 501, "not_implemented"),
    ]  # fmt: skip


def at_the_door() -> list[Bad]:
    types = ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
             "application/xml", ""]  # fmt: skip
    return [
        Bad("too large", b" " * (SIZE_LIMIT + 1), 413, "request_too_large", at_the_door=True),
        Bad("too large an audio", ask("input.transcribe", audio_base64="A" * SIZE_LIMIT, mime_type="audio/ogg"),
            413, "request_too_large", at_the_door=True),
        *(
            Bad(f"media type {kind!r}", ask("threads.create", input=say()), 415, "unsupported_media_type",
                {"Content-Type": kind}, at_the_door=True)
            for kind in types
        ),
    ]  # fmt: skip


TABLE = [*malformed(), *invalid(), *too_many_values(), *missing(), *conflicts(), *at_the_door()]


async def seed(store: Store[Any], owners: tuple[str, str] = ("alice", "bob")) -> dict[str, str]:
    """Stores the things that the table names for two owners, and returns their ids by name."""
    ids: dict[str, str] = {}
    for owner, prefix in zip(owners, ("", "bob_"), strict=True):
        context = {"user_id": owner}

        async def thread(
            name: str, items: dict[str, ThreadItem], context: Any = context, **fields: Any
        ) -> None:
            thread_id = f"thr_{name}"
            ids[name] = thread_id
            await store.save_thread(ThreadMetadata(id=thread_id, title=name, **fields), context)
            for item_name, item in items.items():
                item.id, item.thread_id = f"itm_{item_name}", thread_id
                ids[item_name] = item.id
                await store.add_thread_item(thread_id, item, context)

        await thread(
            f"{prefix}thread",
            {
                f"{prefix}question": question(),
                f"{prefix}answer": AssistantMessageItem(
                    id="", thread_id="", content=[AssistantMessageContent(text="An answer.")]
                ),
                f"{prefix}hidden": HiddenContextItem(id="", thread_id="", content="not for clients"),
                f"{prefix}widget": WidgetItem(id="", thread_id="", widget=Card(children=[Text(value="Hi")])),
                f"{prefix}form": form("pending"),
                f"{prefix}answered_form": form("answered"),
                f"{prefix}call": ClientToolCallItem(
                    id="", thread_id="", call_id="c", name="locate", arguments={}, status="completed"
                ),
            },
        )
        await thread(
            f"{prefix}locked_thread",
            {f"{prefix}locked_question": question()},
            status=LockedStatus(reason="Wait."),
        )
        await thread(
            f"{prefix}closed_thread", {f"{prefix}closed_question": question()}, status=ClosedStatus()
        )
        ids[f"{prefix}file"] = f"atc_{prefix}file"
        attachment = FileAttachment(id=ids[f"{prefix}file"], name="a.txt", mime_type="text/plain")
        await store.save_attachment(attachment, context)
    return ids


def question() -> UserMessageItem:
    return UserMessageItem(id="", thread_id="", content=[UserMessageTextContent(text="A question?")])


def form(status: Any) -> StructuredInputItem:
    inputs = [StructuredInputFreeform(id="q", question="Why?")]
    return StructuredInputItem(id="", thread_id="", status=status, inputs=inputs)
