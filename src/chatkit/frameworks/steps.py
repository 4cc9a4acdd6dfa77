"""The steps of an agent of any framework, which an adapter yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chatkit.types import Annotation, ThreadStreamEvent

__all__ = [
    "CitationStep",
    "Step",
    "TextEndStep",
    "TextStep",
    "ThoughtEndStep",
    "ThoughtStep",
    "ToolEndStep",
    "ToolStep",
]


@dataclass(frozen=True, slots=True)
class TextStep:
    """More text of an answer; opens a message if none is open."""

    text: str


@dataclass(frozen=True, slots=True)
class TextEndStep:
    """The open message is complete: text that follows is another one."""


@dataclass(frozen=True, slots=True)
class CitationStep:
    """What the text so far is based on, in the open message.

    Attributes:
        annotation: The source, and where in the text it belongs; see ``chatkit.types``.
    """

    annotation: Annotation


@dataclass(frozen=True, slots=True)
class ThoughtStep:
    """More of what the model thinks; opens a thought if none is open."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtEndStep:
    """The open thought is complete."""


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A tool begins to work.

    Attributes:
        call_id: Names the call; unique among those that run.
        title: What the user is shown.
        content: More about it, if anything.
    """

    call_id: str
    title: str
    content: str | None = None


@dataclass(frozen=True, slots=True)
class ToolEndStep:
    """A tool is done; unknown calls are ignored.

    Attributes:
        call_id: That of its :class:`ToolStep`.
        failed: Whether it did not succeed, so that no check mark is shown.
    """

    call_id: str
    failed: bool = False


Step: TypeAlias = (
    TextStep
    | TextEndStep
    | CitationStep
    | ThoughtStep
    | ThoughtEndStep
    | ToolStep
    | ToolEndStep
    | ThreadStreamEvent
)
"""A step, or a thread stream event for what there is no step for: a widget, an image, a client effect."""
