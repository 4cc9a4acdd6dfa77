"""A server of the Messages API, which Claude's clients stream from; it answers by a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatkit.testing import ModelText, ModelThoughts, ModelToolCall
from chatkit.testing.model_script import ModelScript, ScriptedAnswer, pieces_of

__all__ = ["messages_app"]


def messages_app(
    answers: Sequence[ScriptedAnswer], *, before_each_event: Callable[[], Awaitable[object]] | None = None
) -> Starlette:
    """Returns an application with ``POST /v1/messages``, streamed.

    Its ``state`` has ``requests``, the bodies that came in, ``headers``, those that they came with, and
    ``open_streams``. An error in the script becomes a status 529: overloaded.

    Args:
        answers: One for each request.
        before_each_event: Called, and awaited, before each event of a stream.
    """
    script = ModelScript(answers)

    async def send(events: Iterator[dict[str, Any]]) -> AsyncIterator[bytes]:
        app.state.open_streams += 1
        try:
            for event in events:
                if before_each_event is not None:
                    await before_each_event()
                yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        finally:
            app.state.open_streams -= 1

    async def messages(request: Request) -> Response:
        body = await request.json()
        app.state.headers.append(dict(request.headers))
        assert body["stream"]
        try:
            outputs = script.next(body)
        except OverflowError as error:
            told = {"type": "error", "error": {"type": "overloaded_error", "message": str(error)}}
            return JSONResponse(told, 529)
        return StreamingResponse(send(events_of(outputs, body["model"])), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])
    app.state.requests = script.requests
    app.state.headers = []
    app.state.open_streams = 0
    return app


def events_of(outputs: Sequence[Any], model: str) -> Iterator[dict[str, Any]]:
    """Yields the events of a streamed message."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    yield {
        "type": "message_start",
        "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage},
    }
    yield {"type": "ping"}
    for index, output in enumerate(outputs):
        block, deltas = block_of(output)
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    calls = any(isinstance(output, ModelToolCall) for output in outputs)
    delta = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def block_of(output: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns a block of content as it begins, and what is added to it."""
    match output:
        case ModelToolCall(name=name, arguments=arguments, call_id=call_id):
            block = {"type": "tool_use", "id": call_id or "toolu_1", "name": name, "input": {}}
            pieces = pieces_of(json.dumps(arguments), 2)
            return block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case ModelThoughts(summaries=summaries):
            thoughts = [{"type": "thinking_delta", "thinking": text} for text in summaries]
            signed = {"type": "signature_delta", "signature": "signed"}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]
        case _:
            given = output if isinstance(output, ModelText) else ModelText(output)
            pieces = pieces_of(given.text, given.pieces)
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
