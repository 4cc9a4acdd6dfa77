"""The state of a turn: what a reader gets instead of the events it has missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chatkit.reduce import accumulator
from chatkit.reduce.turn import ItemRecord
from chatkit.server.turns.output import TurnOutput
from chatkit.server.turns.state import TurnState
from chatkit.server.wire import item_json, replaced_event, update_event
from chatkit.streams.backend import decode_parts, encode_parts
from chatkit.streams.base import StatePart, TurnWriter
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    NoticeEvent,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
)

EARLIER = {"earlier_1": "one", "earlier_2": "two"}


class Client:
    """What a page shows. It is strict: an event that does not fit what it shows is an error."""

    def __init__(self) -> None:
        self.thread: str | None = None
        self.options: bool | None = None
        self.progress: str | None = None
        self.notices: list[str] = []
        self.items = dict(EARLIER)

    def apply(self, data: bytes) -> None:
        event: dict[str, Any] = json.loads(data)
        kind: str = event["type"]
        if kind.startswith("thread.item."):
            self.progress = None
        match kind:
            case "thread.created" | "thread.updated":
                self.thread = event["thread"]["title"]
            case "stream_options":
                self.options = event["stream_options"]["allow_cancel"]
            case "progress_update":
                self.progress = event["text"]
            case "notice":
                self.notices.append(event["message"])
            case "thread.item.added":
                assert event["item"]["id"] not in self.items
                self.items[event["item"]["id"]] = event["item"]["content"][0]["text"]
            case "thread.item.done":
                self.items[event["item"]["id"]] = event["item"]["content"][0]["text"]
            case "thread.item.replaced":
                assert event["item"]["id"] in self.items
                self.items[event["item"]["id"]] = event["item"]["content"][0]["text"]
            case "thread.item.updated":
                self.items[event["item_id"]] += event["update"]["delta"]
            case "thread.item.removed":
                self.items.pop(event["item_id"], None)
            case _:
                raise AssertionError(f"a page does not know {kind}")

    def shown(self) -> object:
        return self.thread, self.options, self.progress, self.notices, list(self.items.items())


class Turn:
    """A turn that does at random what a handler may do, and notes it as a pipeline does."""

    def __init__(self) -> None:
        self.state = TurnState()
        self.events: list[bytes] = []
        self.output = TurnOutput(self.state, cast("TurnWriter", self))
        self.stored = dict(EARLIER)

    def append(self, event: bytes) -> int:
        self.events.append(event)
        return len(self.events)

    def do(self, step: str, item_id: str, text: str) -> None:
        method: Callable[[str, str], None] = getattr(self, step)
        method(item_id, text)

    def thread(self, item_id: str, text: str) -> None:
        self.output.thread(ThreadMetadata(id="thr_1", title=text), created=not self.events)

    def options(self, item_id: str, text: str) -> None:
        self.output.event(StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=len(text) > 1)))

    def progress(self, item_id: str, text: str) -> None:
        self.output.event(ProgressUpdateEvent(text=text))

    def notice(self, item_id: str, text: str) -> None:
        self.output.event(NoticeEvent(level="info", message=text))

    def add(self, item_id: str, text: str) -> None:
        if item_id not in self.state.pending and item_id not in self.stored:
            self.output.added(self.state.begin(item(item_id, text)), item(item_id, text))

    def update(self, item_id: str, text: str) -> None:
        update = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
        record = self.state.record(item_id)
        event = update_event(item_id, update, record.delta_heads)
        if item_id in self.state.pending:
            self.state.accumulate(record, ThreadItemUpdatedEvent(item_id=item_id, update=update))
            record.last_seq = self.append(event)
        elif item_id in self.stored:
            self.stored[item_id] += text
            self.output.update_of_earlier(record, event)

    def done(self, item_id: str, text: str) -> None:
        pending = self.state.pending.pop(item_id, None)
        final = item(item_id, text) if pending is None else cast("AssistantMessageItem", pending.item())
        self.stored[item_id] = final.content[0].text
        self.output.done(final)
        self.state.record(item_id).content = None

    def replace(self, item_id: str, text: str) -> None:
        pending = self.state.pending.get(item_id)
        if pending is not None:
            pending.content = accumulator(item(item_id, text))
            self.output.pending_replaced(pending, item(item_id, text))
        elif item_id in self.stored:
            self.stored[item_id] = text
            self.output.replaced(item(item_id, text))

    def remove(self, item_id: str, text: str) -> None:
        self.stored.pop(item_id, None)
        record = self.state.record(item_id)
        self.state.forget(record)
        self.output.removed(record)


def item(item_id: str, text: str) -> AssistantMessageItem:
    return AssistantMessageItem(id=item_id, content=[AssistantMessageContent(text=text)])


def client_of(events: list[bytes]) -> Client:
    client = Client()
    for event in events:
        client.apply(event)
    return client


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["thread", "options", "progress", "notice", "add", "update", "done", "replace", "remove"]
        ),
        st.sampled_from(["item_1", "item_2", "item_3", *EARLIER]),
        st.text("abc", min_size=1, max_size=3),
    ),
    max_size=40,
)


@given(steps, steps, st.integers(min_value=0))
def test_the_state_makes_up_for_the_missed_events(
    before: list[tuple[str, str, str]], afterwards: list[tuple[str, str, str]], cut: int
) -> None:
    turn = Turn()
    for step in before:
        turn.do(*step)
    after = cut % (len(turn.events) + 1)
    reader = client_of(turn.events[:after])
    for event in turn.state.events(after):
        reader.apply(event)
    assert reader.shown() == client_of(turn.events).shown()

    missed = len(turn.events)
    for step in afterwards:
        turn.do(*step)
    for event in turn.events[missed:]:
        reader.apply(event)
    assert reader.shown() == client_of(turn.events).shown()


@given(steps)
def test_a_state_that_was_saved_tells_every_reader_the_same(before: list[tuple[str, str, str]]) -> None:
    turn = Turn()
    for step in before:
        turn.do(*step)
    saved = decode_parts(encode_parts(turn.state.parts()))
    for after in range(len(turn.events) + 1):
        told = [event for part in saved if (event := part.event_for(after)) is not None]
        assert told == turn.state.events(after)


@given(steps)
def test_a_reader_that_has_everything_gets_nothing(before: list[tuple[str, str, str]]) -> None:
    turn = Turn()
    for step in before:
        turn.do(*step)
    assert turn.state.events(len(turn.events)) == []


def test_whoever_has_not_heard_that_the_thread_was_created_does_so_from_its_latest_state() -> None:
    state = TurnState()
    state.thread(1, b'{"type":"thread.created","thread":"first"}')
    state.thread(4, b'{"type":"thread.updated","thread":"titled"}')
    for events in (
        state.events,
        lambda after: [part.event_for(after) for part in decode_parts(encode_parts(state.parts()))],
    ):
        assert events(0) == [b'{"type":"thread.created","thread":"titled"}']
        assert events(1) == [b'{"type":"thread.updated","thread":"titled"}']
    assert state.events(4) == []
    state = TurnState()
    assert not state.knows_thread
    state.thread(2, b'{"type":"thread.updated","thread":"titled"}')
    assert state.knows_thread
    assert state.events(0) == [b'{"type":"thread.updated","thread":"titled"}']


def test_the_state_is_told_in_a_fixed_order() -> None:
    turn = Turn()
    for step, item_id, text in [
        ("progress", "", "gone"),
        ("thread", "", "first title"),
        ("notice", "", "note"),
        ("add", "item_1", "par"),
        ("done", "item_2", "whole"),
        ("remove", "earlier_1", ""),
        ("update", "earlier_2", "!"),
        ("update", "item_1", "tial"),
        ("replace", "item_2", "other"),
        ("options", "", "yes"),
        ("thread", "", "second title"),
        ("progress", "", "shown"),
    ]:
        turn.do(step, item_id, text)
    told: list[dict[str, Any]] = [json.loads(event) for event in turn.state.events(0)]
    assert [event["type"] for event in told] == [
        "thread.updated",
        "stream_options",
        "thread.item.removed",
        "thread.item.added",
        "thread.item.done",
        "thread.item.updated",
        "notice",
        "progress_update",
    ]
    assert (told[3]["item"]["id"], told[3]["item"]["content"][0]["text"]) == ("item_1", "partial")
    assert (told[4]["item"]["id"], told[4]["item"]["content"][0]["text"]) == ("item_2", "other")
    for_late_reader = [json.loads(event)["type"] for event in turn.state.events(5)]
    assert "thread.item.replaced" in for_late_reader
    assert "thread.item.added" not in for_late_reader


@given(steps)
def test_the_state_knows_its_size(before: list[tuple[str, str, str]]) -> None:
    turn = Turn()
    for step in before:
        turn.do(*step)
        assert turn.state.size == held_by(turn.state)
    events = turn.state.events(0), turn.state.events(len(turn.events) // 2)
    turn.state.seal()
    assert turn.state.size == held_by(turn.state)
    assert events == (turn.state.events(0), turn.state.events(len(turn.events) // 2))


def held_by(held: object) -> int:
    """Returns how many bytes of events an object holds."""
    if isinstance(held, bytes):
        return len(held)
    if isinstance(held, TurnState):
        # Pending items are among the records.
        return sum(held_by(value) for name, value in vars(held).items() if name != "pending")
    if isinstance(held, ItemRecord):
        return held_by([held.event, held.updates, held.removal])
    if isinstance(held, StatePart):
        # Its two heads are the beginnings of one event.
        return len(held.head) + len(held.rest)
    if isinstance(held, dict):
        return sum(held_by(value) for value in held.values())
    if isinstance(held, list | tuple):
        return sum(held_by(value) for value in held)
    return 0


def test_the_end_of_a_turn_renders_updated_items_once_and_for_all() -> None:
    state = TurnState()
    record = state.record("item_1")
    record.content = accumulator(item("item_1", "whole"))
    state.tell(record, 3, final=True)
    before = state.events(0), state.parts()
    encoded = replaced_event(item_json(record.item()))
    state.seal()
    assert record.content is None
    assert (state.events(0), state.parts()) == before
    assert state.size == len(encoded)
