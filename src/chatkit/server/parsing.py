"""Reading a request: the body, and the keys of its metadata that have a meaning here."""

from __future__ import annotations

import hashlib
from functools import cache

from pydantic import TypeAdapter, ValidationError

from chatkit.errors import InvalidRequestError, MalformedRequestError
from chatkit.types import ChatKitReq, StreamingReq

__all__ = ["fingerprint", "idempotency_key", "is_resumable", "parse_request"]


@cache
def _request_adapter() -> TypeAdapter[ChatKitReq]:
    return TypeAdapter(ChatKitReq)


def parse_request(body: str | bytes | bytearray) -> ChatKitReq:
    """Returns the request in a body.

    Raises:
        MalformedRequestError: The body is not JSON, or not of a type that the protocol knows.
        InvalidRequestError: The parameters are not valid.
    """
    try:
        return _request_adapter().validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        first = problems[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if not place:
            raise MalformedRequestError(_malformed(str(first["type"]))) from None
        raise InvalidRequestError(f"{place}: {first['msg']}.") from None


def _malformed(kind: str) -> str:
    if kind == "json_invalid":
        return "The body is not valid JSON."
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return "The request's 'type' is missing or not one that this server knows."
    return MalformedRequestError.default_message


def is_resumable(request: StreamingReq) -> bool:
    """Tells whether the request's turn is to survive a disconnect."""
    return request.metadata.get("resumable") is True


def idempotency_key(request: StreamingReq) -> str | None:
    """Returns the key under which the same message may be sent again.

    Raises:
        InvalidRequestError: The key is no text, or of no fitting length.
    """
    key = request.metadata.get("idempotency_key")
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= 255:
        raise InvalidRequestError("metadata.idempotency_key must be a text of 1 to 255 characters.")
    return key


def fingerprint(request: StreamingReq) -> str:
    """Returns what two requests have in common when they ask for the same; their metadata may differ."""
    return hashlib.sha256(request.model_dump_json(exclude={"metadata"}).encode()).hexdigest()
