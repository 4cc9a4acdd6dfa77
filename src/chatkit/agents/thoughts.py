"""The thought that is being streamed into a workflow."""

from __future__ import annotations

from pydantic import BaseModel

from chatkit.types import ThoughtTask

__all__ = ["StreamingThoughtTracker"]


class StreamingThoughtTracker(BaseModel):
    """A summary of reasoning that grows as a task of a workflow.

    Attributes:
        item_id: The model's reasoning item.
        index: Which of the item's summaries it is.
        task: The task so far.
    """

    item_id: str
    index: int
    task: ThoughtTask
