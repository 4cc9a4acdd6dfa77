"""The models of a server's answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from pydantic import BaseModel, Field, RootModel, ValidationError

from chatkit._json import holds_too_many_values
from chatkit.client.errors import UnexpectedAnswerError
from chatkit.types import (
    Attachment,
    Capabilities,
    Page,
    Thread,
    ThreadMetadata,
)
from chatkit.types.base import Model

__all__ = [
    "ActiveTurn",
    "AnyAttachment",
    "StoppedTurns",
    "ThreadPage",
    "ThreadView",
    "all_entries",
    "read_answer",
]

T = TypeVar("T")
TAnswer = TypeVar("TAnswer", bound=BaseModel)

_MAX_VALUES: Final = 2_000_000


class ActiveTurn(Model):
    """A turn that is running."""

    id: str


class ThreadView(Thread):
    """A thread with its oldest items.

    Attributes:
        active_turn: The turn that is running in it; ``resume`` attaches to it.
    """

    active_turn: ActiveTurn | None = None


class ThreadPage(Page[ThreadMetadata]):
    """A page of threads.

    Attributes:
        capabilities: What the server can do, where it was asked. By default what openai-chatkit 1.6.5 can: its
            protocol has recordings and files, though not every application takes them.
    """

    capabilities: Capabilities = Field(default_factory=lambda: Capabilities(transcription=True, uploads=True))


class AnyAttachment(RootModel[Attachment]):
    """An attachment of either kind."""


class StoppedTurns(Model):
    """The answer to a stop: ids of the turns that it ended."""

    stopped: list[str] = Field(default_factory=list)


def read_answer(url: str, body: bytes, kind: type[TAnswer]) -> TAnswer:
    """Returns the answer that a body holds; raises UnexpectedAnswerError if it is none, or has too many values."""
    if holds_too_many_values(body, _MAX_VALUES):
        raise UnexpectedAnswerError(
            f"{url} answered with more than {_MAX_VALUES} values; ask for a smaller page."
        )
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise UnexpectedAnswerError(
            f"{url} answered with something that is not an answer of the ChatKit protocol. "
            "Is the URL the chat's endpoint?"
        ) from error


async def all_entries(load: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Yields the entries of all pages; ``load`` returns the page after a cursor, the first one for None."""
    after: str | None = None
    while True:
        page = await load(after)
        for entry in page.data:
            yield entry
        if not page.has_more or page.after in {None, after}:
            return
        after = page.after
