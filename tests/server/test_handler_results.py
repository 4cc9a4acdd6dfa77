"""What handlers and other methods of an application may return and yield, and what it is told otherwise."""

from __future__ import annotations

import asyncio
import base64
import logging
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from chatkit.errors import InvalidEventError, InvalidResultError
from chatkit.server import ChatKitServer, stream_widget
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ErrorEvent,
    HiddenContextItem,
    NoticeEvent,
    Page,
    StreamOptionsEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadUpdatedEvent,
    TranscriptionResult,
)
from chatkit.widgets import Card
from tests.server.support import ADA, ScriptedServer, answer, decode, done, drain, events, message
from tests.support.scale import examples


class Telling(ScriptedServer):
    """Keeps what a failed turn was told."""

    error: Exception | None = None

    async def handle_stream_error(
        self, thread: Any, pending_items: Any, error: Exception, context: Any
    ) -> None:
        self.error = error
        await super().handle_stream_error(thread, pending_items, error, context)


def yielding(*values: Any) -> Any:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for value in values:
            yield value

    return script


class Own(BaseModel):
    type: str = "own"
    number: int | None = 1
    nothing: str | None = None


class Indented(Own):
    def model_dump_json(self, **options: Any) -> str:
        return super().model_dump_json(indent=1, **options)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Own(), {"type": "own", "number": 1}),
        (Indented(), {"type": "own", "number": 1}),
        (
            AssistantMessageContentPartTextDelta(content_index=0, delta="x"),
            {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": "x"},
        ),
    ],
)
async def test_other_models_pass_through(value: Any, sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = Telling(yielding(done("before"), value, value, done("after", "msg_2")))
    with caplog.at_level(logging.WARNING):
        shown = await events(await server.create())
    assert shown[3:] == [shown[3], sent, sent, shown[6]]
    assert [shown[n]["type"] for n in (3, 6)] == ["thread.item.done"] * 2
    assert len([record for record in caplog.records if "which is no event" in record.message]) <= 1


async def test_what_passes_through_shows_nothing_that_is_hidden() -> None:
    secret = HiddenContextItem(id="h", content="SECRET")
    thread = ThreadMetadata(id="t", metadata={"key": "SECRET"})
    server = Telling(yielding(Page[ThreadItem](data=[secret, message("shown")]), thread, Page(data=[thread])))
    frames = await drain(await server.create())
    assert len(frames) == 6
    assert b"SECRET" not in b"".join(frames)


async def test_a_turn_with_what_passes_through_can_be_resumed() -> None:
    server = Telling(yielding(done("before"), Own(), done("after", "msg_2")))
    result = await server.create("Hi", None, {"resumable": True})
    frames = await drain(result)
    again = await drain(await server.send("turns.resume", ADA, thread_id=result.thread_id))
    assert [event["item"]["id"] for event in decode(again) if "item" in event][1:] == ["msg_1", "msg_2"]
    assert decode(frames)[4] == {"type": "own", "number": 1}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, "yielded None"),
        (lambda: b"Hello", "yielded bytes.*Yield its events"),
        (lambda: message("Hi"), "AssistantMessageItem.*ThreadItemDoneEvent"),
        (lambda: {"type": "notice"}, "yielded a dict.*event object"),
        (lambda: [done("x")], "yielded a list.*for event in"),
        (lambda: (one for one in [done("x")]), "yielded a generator.*for event in"),
        (
            lambda: stream_widget(ThreadMetadata(id="t"), Card(children=[])),
            "yielded an asynchronous generator.*async for event in",
        ),
        (lambda: asyncio.sleep(0), "not awaited.*Await it"),
        (lambda: RootModel[int](3), "RootModel"),
        (lambda: NoticeEvent, "the class NoticeEvent"),
        (lambda: 3, "object of type int"),
    ],
)
async def test_what_no_handler_may_yield(make: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("before")
        yield make()

    server = Telling(script)
    shown = await events(await server.create())
    assert shown[-1]["type"] == "error"
    assert shown[-2]["item"]["content"][0]["text"] == "before"
    assert type(server.error) is InvalidEventError
    with pytest.raises(InvalidEventError, match=f"(?s)Telling.respond\\(\\).*{words}"):
        raise server.error
    assert "Telling.respond" in caplog.text


class Weird:
    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            # Asked for by the library that makes the values, too.
            return Weird
        raise RuntimeError(name)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.builds(object))
    | st.sampled_from([Own(), Card(children=[]), Exception("x"), len, int, Own(number=3), RootModel[str]("")])
    | st.builds(Weird)
    | st.builds(lambda text: Own.model_construct(number=text), st.text() | st.builds(object)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
CONSTRUCTED = st.builds(
    lambda kind, **fields: kind.model_construct(**fields),
    st.sampled_from(
        [
            ThreadItemAddedEvent,
            ThreadItemDoneEvent,
            ThreadItemReplacedEvent,
            ThreadItemRemovedEvent,
            ThreadItemUpdatedEvent,
            ThreadUpdatedEvent,
            StreamOptionsEvent,
            NoticeEvent,
            ErrorEvent,
        ]
    ),
    item=ANYTHING | st.just(message("x")),
    item_id=ANYTHING | st.just("msg_1"),
    id=ANYTHING,
    update=ANYTHING,
    delta=ANYTHING,
    thread=ANYTHING,
    stream_options=ANYTHING,
    level=ANYTHING,
)


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING | CONSTRUCTED)
def test_anything_passes_or_is_told(value: Any) -> None:
    async def scenario() -> None:
        server = Telling(yielding(done("before", "first"), value))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            result = await server.create()
            shown = await events(result)
        assert shown[3]["item"]["content"][0]["text"] == "before"
        assert server.error is None or isinstance(server.error, InvalidEventError)
        removed = {event["item_id"] for event in shown if event["type"] == "thread.item.removed"}
        stored = [item.id for item in await server.items(result.thread_id)]
        assert "first" in stored or "first" in removed

    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(scenario())
    finally:
        logging.disable(logging.NOTSET)


