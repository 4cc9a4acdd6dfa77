"""Demonstrations of work in progress: status lines, workflows, pictures, notices, effects and failures."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatkit.demo.picture import picture
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

__all__ = ["effect", "failure", "image", "notice", "progress", "workflow"]

_FAILED = "guide.failed_message"


async def progress(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields status lines, each in the place of the one before, and a closing message."""
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
