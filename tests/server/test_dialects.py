"""Both spellings of events and handlers make the same frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.actions import Action
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ErrorEvent,
    HiddenContextItem,
    NoticeEvent,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    SyncCustomActionResponse,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import ScriptedServer, added, answer, events, hello, progress, texts
from tests.support.scale import scaled


async def frames_of(*yielded: Any) -> list[Any]:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for event in yielded:
            yield event

    found = await events(await ScriptedServer(script).create())
    for event in found:
        if "item" in event:
            del event["item"]["created_at"], event["item"]["thread_id"]
    return found[3:]


MESSAGE = AssistantMessageItem(id="m", content=[])
TWO = AssistantMessageItem(id="m", content=[TextContent(type="text", text="a"), TextContent(text="b")])

PAIRS: list[tuple[list[Any], list[Any], list[Any]]] = [
    (
        [ProgressUpdateEvent(message="Searching")],
        [ProgressUpdateEvent(text="Searching")],
        [{"type": "progress_update", "text": "Searching"}],
    ),
    (
        [ErrorEvent(message="Slow down", code="rate_limit", retryable=True)],
        [ErrorEvent(message="Slow down", code="custom", reason="rate_limit", allow_retry=True)],
        [
            {
                "type": "error",
                "code": "custom",
                "message": "Slow down",
                "allow_retry": True,
                "reason": "rate_limit",
            }
        ],
    ),
    (
        [ErrorEvent(code="stream.error", retryable=False)],
        [ErrorEvent(code="stream.error")],
        [{"type": "error", "code": "stream.error", "allow_retry": False}],
    ),
    (
        [ClientEffectEvent(type="open_dialog", payload={"id": 1})],
        [ClientEffectEvent(name="open_dialog", data={"id": 1})],
        [{"type": "client_effect", "name": "open_dialog", "data": {"id": 1}}],
    ),
    (
        [StreamOptionsEvent(allow_cancel=False)],
        [StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=False))],
        [{"type": "stream_options", "stream_options": {"allow_cancel": False}}],
    ),
    (
        [
            ThreadItemAddedEvent(item=MESSAGE),
            ThreadItemUpdatedEvent(id="m", delta=TextDelta(type="text_delta", text="Hel")),
            ThreadItemUpdatedEvent(id="m", delta=TextDelta(text="lo")),
            ThreadItemDoneEvent(id="m"),
        ],
        [
            ThreadItemAddedEvent(item=MESSAGE),
            ThreadItemUpdatedEvent(
                item_id="m",
                update=AssistantMessageContentPartAdded(
                    content_index=0, content=AssistantMessageContent(text="")
                ),
            ),
            ThreadItemUpdatedEvent(
                item_id="m", update=AssistantMessageContentPartTextDelta(content_index=0, delta="Hel")
            ),
            ThreadItemUpdatedEvent(
                item_id="m", update=AssistantMessageContentPartTextDelta(content_index=0, delta="lo")
            ),
            ThreadItemDoneEvent(
                item=AssistantMessageItem(id="m", content=[AssistantMessageContent(text="Hello")])
            ),
        ],
        [
            {"type": "thread.item.added", "item": {"type": "assistant_message", "id": "m", "content": []}},
            {
                "type": "thread.item.updated",
                "item_id": "m",
                "update": {
                    "type": "assistant_message.content_part.added",
                    "content_index": 0,
                    "content": {"type": "output_text", "text": "", "annotations": []},
                },
            },
            *(
                {
                    "type": "thread.item.updated",
                    "item_id": "m",
                    "update": {
                        "type": "assistant_message.content_part.text_delta",
                        "content_index": 0,
                        "delta": text,
                    },
                }
                for text in ("Hel", "lo")
            ),
            {
                "type": "thread.item.done",
                "item": {
                    "type": "assistant_message",
                    "id": "m",
                    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
                },
            },
        ],
    ),
    (
        [ThreadItemAddedEvent(item=TWO), ThreadItemRemovedEvent(id="m")],
        [ThreadItemAddedEvent(item=TWO), ThreadItemRemovedEvent(item_id="m")],
        [
            {
                "type": "thread.item.added",
                "item": {
                    "type": "assistant_message",
                    "id": "m",
                    "content": [
                        {"type": "output_text", "text": "a", "annotations": []},
                        {"type": "output_text", "text": "b", "annotations": []},
                    ],
                },
            },
            {"type": "thread.item.removed", "item_id": "m"},
        ],
    ),
    (
        [ThreadItemReplacedEvent(id="m", item=MESSAGE)],
        [ThreadItemReplacedEvent(item=MESSAGE)],
        [{"type": "thread.item.replaced", "item": {"type": "assistant_message", "id": "m", "content": []}}],
    ),
]


@pytest.mark.parametrize(("reference", "known", "expected"), PAIRS)
async def test_both_spellings_make_the_same_frames(
    reference: list[Any], known: list[Any], expected: list[Any]
) -> None:
    assert await frames_of(*reference) == expected
    assert await frames_of(*known) == expected


async def test_a_delta_appends_to_the_last_part_of_an_earlier_turns_message() -> None:
    server = ScriptedServer(hello, persist_item_updates=True)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]

    async def more(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemUpdatedEvent(id="msg_1", delta=TextDelta(text=" And more."))

    server.script = more
    found = await events(await server.say(thread_id))
    assert found[-1]["update"]["delta"] == " And more."
    assert texts(await server.items(thread_id)) == ["Hello! And more."]
    server.persist_item_updates = False
    await events(await server.say(thread_id))
    assert texts(await server.items(thread_id)) == ["Hello! And more."]


@pytest.mark.parametrize(
    "event",
    [
        ThreadItemDoneEvent(id="unknown"),
        ThreadItemUpdatedEvent(id="unknown", delta=TextDelta(text="x")),
        ThreadItemUpdatedEvent(item_id="unknown"),
        b"bytes",
        None,
    ],
)
async def test_an_event_that_cannot_be_is_an_error_event(event: Any) -> None:
    found = await frames_of(progress(), event, progress("never"))
    assert found == [
        {"type": "progress_update", "text": "..."},
        {"type": "error", "code": "stream.error", "allow_retry": True},
    ]


async def test_a_hidden_item_leaves_in_no_event() -> None:
    hidden = HiddenContextItem(id="h", content="secret")
    found = await frames_of(
        ThreadItemAddedEvent(item=hidden),
        ThreadItemDoneEvent(item=hidden),
        ThreadItemReplacedEvent(item=hidden),
        ThreadItemAddedEvent(item=MESSAGE),
        ThreadItemReplacedEvent(item=HiddenContextItem(id="m", content="secret")),
        ThreadItemDoneEvent(id="m"),
        ThreadItemRemovedEvent(item_id="h"),
        NoticeEvent(level="info", message="end"),
    )
    assert [event["type"] for event in found] == ["thread.item.added", "thread.item.removed", "notice"]
    assert "secret" not in str(found)


# Handlers of actions.


async def press(server: ScriptedServer, kind: str = "threads.custom_action") -> Any:
    thread_id = await server.new_thread()
    widget = WidgetItem(id="wid_1", thread_id=thread_id, widget=Card(children=[Text(value="Hi")]))
    await server._chatkit_store().add_thread_item(thread_id, widget, {"user_id": "ada"})
    async with asyncio.timeout(scaled(10)):
        return await answer(
            await server.send(
                kind,
                thread_id=thread_id,
                item_id="wid_1",
                action={"type": "go", "payload": {"n": 1}},
            )
        )


def note(*values: Any) -> Any:
    def show(value: Any) -> str:
        if isinstance(value, Action):
            return f"action {value.type} {value.payload}"
        if isinstance(value, dict):
            return f"{value}"
        return f"{type(value).__name__}"

    return progress("|".join(map(show, values)))


class KnownOrder(ScriptedServer):
    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        yield note(thread, action, sender, context)


class KnownOrderUnderscored(ScriptedServer):
    async def action(self, thread: Any, action: Any, _sender: Any, _context: Any) -> AsyncIterator[Any]:
        yield note(thread, action, _sender, _context)


class KnownOrderOtherNames(ScriptedServer):
    async def action(self, t: Any, a: Any, s: Any, c: Any) -> AsyncIterator[Any]:
        yield note(t, a, s, c)


class KnownOrderStar(ScriptedServer):
    async def action(self, *args: Any) -> AsyncIterator[Any]:
        yield note(*args)


class KnownOrderWithExtra(ScriptedServer):
    async def action(
        self, thread: Any, action: Any, sender: Any, context: Any, retries: int = 3
    ) -> AsyncIterator[Any]:
        assert retries == 3
        yield note(thread, action, sender, context)


class KnownOrderExtraInFront(ScriptedServer):
    async def action(
        self, thread: Any, extra: int = 3, *, action: Any, sender: Any, context: Any
    ) -> AsyncIterator[Any]:
        assert extra == 3
        yield note(thread, action, sender, context)


class KnownOrderFewer(ScriptedServer):
    async def action(self, thread: Any, action: Any, **rest: Any) -> AsyncIterator[Any]:
        yield note(thread, action, WidgetItem.model_construct(), {"user_id": "ada"})


class KnownOrderPlain(ScriptedServer):
    def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        async def found() -> AsyncIterator[Any]:
            yield note(thread, action, sender, context)

        return found()


class KnownOrderCoroutine(KnownOrderPlain):
    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        return super().action(thread, action, sender, context)


class KnownOrderPositionalOnly(ScriptedServer):
    async def action(self, thread: Any, action: Any, sender: Any, context: Any, /) -> AsyncIterator[Any]:
        yield note(thread, action, sender, context)


class ReferenceOrder(ScriptedServer):
    async def action(self, thread: Any, action_type: str, payload: Any, context: Any) -> AsyncIterator[Any]:
        yield note(thread, Action(type=action_type, payload=payload), WidgetItem.model_construct(), context)


class ReferenceOrderUnderscored(ScriptedServer):
    async def action(self, _thread: Any, action_type: str, payload: Any, _context: Any) -> AsyncIterator[Any]:
        yield note(_thread, Action(type=action_type, payload=payload), WidgetItem.model_construct(), _context)


class ReferenceOrderOtherNames(ScriptedServer):
    async def action(self, chat: Any, action_type: str, data: Any, request: Any) -> AsyncIterator[Any]:
        yield note(chat, Action(type=action_type, payload=data), WidgetItem.model_construct(), request)


class ReferenceKeywordOnly(ScriptedServer):
    async def action(
        self, *, context: Any, payload: Any, action_type: str, thread: Any, sender: Any
    ) -> AsyncIterator[Any]:
        yield note(thread, Action(type=action_type, payload=payload), sender, context)


@pytest.mark.parametrize(
    "server",
    [
        KnownOrder,
        KnownOrderCoroutine,
        KnownOrderExtraInFront,
        KnownOrderFewer,
        KnownOrderOtherNames,
        KnownOrderPlain,
        KnownOrderPositionalOnly,
        KnownOrderStar,
        KnownOrderUnderscored,
        KnownOrderWithExtra,
        ReferenceKeywordOnly,
        ReferenceOrder,
        ReferenceOrderOtherNames,
        ReferenceOrderUnderscored,
    ],
)
async def test_actions_in_every_spelling(server: type[ScriptedServer]) -> None:
    expected = "ThreadMetadata|action go {'n': 1}|WidgetItem|{'user_id': 'ada'}"
    assert await press(server()) == [
        {"type": "stream_options", "stream_options": {"allow_cancel": True}},
        {"type": "progress_update", "text": expected},
    ]


async def test_a_missing_payload_is_an_empty_one_in_the_references_spelling() -> None:
    server = ReferenceOrder()
    thread_id = await server.new_thread()
    found = await server.ask("threads.custom_action", thread_id=thread_id, action={"type": "go"})
    assert "action go {}" in found[1]["text"]


class SyncReference(ScriptedServer):
    def sync_action(self, thread: Any, action_type: str, payload: Any, context: Any) -> Any:
        assert (action_type, payload) == ("go", {"n": 1})
        return SyncCustomActionResponse()


class SyncCoroutine(ScriptedServer):
    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        assert (action.type, sender.id) == ("go", "wid_1")
        return SyncCustomActionResponse()


class SyncNothing(ScriptedServer):
    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        return None


@pytest.mark.parametrize("server", [SyncReference, SyncCoroutine, SyncNothing])
async def test_sync_actions_in_every_spelling(server: type[ScriptedServer]) -> None:
    assert await press(server(), "threads.sync_custom_action") == {}


# respond().


class Iterator:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = ["one", "two"]

    def __aiter__(self) -> Iterator:
        return self

    async def __anext__(self) -> Any:
        if not self.left:
            raise StopAsyncIteration
        return progress(self.left.pop(0))


async def returns_generator(thread: Any, message: Any, context: Any) -> Any:
    async def found() -> AsyncIterator[Any]:
        yield progress("one")
        yield progress("two")

    return found()


async def returns_iterator(thread: Any, message: Any, context: Any) -> Any:
    return Iterator()


@pytest.mark.parametrize("script", [returns_generator, returns_iterator, lambda *_: Iterator()])
async def test_respond_in_every_form(script: Any) -> None:
    found = await events(await ScriptedServer(script).create())
    assert [event.get("text") for event in found[3:]] == ["one", "two"]


@pytest.mark.parametrize("script", [lambda *_: None, lambda *_: 1 / 0, lambda *_: [progress()]])
async def test_a_respond_that_returns_no_iterator_is_an_error_event(script: Any) -> None:
    found = await events(await ScriptedServer(script).create())
    assert found[3:] == [{"type": "error", "code": "stream.error", "allow_retry": True}]


async def test_one_part_opens_by_itself_for_a_delta() -> None:
    found = await frames_of(added("a", "m"), ThreadItemUpdatedEvent(id="m", delta=TextDelta(text="b")))
    assert [event["type"] for event in found] == [
        "thread.item.added",
        "thread.item.updated",
        "thread.item.done",
    ]
    assert found[-1]["item"]["content"][0]["text"] == "ab"