# What a handler returns.


def sync_generator(thread: Any, message: Any, context: Any) -> Any:
    yield done("x")


async def nothing(thread: Any, message: Any, context: Any) -> Any:
    return None


async def a_list(thread: Any, message: Any, context: Any) -> Any:
    return [done("x")]


async def agen() -> AsyncIterator[Any]:
    yield done("Hello")


async def returns_agen(thread: Any, message: Any, context: Any) -> Any:
    return agen()


class Iterator:
    def __aiter__(self) -> Any:
        return agen()


class SyncNext:
    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return done("x")


class NoIterator:
    def __aiter__(self) -> Any:
        return [1]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (sync_generator, "a generator, not an asynchronous generator. Write 'async def' instead of 'def'"),
        (nothing, "returned None"),
        (a_list, "a list.*one by one"),
        (lambda *given: None, "returned None"),
        (lambda *given: [done("x")], "a list.*one by one"),
        (lambda *given: "Hello", "a string.*Write it as 'async def'"),
        (lambda *given: done("x"), "ThreadItemDoneEvent"),
        (lambda *given: SyncNext(), "__anext__"),
        (lambda *given: NoIterator(), "__aiter__"),
        (lambda *given: nothing, "function"),
    ],
)
async def test_what_no_handler_may_return(script: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Telling(script)
    shown = await events(await server.create())
    assert shown[-1]["type"] == "error"
    assert isinstance(server.error, InvalidResultError)
    with pytest.raises(InvalidResultError, match=f"(?s)Telling.respond.*{words}"):
        raise server.error
    assert "Telling.respond" in caplog.text
    assert "'await' expression" not in caplog.text


@pytest.mark.parametrize("script", [returns_agen, lambda *given: agen(), lambda *given: Iterator()])
async def test_what_a_handler_may_return(script: Any) -> None:
    shown = await events(await Telling(script).create())
    assert shown[-1]["item"]["content"][0]["text"] == "Hello"


async def test_an_action_that_returns_nothing() -> None:
    class Acting(Telling):
        def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return None

    server = Acting()
    thread_id = await server.new_thread()
    await server.ask("threads.custom_action", thread_id=thread_id, action={"type": "x", "payload": {}})
    assert "Acting.action() returned None" in str(server.error)


# Other methods.


def server_with(**methods: Any) -> Any:
    return type("Own", (Telling,), methods)()


async def generator_method(self: Any, *given: Any) -> Any:
    yield 1


REQUESTS: dict[str, Any] = {
    "add_feedback": ("items.feedback", {"item_ids": ["msg_1"], "kind": "positive"}),
    "transcribe": (
        "input.transcribe",
        {"audio_base64": base64.b64encode(b"x").decode(), "mime_type": "audio/webm"},
    ),
    "sync_action": ("threads.sync_custom_action", {"action": {"type": "x", "payload": {}}}),
    "get_stream_options": (
        "threads.add_user_message",
        {"input": {"content": [{"type": "input_text", "text": "Hi"}]}},
    ),
}


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        ("add_feedback", generator_method, "is a generator"),
        ("transcribe", lambda *given: "text", "a string.*TranscriptionResult"),
        ("transcribe", generator_method, "is a generator"),
        ("sync_action", lambda *given: {"a": 1}, "a dict.*SyncCustomActionResponse"),
        ("sync_action", generator_method, "is a generator"),
        ("get_stream_options", lambda *given: None, "None.*StreamOptions"),
        ("get_stream_options", generator_method, "is a generator"),
    ],
)
async def test_what_other_methods_must_not_return(name: str, method: Any, words: str) -> None:
    server = server_with(**{name: method})
    thread_id = await plain_thread(server)
    kind, params = REQUESTS[name]
    with pytest.raises(InvalidResultError, match=f"(?s)Own.*{words}"):
        await server.send(kind, **_for(kind, thread_id, params))


