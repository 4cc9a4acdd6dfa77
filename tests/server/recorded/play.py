"""How a scenario is played, and what is kept of it; runs with whichever package provides ``chatkit``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from chatkit.server import StreamingResult
from chatkit.types import FileAttachment, ImageAttachment
from tests.server.recorded.application import Application
from tests.server.recorded.plain_store import PlainFiles, PlainStore

THREAD = "$thread"
MESSAGE = "$message"
LIMIT = 20.0
"""Seconds after which a reader that waits has waited in vain."""
_KINDS = ("thr", "message", "sdk_hidden_context", "task", "tool_call", "workflow")


@dataclass(frozen=True)
class Setting:
    """What surrounds a scenario."""

    server: type[Application] = Application
    store: Callable[[], PlainStore] = PlainStore
    files: Callable[[], Any] | None = PlainFiles
    context: dict[str, Any] = field(default_factory=dict)


async def play(scenario: list[dict[str, Any]], setting: Setting) -> list[Any]:
    """Returns the answers: lists of events, JSON bodies, or the name of what was raised; then the store's content."""
    store = setting.store()
    server = setting.server(store, setting.files() if setting.files else None)
    context = {"user_id": "ada", **setting.context}
    known: dict[str, str] = {}
    answers: list[Any] = []
    for request in scenario:
        if "upload" in request:
            answers.append(await _upload(store, request["upload"], context))
            continue
        body = json.dumps({key: value for key, value in request.items() if key != "reader"})
        for name, value in known.items():
            body = body.replace(f'"{name}"', json.dumps(value))
        answers.append(answer := await _send(server, body, context, **request.get("reader", {})))
        for event in answer if isinstance(answer, list) else ():
            if event.get("type") == "thread.created":
                known.setdefault(THREAD, event["thread"]["id"])
            if event.get("type") == "thread.item.done" and event["item"]["type"] == "user_message":
                known.setdefault(MESSAGE, event["item"]["id"])
    return normalise([*answers, _stored(store)], store.made)


async def _upload(store: PlainStore, file: dict[str, str], context: Any) -> Any:
    """Does what the application's own upload endpoint does."""
    common: Any = {"id": f"atc_{file['name']}", "name": file["name"], "mime_type": file["mime_type"]}
    preview: Any = "https://files.example/p"
    attachment: Any = (
        ImageAttachment(preview_url=preview, **common)
        if file["mime_type"].startswith("image/")
        else FileAttachment(**common)
    )
    await store.save_attachment(attachment, context)
    return attachment.model_dump(mode="json", exclude_none=True)


async def _send(
    server: Application,
    body: str,
    context: dict[str, Any],
    leaves_after: int | None = None,
    cancelled_after: int | None = None,
) -> Any:
    events: list[Any] = []
    try:
        result = await server.process(body, context)
        if not isinstance(result, StreamingResult):
            return json.loads(result.json)
        if cancelled_after is not None:
            return await _read_until_cancelled(result, cancelled_after)
        frames: Any = aiter(result)
        async for event in _read(frames):
            events.append(event)
            if len(events) == leaves_after:
                await frames.aclose()
                break
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- what is raised is a fact to record
        return [*events, _raised(error)] if events else _raised(error)
    return events


async def _read(frames: Any) -> AsyncIterator[Any]:
    async for frame in frames:
        assert frame.startswith(b"data: ")
        assert frame.endswith(b"\n\n")
        yield json.loads(frame[6:])


async def _read_until_cancelled(result: Any, after: int) -> list[Any]:
    events: list[Any] = []
    enough = asyncio.Event()

    async def read() -> None:
        async for event in _read(aiter(result)):
            events.append(event)
            if len(events) == after:
                enough.set()

    task = asyncio.create_task(read())
    async with asyncio.timeout(LIMIT):
        await enough.wait()
        # The handler goes on behind the last event, and waits there.
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return [*events, _raised(error)]
    return events


def _raised(error: BaseException) -> dict[str, Any]:
    """Tells the class and what else it is caught as."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return {"raised": names[: names.index("BaseException")]}


def _stored(store: PlainStore) -> dict[str, Any]:
    def plain(models: Any) -> list[Any]:
        return [model.model_dump(mode="json", exclude_none=True) for model in models]

    return {
        "stored": {
            "threads": plain(store.threads.values()),
            "items": {thread: plain(items.values()) for thread, items in store.items.items()},
            "attachments": plain(store.attachments.values()),
        }
    }


def normalise(value: Any, made: list[str]) -> Any:
    """Returns the answers with moments as a placeholder, and made-up ids numbered as they come.

    Args:
        value: The answers.
        made: Ids that are different each time.
    """
    names: dict[str, str] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(entry) for entry in value]
        if isinstance(value, dict):
            return {
                walk(key): "<time>" if key == "created_at" else walk(entry) for key, entry in value.items()
            }
        if isinstance(value, str):
            kind, _, number = value.rpartition("_")
            if value in made or (kind in _KINDS and number.isdigit()):
                return names.setdefault(value, f"<{kind} {len(names) + 1}>")
        return value

    return walk(value)
