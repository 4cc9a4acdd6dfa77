"""The state of a turn: what a reader gets instead of the events it has missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatkit.streams.shared.backend import decode_parts, encode_parts
from chatkit.streams.snapshot import (
    ItemState,
    TurnState,
    added_event,
    done_event,
    removed_event,
    replaced_event,
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
                self.items[event["item"]["id"]] = event["item"]["text"]
            case "thread.item.done":
                self.items[event["item"]["id"]] = event["item"]["text"]
            case "thread.item.replaced":
                assert event["item"]["id"] in self.items
                self.items[event["item"]["id"]] = event["item"]["text"]
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
        self.pending: dict[str, str] = {}
        self.states: dict[str, ItemState] = {}
        self.stored = dict(EARLIER)

    def do(self, step: str, item_id: str, text: str) -> None:
        method: Callable[[str, str], None] = getattr(self, step)
        method(item_id, text)

    def thread(self, item_id: str, text: str) -> None:
        kind = "thread.updated" if self.events else "thread.created"
        self._note(self.state.thread, encode({"type": kind, "thread": {"title": text}}))

    def options(self, item_id: str, text: str) -> None:
        event = {"type": "stream_options", "stream_options": {"allow_cancel": len(text) > 1}}
        self._note(self.state.options, encode(event))

    def progress(self, item_id: str, text: str) -> None:
        self._note(self.state.progress, encode({"type": "progress_update", "text": text}))

    def notice(self, item_id: str, text: str) -> None:
        self._note(self.state.keep, encode({"type": "notice", "message": text}))

    def add(self, item_id: str, text: str) -> None:
        if item_id not in self.pending and item_id not in self.stored:
            self.pending[item_id] = text
            self._note_pending(item_id, added_event(item(item_id, text)))

    def update(self, item_id: str, text: str) -> None:
        event = encode({"type": "thread.item.updated", "item_id": item_id, "update": {"delta": text}})
        if item_id in self.pending:
            self.pending[item_id] += text
            self.events.append(event)
            self.states[item_id].last_seq = len(self.events)
        elif item_id in self.stored:
            self.stored[item_id] += text
            self._note_item(self.state.updated, event, item_id, event)

    def done(self, item_id: str, text: str) -> None:
        self.stored[item_id] = self.pending.pop(item_id, text)
        event = done_event(item(item_id, self.stored[item_id]))
        self._note_item(self.state.finished, event, item_id, event)

    def replace(self, item_id: str, text: str) -> None:
        event = replaced_event(item(item_id, text))
        if item_id in self.pending:
            self.pending[item_id] = text
            self._note_pending(item_id, event)
        elif item_id in self.stored:
            self.stored[item_id] = text
            self._note_item(self.state.finished, event, item_id, event)

    def remove(self, item_id: str, text: str) -> None:
        self.pending.pop(item_id, None)
        self.stored.pop(item_id, None)
        event = removed_event(json.dumps(item_id).encode())
        self._note_item(self.state.removed, event, item_id, event)

    def _note_pending(self, item_id: str, event: bytes) -> None:
        self.events.append(event)
        self.states[item_id] = self.state.pending(
            len(self.events), item_id, lambda: item(item_id, self.pending[item_id])
        )

    def _note(self, note: Callable[[int, bytes], None], event: bytes) -> None:
        self.events.append(event)
        note(len(self.events), event)

    def _note_item(self, note: Callable[..., None], event: bytes, *arguments: object) -> None:
        self.events.append(event)
        note(len(self.events), *arguments)


def encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def item(item_id: str, text: str) -> bytes:
    return encode({"id": item_id, "text": text})


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
    assert told[3]["item"] == {"id": "item_1", "text": "partial"}
    assert told[4]["item"] == {"id": "item_2", "text": "other"}
    for_late_reader = [json.loads(event)["type"] for event in turn.state.events(5)]
    assert "thread.item.replaced" in for_late_reader
    assert "thread.item.added" not in for_late_reader
