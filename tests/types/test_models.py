"""Constructors in both spellings, and what they refuse."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from chatkit import types
from chatkit.errors import ErrorCode
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    AudioInput,
    ChatKitReq,
    ClientEffectEvent,
    ErrorEvent,
    FileAttachment,
    FileMetadata,
    FileStore,
    HiddenContextItem,
    NoticeEvent,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    TextContent,
    TextDelta,
    Thread,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageTagContent,
    to_wire,
)

MESSAGE = AssistantMessageItem(id="m", content=[])
DELTA = AssistantMessageContentPartTextDelta(content_index=0, delta="x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TextContent(type="text", text="a"), AssistantMessageContent(text="a")),
        (ProgressUpdateEvent(message="a"), ProgressUpdateEvent(text="a")),
        (ThreadItemRemovedEvent(id="m"), ThreadItemRemovedEvent(item_id="m")),
        (ErrorEvent(retryable=True), ErrorEvent(allow_retry=True)),
        (ErrorEvent(code="rate_limit"), ErrorEvent(code="custom", reason="rate_limit")),
        (ErrorEvent(code="stream.error"), ErrorEvent(code=ErrorCode.STREAM_ERROR)),
        (
            StreamOptionsEvent(allow_cancel=True),
            StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=True)),
        ),
        (ClientEffectEvent(type="go", payload={"a": 1}), ClientEffectEvent(name="go", data={"a": 1})),
        (ClientEffectEvent(type="go"), ClientEffectEvent(name="go")),
        (
            FileMetadata(mime_type="text/plain", filename="a"),  # pyright: ignore[reportCallIssue]
            FileMetadata(content_type="text/plain", name="a"),
        ),
    ],
)
def test_both_spellings_make_the_same_model(one: Any, other: Any) -> None:
    assert one == other
    assert to_wire(one) == to_wire(other)


def test_text_content_is_the_assistants_content() -> None:
    assert TextContent is AssistantMessageContent
    assert TextContent(text="a").type == "output_text"


def test_the_applications_own_reason_of_an_error_stays() -> None:
    event = ErrorEvent(code="rate_limit", reason="ten a minute")
    assert (event.code, event.reason) == ("custom", "ten a minute")


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (ThreadItemDoneEvent, {"id": "other", "item": MESSAGE}),
        (ThreadItemReplacedEvent, {}),
        (ThreadItemReplacedEvent, {"id": "other", "item": MESSAGE}),
        (ThreadItemUpdatedEvent, {"update": "x"}),
        (ThreadItemRemovedEvent, {}),
        (ProgressUpdateEvent, {}),
        (ClientEffectEvent, {}),
        (StreamOptionsEvent, {}),
        (NoticeEvent, {"level": "loud", "message": "x"}),
        (TextContent, {"type": "input_text", "text": "x"}),
        (AssistantMessageItem, {"id": "a"}),
        (ThreadMetadata, {}),
        (ThreadMetadata, {"id": "t", "metadata": "not JSON"}),
        (ThreadMetadata, {"id": "t", "metadata": "[1]"}),
        (ThreadMetadata, {"id": "t", "status": {"type": "lost"}}),
    ],
)
def test_what_no_model_is_made_of(model: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**arguments)


def test_the_same_id_twice_is_fine() -> None:
    assert ThreadItemDoneEvent.model_validate({"id": "m", "item": MESSAGE}).item == MESSAGE
    assert ThreadItemReplacedEvent(id="m", item=MESSAGE) == ThreadItemReplacedEvent(id="m", item=MESSAGE)
    assert b'"id":"m"' in to_wire(ThreadItemReplacedEvent(id="m", item=MESSAGE))


def test_constructors_do_not_change_what_they_are_given() -> None:
    given = {"type": "go", "payload": {"a": 1}}
    ClientEffectEvent.model_validate(given)
    assert given == {"type": "go", "payload": {"a": 1}}


@pytest.mark.parametrize(
    ("given", "expected"), [(None, {}), ("{}", {}), ('{"a": [1]}', {"a": [1]}), ({"a": 1}, {"a": 1})]
)
def test_metadata_of_a_thread(given: Any, expected: Any) -> None:
    assert ThreadMetadata(id="t", metadata=given).metadata == expected


def test_naive_times_are_local_and_become_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        for moment in (
            datetime(2026, 7, 1, 12, 0),  # noqa: DTZ001 -- what is tested
            "2026-07-01T12:00:00",
            datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=14))),
        ):
            thread = ThreadMetadata(id="t", created_at=moment)  # pyright: ignore[reportArgumentType]
            assert thread.created_at == datetime(2026, 6, 30, 22, 0, tzinfo=UTC)
            assert thread.created_at.tzinfo is UTC
            assert b'"created_at":"2026-06-30T22:00:00Z"' in to_wire(thread)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_are_now_by_default() -> None:
    for made in (
        ThreadMetadata(id="t"),
        ThreadMetadata.model_validate({"id": "t", "created_at": None}),
        AssistantMessageItem(id="msg_1", content=[]),
    ):
        assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=5)
    assert ThreadMetadata(id="t").updated_at is None


def test_defaults_are_not_shared() -> None:
    ThreadMetadata(id="a").metadata["x"] = 1
    assert ThreadMetadata(id="b").metadata == {}
    TextContent(text="a").annotations.append(None)  # pyright: ignore[reportArgumentType]
    assert TextContent(text="b").annotations == []


def test_aliases_of_the_reference() -> None:
    attachment = FileAttachment(id="atc_1", name="a", mime_type="text/plain")
    assert attachment.file_id == "atc_1"
    tag = UserMessageTagContent(id="ada", text="@Ada", data={}, group="people")
    assert (tag.entity_type, tag.entity_id) == ("people", "ada")
    file = FileMetadata(content_type="text/plain", name="a.txt")
    assert (file.mime_type, file.filename) == ("text/plain", "a.txt")
    assert AudioInput(data=b"", mime_type="audio/webm; codecs=opus").media_type == "audio/webm"


def test_unknown_fields_are_ignored_and_empty_ones_left_out() -> None:
    thread = Thread.model_validate({"id": "t", "items": {}, "future": 1})
    assert b"future" not in to_wire(thread)
    assert b"null" not in to_wire(thread)


def test_unions_are_told_apart_by_their_type() -> None:
    items: TypeAdapter[Any] = TypeAdapter(ThreadItem)
    hidden = items.validate_python({"type": "hidden_context_item", "id": "h", "content": None})
    assert isinstance(hidden, HiddenContextItem)
    for adapter in (items, TypeAdapter[Any](ThreadStreamEvent), TypeAdapter[Any](ChatKitReq)):
        with pytest.raises(ValidationError):
            adapter.validate_python({"type": "unknown"})


def test_updated_event_with_a_delta_sends_no_delta() -> None:
    event = ThreadItemUpdatedEvent(id="m", delta=TextDelta(text="x"))
    assert json.loads(to_wire(event)) == {"type": "thread.item.updated", "item_id": "m"}


async def test_a_file_store_need_not_take_uploads() -> None:
    class Files(FileStore):
        async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
            return "https://files.example/up"

        async def get_preview_url(self, file_id: str) -> str:
            return "https://files.example/p"

        async def delete(self, file_id: str) -> None:
            return None

    with pytest.raises(NotImplementedError, match="Files"):
        await Files().upload("f", b"", FileMetadata(content_type="text/plain"))
    with pytest.raises(TypeError):
        FileStore()  # pyright: ignore[reportAbstractUsage]


def test_the_face_is_sorted_and_whole() -> None:
    assert list(types.__all__) == sorted(types.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(types, name) for name in types.__all__)
