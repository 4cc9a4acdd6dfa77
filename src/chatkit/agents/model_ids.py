"""Ids of a model's output items, also where the model gives none."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from chatkit.agents.context import AgentContext

__all__ = ["ModelIds"]

Kind: TypeAlias = Literal["message", "reasoning", "image"]

_NO_IDS: Final = frozenset({"__fake_id__", "", None})
"""What the SDK gives instead of an id for models behind Chat Completions, and the like."""


class ModelIds:
    """Gives each output item without an id one of its own, the same in all events about the item.

    A response has at most one such item of a kind at a time.

    Args:
        context: Makes the ids.
    """

    def __init__(self, context: AgentContext[Any]) -> None:
        self._context = context
        self._present: dict[Kind, str] = {}

    def begin_response(self) -> None:
        """Forgets the items of the response before."""
        self._present.clear()

    def begin(self, kind: Kind, raw_id: str | None) -> str:
        """Returns the id of an item that begins."""
        if raw_id not in _NO_IDS:
            return str(raw_id)
        made = self._present[kind] = self._context.generate_id("message")
        return made

    def of(self, kind: Kind, raw_id: str | None) -> str:
        """Returns the id of an item that an event is about."""
        if raw_id not in _NO_IDS:
            return str(raw_id)
        return self._present.get(kind) or self.begin(kind, raw_id)

    def end(self, kind: Kind, raw_id: str | None) -> str:
        """Returns the id of an item that is complete."""
        item_id = self.of(kind, raw_id)
        if raw_id in _NO_IDS:
            self._present.pop(kind, None)
        return item_id

    def fresh_unless_known(self, raw_id: str | None, kind: Literal["tool_call"]) -> str:
        """Returns the id, or a fresh one where there is none."""
        return self._context.generate_id(kind) if raw_id in _NO_IDS else str(raw_id)
