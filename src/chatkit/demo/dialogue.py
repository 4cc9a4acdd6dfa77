"""Demonstrations that the user takes part in: widgets, client tools, questions, locked and closed threads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel, Field

from chatkit.actions import Action
from chatkit.demo.scene import Scene
from chatkit.ids import new_id
from chatkit.types import (
    ActiveStatus,
    ClientToolCallItem,
    ClosedStatus,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetItem,
    WidgetStreamingTextValueDelta,
)
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot

__all__ = [
    "Count",
    "Unlock",
    "answers",
    "close",
    "count",
    "counted",
    "lock",
    "questions",
    "tool",
    "tool_output",
    "unlock",
]


class CountPayload(BaseModel):
    """The number that a button sets."""

    cups: int = Field(ge=0, le=99)


class Count(Action[Literal["guide.count"], CountPayload]):
    """Sets the number of cups in the tea widget."""


class Unlock(Action[Literal["guide.unlock"], None]):
    """Makes a locked thread active again."""


_TIP = "Each button sends an action; the server answers by replacing this widget."


async def count(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a widget with buttons, one of its texts streamed."""
    item = WidgetItem(id=new_id("message"), widget=_tea(0, tip="", streaming=True), copy_text="Tea: 0 cups")
    yield ThreadItemAddedEvent(item=item)
    words = _TIP.split(" ")
    for number, word in enumerate(words, start=1):
        yield ThreadItemUpdatedEvent(
            item_id=item.id,
            update=WidgetStreamingTextValueDelta(
                component_id="tip", delta=word if number == 1 else f" {word}", done=number == len(words)
            ),
        )
        await scene.pause()
    yield ThreadItemDoneEvent(item=item.model_copy(update={"widget": _tea(0, tip=_TIP)}))


def counted(action: Count, widget: WidgetItem) -> WidgetItem:
    """Returns the tea widget as it is after a button was pressed."""
    cups = action.payload.cups
    return widget.model_copy(update={"widget": _tea(cups, tip=_TIP), "copy_text": f"Tea: {_cups(cups)}"})


def _tea(cups: int, tip: str, *, streaming: bool = False) -> DynamicWidgetRoot:
    buttons = [
        _button("One more", min(cups + 1, 99)),
        _button("One less", max(cups - 1, 0)),
        # Not streamed: the page gets the new widget as the answer to its request.
        _button("None", 0, streaming=False),
    ]
    return DynamicWidgetRoot(
        type="Card",
        children=[
            DynamicWidgetComponent(type="Title", value="Tea", size="sm"),
            DynamicWidgetComponent(type="Text", id="cups", value=_cups(cups), size="lg"),
            DynamicWidgetComponent(type="Row", gap=2, children=buttons),
            DynamicWidgetComponent(
                type="Text", id="tip", value=tip, size="sm", color="secondary", streaming=streaming
            ),
        ],
    )


def _button(label: str, cups: int, *, streaming: bool = True) -> DynamicWidgetComponent:
    action = Count.create(CountPayload(cups=cups), streaming=streaming)
    return DynamicWidgetComponent(type="Button", label=label, onClickAction=action)


def _cups(cups: int) -> str:
    return "1 cup" if cups == 1 else f"{cups} cups"


async def tool(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a call of a tool that the page has. The turn ends here and goes on with the tool's output."""
    async for event in scene.say("I am asking your side for the time; I go on when its answer is here."):
        yield event
    call = ClientToolCallItem(
        id=new_id("tool_call"),
        call_id=new_id("tool_call"),
        name="get_local_time",
        arguments={"format": "iso"},
    )
    yield ThreadItemDoneEvent(item=call)


def tool_output(scene: Scene, call: ClientToolCallItem) -> AsyncIterator[ThreadStreamEvent]:
    """Yields what there is to say to a tool's output."""
    output = json.dumps(call.output, ensure_ascii=False, indent=2)
    return scene.say(f"`{call.name}` answered:\n\n```json\n{output}\n```\n")


async def questions(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields two questions, one with answers to choose from and one to be answered freely."""
    drinks = [StructuredInputMultipleChoiceOption(value=value) for value in ("Tea", "Coffee", "Water")]
    yield ThreadItemDoneEvent(
        item=StructuredInputItem(
            id=new_id("message"),
            inputs=[
                StructuredInputMultipleChoice(
                    id="drinks", question="What do you drink in the morning?", options=drinks, multiple=True
                ),
                StructuredInputFreeform(
                    id="reason", question="Why?", description="A few words are enough; or skip it."
                ),
            ],
        )
    )


def answers(scene: Scene, item: StructuredInputItem) -> AsyncIterator[ThreadStreamEvent]:
    """Yields thanks for the answers."""
    if item.status == "skipped":
        return scene.say("You skipped the questions. That is fine too.")
    lines = ["Thank you! You answered:", ""]
    for question in item.inputs:
        answer = question.answer
        given = ", ".join(answer.values) if answer is not None and answer.values else "*skipped*"
        lines.append(f"- {question.question} {given}")
    return scene.say("\n".join(lines))


async def lock(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a widget that unlocks the thread, and locks it."""
    said = DynamicWidgetComponent(
        type="Text", value="This thread is locked: it takes no messages. Actions still arrive."
    )
    button = DynamicWidgetComponent(type="Button", label="Unlock", onClickAction=Unlock.create(None))
    widget = DynamicWidgetRoot(type="Card", children=[said, button])
    yield ThreadItemDoneEvent(
        item=WidgetItem(id=new_id("message"), widget=widget, copy_text="This thread is locked.")
    )
    scene.thread.status = LockedStatus(reason="Locked by your own command. Press “Unlock” to go on.")


async def unlock(scene: Scene, widget: WidgetItem | None) -> AsyncIterator[ThreadStreamEvent]:
    """Unlocks the thread and says so, in place of the widget too."""
    scene.thread.status = ActiveStatus()
    if widget is not None:
        text = "This thread was locked for a while."
        done = DynamicWidgetRoot(type="Card", children=[DynamicWidgetComponent(type="Text", value=text)])
        yield ThreadItemReplacedEvent(item=widget.model_copy(update={"widget": done, "copy_text": text}))
    async for event in scene.say("Unlocked. Go on."):
        yield event


async def close(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Says goodbye and closes the thread for good."""
    async for event in scene.say("I close this thread now; it stays readable. Start a new one to go on."):
        yield event
    scene.thread.status = ClosedStatus(reason="Closed by your own command. Start a new thread.")
