"""Server-sent events: what is encoded is decoded, whatever the chunks and the line ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.sse import KEEP_ALIVE, ServerSentEvent, SSEDecoder, encode_event

plain = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8)
name = plain.filter(lambda text: not text.startswith(" "))
line_ends = st.sampled_from(["\n", "\r", "\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[ServerSentEvent]]:
    """Draws the text of a stream and the events that a reader of the standard finds in it."""
    text = draw(st.sampled_from(["", "\ufeff"]))
    expected: list[ServerSentEvent] = []
    last_id = ""
    for _ in range(draw(st.integers(0, 4))):
        lines: list[str] = []
        data: list[str] = []
        event = ""
        for field in draw(
            st.lists(st.sampled_from(["data", "event", "id", "retry", "comment", "other", "id0"]))
        ):
            value = draw(name)
            separator = draw(st.sampled_from([":", ": "]))
            match field:
                case "data":
                    data.append(value)
                case "event":
                    event = value
                case "id":
                    last_id = value
                case "comment":
                    lines.append(f":{value}")
                    continue
                case "id0":
                    # An id with a NUL is ignored.
                    lines.append(f"id: {value}\0")
                    continue
                case "other":
                    lines.append(f"x{value.replace(':', '')}")
                    continue
                case _:
                    pass
            lines.append(f"{field}{separator}{value}")
        # One kind of line end for an event: an LF after a CR would not be a line of its own.
        end = draw(line_ends)
        text += "".join(line + end for line in [*lines, ""])
        if data:
            expected.append(ServerSentEvent("\n".join(data), event, last_id))
    return text, expected


def decode(chunks: list[bytes]) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@given(streams(), st.data())
def test_any_stream_in_any_chunks(stream: tuple[str, list[ServerSentEvent]], data: st.DataObject) -> None:
    text, expected = stream
    encoded = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=12)))
    chunks = [encoded[start:end] for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]
    assert decode(chunks) == expected
    assert decode([encoded]) == expected
    assert decode([bytes([byte]) for byte in encoded]) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(json_values, name | st.none(), name | st.none())))
def test_what_is_encoded_is_decoded(given_events: list[tuple[Any, str | None, str | None]]) -> None:
    encoded = b""
    expected: list[tuple[Any, str, str]] = []
    last_id = ""
    for value, id, event in given_events:
        encoded += encode_event(json.dumps(value).encode(), id=id, event=event) + KEEP_ALIVE
        last_id = last_id if id is None else id
        expected.append((value, event or "", last_id))
    found = decode([encoded])
    assert [(json.loads(each.data), each.event, each.id) for each in found] == expected


def test_frames() -> None:
    assert encode_event(b"{}") == b"data: {}\n\n"
    assert encode_event(b"{}", id="t:1", event="turn.end") == b"event: turn.end\nid: t:1\ndata: {}\n\n"


def test_an_event_that_the_end_cuts_off_is_dropped_and_its_id_is_no_cursor() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"id: t:1\ndata: 1\n\nid: t:2\ndata: 2\n") == [ServerSentEvent("1", "", "t:1")]
    assert decoder.last_id == "t:1"
    assert decoder.feed(b"\n") == [ServerSentEvent("2", "", "t:2")]
    assert decoder.last_id == "t:2"


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
def test_an_event_is_complete_with_its_blank_line_not_with_the_next_chunk(end: bytes) -> None:
    assert decode([b"data: 1" + end + end]) == [ServerSentEvent("1")]


def test_broken_utf8_does_not_end_the_stream() -> None:
    assert decode([b"data: \xff\n\ndata: ok\n\n"]) == [ServerSentEvent("\ufffd"), ServerSentEvent("ok")]


def test_a_large_event_in_small_chunks_costs_no_more_than_its_size() -> None:
    decoder = SSEDecoder()
    for _ in range(20_000):
        assert decoder.feed(b"data: " if _ == 0 else b"x" * 100) == []
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 19_999 * 100
