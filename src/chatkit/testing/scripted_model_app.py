"""A scripted model behind HTTP: what ``OPENAI_BASE_URL`` can point at in a test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatkit.testing.model_script import (
    ModelScript,
    ScriptedAnswer,
    completion_chunks,
    response_events,
)

__all__ = ["scripted_model_app"]


def scripted_model_app(
    answers: Sequence[ScriptedAnswer],
    *,
    repeat: bool = False,
    before_each_event: Callable[[], Awaitable[object]] | None = None,
) -> Starlette:
    """Returns an ASGI application that speaks the Responses API and Chat Completions.

    It serves ``POST /v1/responses`` and ``POST /v1/chat/completions``, streamed or not, and ``GET /v1/models``. Its
    ``state`` has ``requests``, the bodies that came in, ``headers``, those that they came with, and
    ``open_streams``, how many streams are being sent at the moment. An error in the script becomes a status 500.

    Args:
        answers: One for each request.
        repeat: Whether the script begins again at its end.
        before_each_event: Called, and awaited, before each event of a stream.
    """
    script = ModelScript(answers, repeat=repeat)

    async def send(events: Iterator[dict[str, Any]], *, named: bool) -> AsyncIterator[bytes]:
        app.state.open_streams += 1
        try:
            for event in events:
                if before_each_event is not None:
                    await before_each_event()
                name = f"event: {event['type']}\n" if named else ""
                yield f"{name}data: {json.dumps(event)}\n\n".encode()
            if not named:
                yield b"data: [DONE]\n\n"
        finally:
            app.state.open_streams -= 1

    def events_for(request: Any, headers: Any, make: Any) -> Any:
        app.state.headers.append(headers)
        return make(script.next(request), model=request.get("model", "scripted"))

    async def responses(request: Request) -> Response:
        body = await request.json()
        events = events_for(body, dict(request.headers), response_events)
        if body.get("stream"):
            return StreamingResponse(send(events, named=True), media_type="text/event-stream")
        *_, completed = events
        return JSONResponse(completed["response"])

    async def completions(request: Request) -> Response:
        body = await request.json()
        chunks = events_for(body, dict(request.headers), completion_chunks)
        if body.get("stream"):
            return StreamingResponse(send(chunks, named=False), media_type="text/event-stream")
        return JSONResponse(_whole_completion([*chunks]))

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model", "created": 0}]})

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": {"message": str(error), "type": "server_error"}}, status_code=500)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)

    app = Starlette(
        routes=[
            Route("/v1/responses", responses, methods=["POST"]),
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/v1/models", models),
        ],
        exception_handlers={AssertionError: failed, RuntimeError: failed, ClientDisconnect: gone},
    )
    app.state.requests = script.requests
    app.state.headers = []
    app.state.open_streams = 0
    return app


def _whole_completion(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    reason = "stop"
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message.setdefault("tool_calls", []).extend(delta.get("tool_calls", ()))
            reason = choice["finish_reason"] or reason
    if not message["tool_calls"]:
        del message["tool_calls"]
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {**chunks[-1], "object": "chat.completion", "choices": choices}
