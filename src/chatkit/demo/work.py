"""Demonstrations of work in progress: status lines, workflows, pictures, notices, effects and failures."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Final

from chatkit.demo.scene import Scene
from chatkit.ids import new_id
from chatkit.types import (
    ClientEffectEvent,
    CustomSummary,
    CustomTask,
    ErrorEvent,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    NoticeEvent,
    ProgressUpdateEvent,
    SearchTask,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["effect", "failure", "image", "notice", "picture", "progress", "workflow"]

_EDGE_PIXELS: Final = 64
_FAILED = "guide.failed_message"


async def progress(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields status lines, each of which replaces the last, and a closing message."""
    for message in ("Looking for the kettle…", "Heating the water…", "Waiting for the tea…"):
        yield ProgressUpdateEvent(message=message)
        await scene.pause(30)
    async for event in scene.say(
        "Tea is served. Status lines are gone with the answer; nothing of them is stored."
    ):
        yield event


async def workflow(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a workflow whose tasks begin and complete one by one."""
    tasks = [
        ThoughtTask(title="Think", content="What does somebody want to see who has never seen a workflow?"),
        SearchTask(
            title="Search",
            queries=["what is a workflow"],
            sources=[URLSource(title="Workflow", url="https://en.wikipedia.org/wiki/Workflow")],
        ),
        CustomTask(title="Write it down", content="A workflow is a list of steps with their state."),
    ]
    item = WorkflowItem(id=new_id("workflow"), workflow=Workflow(type="custom", tasks=[], expanded=True))
    yield ThreadItemAddedEvent(item=item)
    for index, task in enumerate(tasks):
        begun = task.model_copy(update={"status_indicator": "loading"})
        yield ThreadItemUpdatedEvent(item_id=item.id, update=WorkflowTaskAdded(task_index=index, task=begun))
        await scene.pause(20)
        tasks[index] = task.model_copy(update={"status_indicator": "complete"})
        yield ThreadItemUpdatedEvent(
            item_id=item.id, update=WorkflowTaskUpdated(task_index=index, task=tasks[index])
        )
    summary = CustomSummary(title=f"Took {len(tasks)} steps")
    yield ThreadItemDoneEvent(
        item=item.model_copy(update={"workflow": Workflow(type="custom", tasks=[*tasks], summary=summary)})
    )
    async for event in scene.say(
        "That was a workflow: three tasks, each with its state. It stays in the thread."
    ):
        yield event


async def image(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a picture that gets sharper, as image models send it."""
    item = GeneratedImageItem(id=new_id("message"))
    yield ThreadItemAddedEvent(item=item)
    sizes = (4, 16, 64)
    for step, size in enumerate(sizes, start=1):
        drawn = GeneratedImage(id=f"{item.id}_image", url=picture(size))
        yield ThreadItemUpdatedEvent(
            item_id=item.id, update=GeneratedImageUpdated(image=drawn, progress=step / len(sizes))
        )
        await scene.pause(20)
    yield ThreadItemDoneEvent(id=item.id)
    async for event in scene.say("I computed this picture here, pixel by pixel; no image model was asked."):
        yield event


async def notice(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields messages that stand outside the conversation."""
    yield NoticeEvent(
        level="info", title="For your information", message="A notice is **not** part of the thread."
    )
    yield NoticeEvent(level="warning", message="This one is a warning. Nothing is wrong.")
    async for event in scene.say("Two notices went to the page. They are shown once and never stored."):
        yield event


async def effect(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields an effect: a call of the page's own code that wants no answer."""
    yield ClientEffectEvent(type="guide.celebrate", payload={"message": "It works!"})
    async for event in scene.say(
        "I sent the client effect `guide.celebrate`. What it does is up to the page; this thread keeps nothing of it."
    ):
        yield event


async def failure(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields an error at the first try, an answer when the same message is retried."""
    if scene.thread.metadata.get(_FAILED) != scene.message_id:
        scene.thread.metadata = {**scene.thread.metadata, _FAILED: scene.message_id}
        yield ErrorEvent(
            message="This failure was ordered. Retry, and it will work.",
            code="guide_failure",
            retryable=True,
        )
        return
    async for event in scene.say(
        "The second try went well: everything after your message was deleted, then I answered."
    ):
        yield event


def picture(detail: int) -> str:
    """Returns a sunset as a PNG of 64 x 64 pixels in a data URL.

    ``detail`` is the number of cells along each edge, 1 to 64; fewer make it blockier.
    """
    rows = bytearray()
    for y in range(_EDGE_PIXELS):
        rows.append(0)  # PNG: this line is not filtered.
        for x in range(_EDGE_PIXELS):
            rows += bytes(_colour(_middle(x, detail), _middle(y, detail)))
    header = struct.pack(">IIBBBBB", _EDGE_PIXELS, _EDGE_PIXELS, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
    return "data:image/png;base64," + base64.b64encode(png + _chunk(b"IEND", b"")).decode("ascii")


def _middle(position: int, detail: int) -> float:
    """Returns the middle of the cell that a pixel lies in, from 0 to 1."""
    return (position * detail // _EDGE_PIXELS + 0.5) / detail


def _colour(x: float, y: float) -> tuple[int, int, int]:
    if (x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.05:
        return 255, 214, 110
    if y > 0.65:
        return 30, 60 + round(40 * (1 - y)), 110
    return round(110 + 140 * y), round(70 + 110 * y), 130


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
