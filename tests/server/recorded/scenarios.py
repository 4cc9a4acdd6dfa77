"""What the application is asked: scenarios of requests.

Runs with whichever package provides ``chatkit``.
"""

from __future__ import annotations

from typing import Any

from tests.server.recorded import kinds as _kinds  # noqa: F401 -- its handlers register themselves
from tests.server.recorded.endings import NoHandlers, OwnCancellation
from tests.server.recorded.plain_store import (
    DefaultIdStore,
    DirectFiles,
    FailingStore,
    OwnIdStore,
    PostFiles,
    RereadingStore,
)
from tests.server.recorded.play import MESSAGE, THREAD, Setting, play


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


def leaving(after: int, request: dict[str, Any]) -> dict[str, Any]:
    """A reader that closes the stream after that many frames."""
    return request | {"reader": {"leaves_after": after}}


def cancelled(after: int, request: dict[str, Any]) -> dict[str, Any]:
    """A reader whose task is cancelled after that many frames."""
    return request | {"reader": {"cancelled_after": after}}


def upload(name: str, mime_type: str) -> dict[str, Any]:
    """A file that the page posts to the application itself; no request of the protocol."""
    return {"upload": {"name": name, "mime_type": mime_type}}


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
    "reader_leaves": [leaving(5, create("waits_with_text")), get()],
    "reader_leaves_at_once": [leaving(4, create("waits_with_nothing")), get()],
    "reader_leaves_every_kind": [leaving(10, create("waits_with_every_kind")), get()],
    "cancelled": [cancelled(5, create("waits_with_text")), get(), say("hello"), get()],
    "cancelled_without_text": [cancelled(4, create("waits_with_nothing")), get()],
    "cancelled_every_kind": [cancelled(10, create("waits_with_every_kind")), get()],
    "cancelled_by_handler": [create("cancels_itself"), get()],
    "cancelled_own_way": [cancelled(5, create("waits_with_text")), get()],
    "cancel_not_allowed": [create("hello")],
    "returns_early": [create("returns_early"), get()],
    "hides_by_replacing": [create("hides_by_replacing"), get()],
    "hidden_pages": [
        create("many_hidden"),
        ask("items.list", thread_id=THREAD, limit=2, order="asc"),
        ask("items.list", thread_id=THREAD, limit=2, order="desc", after="msg_shown"),
    ],
    "item_cannot_be_stored": [create("item_cannot_be_stored"), get()],
    "title_cannot_be_stored": [create("title_cannot_be_stored"), get()],
    "removal_cannot_be_stored": [create("removal_cannot_be_stored"), get()],
    "store_breaks": [create("store_breaks"), get(), ask("threads.list"), say("hello")],
    "ids_by_default": [create("ids_of_the_store"), get()],
    "ids_of_its_own": [create("ids_of_the_store"), get(), ask("items.list", thread_id=THREAD, limit=2)],
    "widget_at_once": [create("widget_at_once"), get()],
    "widget_in_versions": [create("widget_in_versions"), get()],
    "widget_breaks_off": [create("widget_breaks_off"), get()],
    "attachments_by_post": [ask("attachments.create", name="a.txt", size=3, mime_type="text/plain")],
    "attachments_direct": [
        upload("a.txt", "text/plain"),
        upload("b.png", "image/png"),
        create("hello", attachments=["atc_a.txt", "atc_b.png"]),
        ask("attachments.delete", attachment_id="atc_b.png"),
        get(),
    ],
    "attachments_direct_announced": [ask("attachments.create", name="a", size=1, mime_type="text/plain")],
    "attachments_not_wanted": [ask("attachments.create", name="a", size=1, mime_type="text/plain")],
    "attachment_deleted_unknown": [ask("attachments.delete", attachment_id="atc_none")],
    "feedback_negative": [
        create("hello"),
        ask("items.feedback", thread_id=THREAD, item_ids=["msg_hello1"], kind="negative"),
    ],
    "transcribe_not_offered": [ask("input.transcribe", audio_base64="AAEC", mime_type="audio/mp4")],
    "feedback_not_wanted": [
        create("hello"),
        ask("items.feedback", thread_id=THREAD, item_ids=["msg_hello1"], kind="positive"),
    ],
    "action_not_handled": [create("widget"), press("threads.custom_action", "go"), get()],
    "sync_action_not_handled": [create("widget"), press("threads.sync_custom_action", "go")],
    "message_to_locked": [create("locks"), say("hello"), get()],
    "message_to_closed": [create("status_and_domains"), say("hello")],
    "message_to_unknown": [
        ask("threads.add_user_message", thread_id="thr_none", input=text("hello")),
        ask("threads.list"),
    ],
    "retry_after_answer": [
        create("hello"),
        ask("threads.retry_after_item", thread_id=THREAD, item_id="msg_hello1"),
    ],
    "retry_after_last": [
        create("hello"),
        ask("threads.retry_after_item", thread_id=THREAD, item_id=MESSAGE),
        get(),
    ],
    "tool_output_unasked": [
        create("hello"),
        ask("threads.add_client_tool_output", thread_id=THREAD, result=1),
    ],
    "answers_to_no_questions": [create("hello"), answer("answered")],
    "every_task": [create("every_task"), get()],
    "every_source": [create("every_source"), get()],
    "every_item_reread": [create("every_item"), get()],
    "widget_of_any_kind": [create("widget_of_any_kind"), get()],
    "widget_of_any_kind_reread": [create("widget_of_any_kind"), get()],
    "title_then_error": [create("title_then_error"), get()],
    "title_too_long": [
        create("hello"),
        ask("threads.update", thread_id=THREAD, title="x" * 1001),
        get(),
    ],
    "limit_too_large": [create("hello"), ask("threads.list", limit=10_000)],
    "renamed_unknown": [ask("threads.update", thread_id="thr_none", title="New")],
    "deleted_unknown": [ask("threads.delete", thread_id="thr_none")],
}

SETTINGS: dict[str, Setting] = {
    "action_not_handled": Setting(server=NoHandlers),
    "attachments_by_post": Setting(files=PostFiles),
    "attachments_direct": Setting(files=DirectFiles),
    "attachments_direct_announced": Setting(files=DirectFiles),
    "attachments_not_wanted": Setting(files=None),
    "cancel_not_allowed": Setting(context={"allow_cancel": False}),
    "cancelled_own_way": Setting(server=OwnCancellation),
    "every_item_reread": Setting(store=RereadingStore),
    "feedback_not_wanted": Setting(server=NoHandlers),
    "ids_by_default": Setting(store=DefaultIdStore),
    "ids_of_its_own": Setting(store=OwnIdStore),
    "item_cannot_be_stored": Setting(store=FailingStore),
    "removal_cannot_be_stored": Setting(store=FailingStore),
    "store_breaks": Setting(store=FailingStore),
    "sync_action_not_handled": Setting(server=NoHandlers),
    "title_cannot_be_stored": Setting(store=FailingStore),
    "transcribe_not_offered": Setting(server=NoHandlers),
    "widget_of_any_kind_reread": Setting(store=RereadingStore),
}
"""What surrounds a scenario, where it is not the plain setting."""


async def play_scenario(name: str) -> list[Any]:
    """Returns the answers of a scenario, then what is in the store."""
    return await play(SCENARIOS[name], SETTINGS.get(name, Setting()))
