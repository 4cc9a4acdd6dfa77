"""Bounds of requests: every text, list, map and free-form value has one, and no body takes long to read."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from chatkit._json import holds_too_many_values
from chatkit.errors import InvalidRequestError, MalformedRequestError, RequestError, RequestTooLargeError
from chatkit.limits import Bound, Limits
from chatkit.server import NonStreamingResult
from chatkit.server.bounds import compile_check
from chatkit.server.parsing import parse_request
from chatkit.store import MemoryStore
from chatkit.types import (
    AttachmentCreateParams,
    AudioInput,
    ChatKitReq,
    InputTranscribeReq,
    ThreadsAddClientToolOutputReq,
    ThreadsCreateReq,
    TranscriptionResult,
)
from tests.support.scale import is_within
from tests.web.sample import SampleServer

MEBIBYTE = 1024 * 1024
REQUESTS = get_args(get_args(ChatKitReq)[0])
CONTENT = b'{"type":"threads.create","params":{"input":{"content":['
TEXT = CONTENT + b'{"type":"input_text","text":"'
RESULT = b'{"type":"threads.add_client_tool_output","params":{"thread_id":"t","result":'
RECORDING = b'{"type":"input.transcribe","params":{"mime_type":"audio/ogg","audio_base64":"'


def say(text: str) -> str:
    content = [{"type": "input_text", "text": text}]
    return json.dumps({"type": "threads.create", "params": {"input": {"content": content}}})


def unbounded(annotation: Any, place: str, marks: tuple[Any, ...] = ()) -> Iterator[str]:
    """Yields what has no bound in a type: written without the code under test, which refuses such a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    bounded = any(isinstance(mark, Bound) for mark in marks)
    if origin is Annotated:
        yield from unbounded(arguments[0], place, (*marks, *annotation.__metadata__))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from unbounded(field.annotation, f"{place}.{name}", tuple(field.metadata))
    elif annotation is int:
        if not any(hasattr(mark, "le") or hasattr(mark, "metadata") for mark in marks):
            yield place
    elif annotation in {str, Any, list, dict}:
        if not bounded:
            yield place
    elif annotation not in {bool, NoneType} and annotation is not Ellipsis and arguments:
        if origin in {list, dict} and not bounded:
            yield place
        # What a free-form map holds has the map's own bound.
        free_form = origin is dict and arguments[1] is Any
        for argument in () if free_form else arguments:
            if not isinstance(argument, str):
                yield from unbounded(argument, place)


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_text_list_and_map_of_a_request_has_a_bound(request_type: type[BaseModel]) -> None:
    assert list(unbounded(request_type, request_type.__name__)) == []
    compile_check(request_type)


def test_a_new_field_without_a_bound_is_found() -> None:
    class Forgetful(BaseModel):
        texts: Annotated[list[str], Bound("list_entries")]
        more: dict[str, Any] = {}
        size: int = 0

    assert list(unbounded(Forgetful, "F")) == ["F.texts", "F.more", "F.size"]
    with pytest.raises(TypeError, match=r"Forgetful\.texts: .* has no bound"):
        compile_check(Forgetful)


def test_every_bound_is_one_of_the_limits() -> None:
    def used(annotation: Any) -> Iterator[str]:
        for mark in getattr(annotation, "__metadata__", ()):
            if isinstance(mark, Bound):
                yield mark.limit
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for field in annotation.model_fields.values():
                yield from (mark.limit for mark in field.metadata if isinstance(mark, Bound))
                yield from used(field.annotation)
        for argument in get_args(annotation):
            yield from used(argument)

    assert {limit for kind in REQUESTS for limit in used(kind)} <= {field.name for field in fields(Limits)}


@pytest.mark.parametrize(
    "text",
    [
        "a," * (128 * 1024),
        "," * (256 * 1024),
        '"' * (256 * 1024),
        "\\" * (256 * 1024),
        '{"a": [1, 2]},\n' * (16 * 1024),
        "[" * (256 * 1024),
        "é" * (256 * 1024),
        "\U0001f600" * (170 * 1024),
    ],
    ids=lambda text: text[:4],
)
def test_long_pastes_are_taken(text: str) -> None:
    for body in (say(text), say(text).encode(), json.dumps(json.loads(say(text)), ensure_ascii=False)):
        if len(body.encode() if isinstance(body, str) else body) <= 2 * MEBIBYTE:
            request = parse_request(body)
            assert isinstance(request, ThreadsCreateReq)
            assert request.params.input.content[0].text == text


