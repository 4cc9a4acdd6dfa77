"""Reading a request from its body."""

from __future__ import annotations

import json
import re
from typing import Final, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from chatkit._json import holds_too_many_values, is_mostly_one_text
from chatkit._unicode import encode
from chatkit.errors import InvalidRequestError, MalformedRequestError, RequestTooLargeError
from chatkit.limits import DEFAULT_LIMITS, Limits
from chatkit.server.bounds import check_bounds
from chatkit.types import ChatKitReq, ThreadsAddUserMessageReq, ThreadsCreateReq

__all__ = ["parse_request"]

_RECORDING: Final = b'"input.transcribe"'
_TYPE_WITHIN_BYTES: Final = 128 * 1024
"""Bytes at the beginning and at the end of a large body in which its type is looked for: metadata may come first."""

_PARSED_BYTES: Final = 8 * 1024
"""Bytes of a body with too many values that are parsed, to distinguish what is no JSON from what is too large."""

_MAX_OTHER_VALUES: Final = 1_000
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_MAX_SURROGATES: Final = 10_000
_SHOWN_CHARS: Final = 100

_REQUESTS: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq, config={"defer_build": True})


def parse_request(body: str | bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> ChatKitReq:
    """Returns the request in a body. Lone surrogates in it become U+FFFD.

    Raises:
        RequestTooLargeError: The body has more bytes, or more values, than is taken.
        MalformedRequestError: The body is not JSON, or not of a type that the protocol knows.
        InvalidRequestError: The parameters are not valid, or longer than is taken.
        NotFoundError: An id holds what no id holds.
    """
    given = encode(body) if isinstance(body, str) else bytes(body)
    is_large = len(given) > limits.body_bytes
    if is_large:
        _check_recording(given, limits)
    elif holds_too_many_values(given, limits.body_values):
        _parse(given[:_PARSED_BYTES], partial=True)
        raise RequestTooLargeError(
            f"The request is too large; at most {limits.body_values} values are taken."
        )
    request = _parse(given)
    if is_large and not _is_recording(request):
        raise _too_large(limits.body_bytes)
    check_bounds(request, limits)
    try:
        parsed = _REQUESTS.validate_python(request)
    except ValidationError as error:
        raise _refusal(error) from None
    if isinstance(parsed, ThreadsCreateReq | ThreadsAddUserMessageReq):
        written = sum(len(part.text) for part in parsed.params.input.content)
        if written > limits.text_chars:
            raise InvalidRequestError(
                f"params.input.content: at most {limits.text_chars} characters are taken, in all its parts."
            )
    return parsed


def _check_recording(body: bytes, limits: Limits) -> None:
    """Raises RequestTooLargeError unless a body that is large may be the request with a recording."""
    if len(body) > max(limits.transcribe_bytes, limits.body_bytes):
        raise _too_large(max(limits.transcribe_bytes, limits.body_bytes))
    may_be_one = _RECORDING in body[:_TYPE_WITHIN_BYTES] or _RECORDING in body[-_TYPE_WITHIN_BYTES:]
    if not may_be_one or not is_mostly_one_text(body, _MAX_OTHER_VALUES, _TYPE_WITHIN_BYTES):
        raise _too_large(limits.body_bytes)


def _is_recording(request: object) -> bool:
    return isinstance(request, dict) and cast("dict[str, object]", request).get("type") == "input.transcribe"


def _parse(body: bytes, *, partial: bool = False) -> object:
    try:
        return from_json(body, allow_partial=partial)
    except ValueError:
        if partial or _SURROGATE_ESCAPE.search(body) is None:
            raise MalformedRequestError("The body is not valid JSON.") from None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise MalformedRequestError("The body is not valid JSON.") from None
    # JSON may name what no text in UTF-8 can hold.
    repaired, found = _SURROGATES.subn("\ufffd", text, _MAX_SURROGATES + 1)
    if found > _MAX_SURROGATES:
        raise MalformedRequestError("The body is not valid JSON: it is full of lone surrogates.")
    return _parse(repaired.encode())


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The request is too large; at most {limit} bytes are taken.")


def _refusal(error: ValidationError) -> MalformedRequestError | InvalidRequestError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    if place:
        reason = first["msg"]
        if first["type"] == "union_tag_invalid":
            # The message would repeat what was sent.
            reason = f"Its 'type' must be one of {first.get('ctx', {}).get('expected_tags')}"
        return InvalidRequestError(f"{place[:_SHOWN_CHARS]}: {reason[:_SHOWN_CHARS]}.")
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return MalformedRequestError("The request's 'type' is missing or not one that this server knows.")
    return MalformedRequestError()