def _for(kind: str, thread_id: str, params: dict[str, Any]) -> dict[str, Any]:
    return params if kind == "input.transcribe" else {"thread_id": thread_id, **params}


async def plain_thread(server: Any) -> str:
    plain = ScriptedServer(store=server.store)
    thread_id = await plain.new_thread()
    plain.script = yielding(done("x"))
    await drain(await plain.say(thread_id))
    return thread_id


@pytest.mark.parametrize("is_async", [False, True])
async def test_methods_with_and_without_async(is_async: bool) -> None:
    def method(result: Any) -> Any:
        async def with_async(self: Any, *given: Any) -> Any:
            return result

        return with_async if is_async else lambda self, *given: result

    server = server_with(
        add_feedback=method(None),
        transcribe=method(TranscriptionResult(text="said")),
        sync_action=method(None),
        get_stream_options=method({"allow_cancel": False}),
        handle_stream_cancelled=method(None),
    )
    thread_id = await plain_thread(server)
    for kind, params in REQUESTS.values():
        result = await answer(await server.send(kind, **_for(kind, thread_id, params)))
        if kind == "input.transcribe":
            assert result == {"text": "said"}
        if kind == "threads.add_user_message":
            assert result[1]["stream_options"] == {"allow_cancel": False}


async def test_a_hook_without_async_keeps_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Any] = []

    class Sync(ScriptedServer):
        def handle_stream_error(self, thread: Any, pending_items: Any, error: Any, context: Any) -> Any:
            kept.extend(pending_items)

    async def failing(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=globals()["message"]("half"))
        raise RuntimeError("no")

    shown = await events(await Sync(failing, MemoryStore()).create())
    assert [item.id for item in kept] == ["msg_1"]
    assert shown[-1]["type"] == "error"
    assert "failed" in caplog.text
    assert "'await' expression" not in caplog.text


async def test_a_context_that_is_no_json() -> None:
    class Dumping(ScriptedServer):
        async def dump_context(self, context: Any) -> Any:
            return {}

    server = Dumping(rerun_on_crash=1)
    with pytest.raises(InvalidResultError, match=r"Dumping\.dump_context"):
        await server.create("Hi", None, {"resumable": True})


def test_the_base_class_is_what_is_told_of() -> None:
    assert issubclass(InvalidResultError, TypeError)
    assert issubclass(InvalidEventError, ValueError)
    assert ChatKitServer is not None
