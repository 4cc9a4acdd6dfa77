"""What a tool of a run returned, and what it told the chat meanwhile: recorded, and done again without the tool."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any, cast

from agents.tool import ToolOutputFileContent, ToolOutputImage, ToolOutputText
from pydantic import TypeAdapter

from chatkit.agents.workflow import is_about_workflow
from chatkit.errors import InvalidResultError
from chatkit.server.turns.journal import as_json
from chatkit.types import ProgressUpdateEvent, ThreadStreamEvent

__all__ = ["RecordedTool", "ToolRecord", "current_tool"]

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


class ToolRecord:
    """What one call of a tool did.

    Attributes:
        is_whole: Whether it can be done again: not so if the tool has changed a workflow, or streamed a widget.
        page_call: The call that it wants the page to carry out, as JSON.
    """

    def __init__(self) -> None:
        self.is_whole = True
        self.page_call: Any = None
        self._told: list[Any] = []

    def note(self, event: ThreadStreamEvent) -> None:
        """Notes an event that the tool sends."""
        if is_about_workflow(event):
            self.is_whole = False
        elif not isinstance(event, ProgressUpdateEvent):
            # Now: the tool may change it.
            self._told.append(event.model_dump(mode="json", exclude_none=True))

    def dump(self, output: Any) -> str:
        """Returns all that with the tool's output, as JSON."""
        return as_json(
            {"output": _as_the_model_sees(output), "told": self._told, "page_call": self.page_call},
            "What a tool returned",
        )


class RecordedTool:
    """What a call of a tool did, as it was recorded."""

    def __init__(self, value: Any) -> None:
        self.output: Any = value["output"]
        self.told = [_EVENTS.validate_python(event) for event in value["told"]]
        self.page_call: Any = value["page_call"]


def _as_the_model_sees(output: Any) -> Any:
    """Returns the output of a tool as JSON of which the SDK makes the same for the model."""
    if isinstance(cast("object", output), list | tuple):
        parts = [_structured(part) for part in output]
        found = None if not parts or None in parts else parts
    else:
        found = _structured(output)
    try:
        again = json.loads(as_json(output if found is None else found, "The output"))
    except InvalidResultError:
        return str(output)
    # The model is told its text, which is another one after JSON for tuples, keys that are numbers, and enumerations.
    is_text = found is None and not isinstance(output, str)
    return str(output) if is_text and str(again) != str(output) else again


def _structured(output: Any) -> Any:
    """Returns an output that the SDK gives the model as more than its text, as JSON; None for others."""
    if isinstance(output, ToolOutputText | ToolOutputImage | ToolOutputFileContent):
        return output.model_dump(mode="json", exclude_none=True)
    return cast("Any", output) if isinstance(output, dict) and "type" in output else None


current_tool: ContextVar[ToolRecord | None] = ContextVar("chatkit_tool", default=None)
"""The record of the tool that the running code belongs to, if the turn has a journal."""