def test_a_picture_of_the_page_is_taken_as_a_tools_result() -> None:
    picture = "data:image/png;base64," + "A" * (3 * MEBIBYTE // 2)
    body = json.dumps(
        {
            "type": "threads.add_client_tool_output",
            "params": {"thread_id": "t", "result": {"picture": picture}},
        }
    )
    request = parse_request(body)
    assert isinstance(request, ThreadsAddClientToolOutputReq)
    assert request.params.result == {"picture": picture}


def recording(size: int, metadata: str = "", *, last: bool = False) -> bytes:
    params = {"audio_base64": "A" * size, "mime_type": "audio/ogg"}
    kind = {"type": "input.transcribe"}
    request = {"params": params, **kind} if last else {"metadata": {"a": metadata}, **kind, "params": params}
    return json.dumps(request).encode()


@pytest.mark.parametrize(
    "make",
    [
        lambda: recording(24 * MEBIBYTE),
        lambda: recording(MEBIBYTE),
        lambda: recording(3 * MEBIBYTE, "m" * 60_000),
        lambda: recording(3 * MEBIBYTE, last=True),
        lambda: recording(3 * MEBIBYTE).replace(b"A" * 40, b"A" * 38 + b"\\/"),
    ],
    ids=["long", "short", "type after metadata", "type at the end", "escaped slashes"],
)
def test_recordings_are_taken(make: Callable[[], bytes]) -> None:
    assert isinstance(parse_request(make()), InputTranscribeReq)


@pytest.mark.parametrize(
    "make",
    [
        lambda: recording(25 * MEBIBYTE),
        lambda: say("a" * 2 * MEBIBYTE).encode(),
        lambda: say('"input.transcribe"' + "a" * 2 * MEBIBYTE).encode(),
        lambda: say("a" * 3 * MEBIBYTE).replace('"type"', '"input.transcribe":0,"type"', 1).encode(),
        lambda: b'{"x":"input.transcribe","y":[' + b"1," * 2 * MEBIBYTE + b"1]}",
        lambda: b'{"x":"input.transcribe","y":"' + b'\\"' * 2 * MEBIBYTE + b'"}',
        lambda: b'{"type":"input.transcribe",' + b" " * 3 * MEBIBYTE + b"}",
    ],
)
def test_other_large_bodies_are_refused(make: Callable[[], bytes]) -> None:
    body = make()
    with pytest.raises(RequestTooLargeError):
        parse_request(body)


def padded(head: bytes, unit: bytes, tail: bytes, size: int = 2 * MEBIBYTE) -> bytes:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


SLOW: dict[str, Callable[[], bytes]] = {
    "numbers": lambda: padded(CONTENT, b"1,", b"1]}}}", MEBIBYTE),
    "many numbers": lambda: padded(CONTENT, b"1,", b"1]}}}"),
    "ten megabytes": lambda: padded(CONTENT, b"1,", b"1]}}}", 10_000_000),
    "objects": lambda: padded(CONTENT, b"{},", b"1]}}}"),
    "unknown contents": lambda: CONTENT + b'{"type":"x"},' * 16_000 + b"1]}}}",
    "objects in a result": lambda: RESULT + b"[" + b'{"a":1},' * 12_000 + b"1]}}",
    "wrong answers": lambda: (
        b'{"type":"threads.add_structured_input","params":{"input":{"answers":{'
        + b",".join(b'"%d":1' % number for number in range(20_000))
        + b"}}}}"
    ),
    "unknown fields": lambda: (
        b'{"type":"threads.list",' + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}"
    ),
    "quotation marks": lambda: padded(TEXT, b'\\",', b'"}]}}}'),
    "backslashes": lambda: padded(TEXT, b"\\\\", b'"}]}}}'),
    "surrogates": lambda: padded(TEXT, b"\\ud800", b'"}]}}}'),
    "texts": lambda: padded(CONTENT, b'"",', b'""]}}}'),
    "nested arrays": lambda: padded(b"", b"[", b""),
    "nested objects": lambda: padded(b"", b'{"a":', b""),
    "a long number": lambda: padded(RESULT, b"9", b"}}"),
    "a long fraction": lambda: padded(RESULT + b"0.", b"9", b"}}"),
    "blanks": lambda: padded(b"", b" ", b"{}"),
    "a long type": lambda: padded(b'{"type":"', b"t", b'"}'),
    "a long type of content": lambda: padded(CONTENT + b'{"type":"', b"t", b'"}]}}}'),
    "a long key": lambda: padded(b'{"type":"threads.list","params":{"', b"k", b'":1}}'),
    "a recording": lambda: padded(RECORDING, b"A", b'"}}', 25 * MEBIBYTE),
    "backslashes as a recording": lambda: padded(RECORDING, b"\\\\", b'"}}', 25 * MEBIBYTE),
    "commas as a recording": lambda: padded(RECORDING, b",", b'"}}', 25 * MEBIBYTE),
    "blanks beside a recording": lambda: padded(RECORDING + b'"', b" ", b"}}", 25 * MEBIBYTE),
    "letters as a recording": lambda: padded(RECORDING, "é".encode(), b'"}}', 25 * MEBIBYTE),
}


@pytest.mark.parametrize("make", SLOW.values(), ids=list(SLOW))
def test_no_body_takes_long_to_read(make: Callable[[], bytes]) -> None:
    body = make()
    spent: list[float] = []
    message = ""
    for _ in range(5):
        begun = time.process_time()
        try:
            parse_request(body)
        except RequestError as error:
            message = str(error)
        spent.append(time.process_time() - begun)
    # 50 ms on an idle machine; tests share theirs.
    assert is_within(min(spent), 0.1)
    assert len(message) < 450


@pytest.mark.parametrize("escaped", ["\\ud800", "a\\udc00b", "\\ud800\\ud800", "\\udc00\\ud800", "\\uD83Dx"])
def test_lone_surrogates_become_replacement_characters(escaped: str) -> None:
    request = parse_request(say("TEXT").replace("TEXT", escaped))
    assert isinstance(request, ThreadsCreateReq)
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in json.loads(f'"{escaped}"'))
    assert request.params.input.content[0].text == expected


def test_what_is_no_lone_surrogate_stays() -> None:
    request = parse_request(say("TEXT").replace("TEXT", "\\\\ud800 \\ud83d\\ude00 \\udfff \\u0000"))
    assert isinstance(request, ThreadsCreateReq)
    assert request.params.input.content[0].text == "\\ud800 \U0001f600 \ufffd \0"
    # A text that was decoded by the application already.
    request = parse_request(say("hello").replace("hello", "\ud800"))
    assert isinstance(request, ThreadsCreateReq)
    assert request.params.input.content[0].text == "\ufffd"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab",:[]{}\\\n\ud800', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('a",:\\', max_size=3), inner, max_size=4)
    ),
    max_leaves=30,
)


def values_in(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(values_in(child) for child in inside)


@given(JSON_VALUES, st.integers(0, 120), st.sampled_from([None, 1]), st.booleans())
@example([[], {"a": '\\",,'}], 3, None, False)
def test_values_are_counted_outside_of_texts(value: Any, most: int, indent: int | None, escape: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=escape).encode("utf-8", "replace")
    count = values_in(value)
    # Each value has one separator at least before or in it, each of an object two, empty containers one more.
    if holds_too_many_values(body, most):
        assert 3 * count > most
    else:
        assert count - 1 <= 2 * most + 2


async def test_the_limits_are_options() -> None:
    context = {"user_id": "alice"}
    narrow = SampleServer(MemoryStore(), limits=Limits(text_chars=10, body_bytes=200, body_values=15))
    for body, error, match in [
        (say("x" * 11), InvalidRequestError, r"params\.input\.content\.0\.text: at most 10 characters"),
        (say("x" * 200), RequestTooLargeError, "at most 200 bytes"),
        ('{"type":"threads.list","params":{},"a":[' + "1," * 20 + "1]}", RequestTooLargeError, "15 values"),
        ('{"type":"threads.list","params":{},"a":[' + "1," * 20, RequestTooLargeError, "15 values"),
        ("[" * 201, RequestTooLargeError, "at most 200 bytes"),
    ]:
        with pytest.raises(error, match=match):
            await narrow.process(body, context)
    wide = Limits(body_bytes=4 * MEBIBYTE, text_chars=3 * MEBIBYTE)
    request = parse_request(say("x" * 3 * MEBIBYTE), wide)
    assert isinstance(request, ThreadsCreateReq)
    for size in (3 * MEBIBYTE, 26 * MEBIBYTE):
        assert (
            len(parse_request(recording(size), Limits().for_bodies_of(27 * MEBIBYTE)).params.audio_base64)
            == size
        )  # type: ignore[union-attr]


async def test_what_is_said_of_a_posted_file_is_bounded(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    server = SampleServer(MemoryStore())
    for params in (
        AttachmentCreateParams(name="n" * 256, size=1, mime_type="text/plain"),
        AttachmentCreateParams(name="n", size=1, mime_type="t" * 256),
    ):
        with pytest.raises(InvalidRequestError, match="at most 255 characters"):
            await server.upload_attachment(params, path, {"user_id": "alice"})


async def test_a_recording_is_decoded_in_slices() -> None:
    class Listening(SampleServer):
        async def transcribe(self, audio_input: AudioInput, context: Any) -> TranscriptionResult:
            return TranscriptionResult(text=hashlib.sha256(audio_input.data).hexdigest())

    async def hear(text: str) -> bytes:
        request = {"type": "input.transcribe", "params": {"audio_base64": text, "mime_type": "audio/ogg"}}
        result = await Listening(MemoryStore()).process(json.dumps(request), {"user_id": "alice"})
        assert isinstance(result, NonStreamingResult)
        return result.json

    data = bytes(range(256)) * 12_345
    heard = await hear(base64.b64encode(data).decode())
    assert json.loads(heard) == {"text": hashlib.sha256(data).hexdigest()}
    padded_inside = "A" * (MEBIBYTE - 2) + "==" + "AAAA"
    for text in (padded_inside, "A" * 5, "A A=", "=" * 4):
        with pytest.raises(InvalidRequestError):
            await hear(text)


@pytest.mark.parametrize(
    "body", [b"\xff", b'"\\ud800', b"[" * 300 + b'"\\ud800"' + b"]" * 300, b'{"a":"\\ud800"']
)
def test_what_is_no_json_is_told(body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="not valid JSON"):
        parse_request(body)
