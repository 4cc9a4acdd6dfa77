"""The ids of a model's output items, replaced by the store's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from chatkit.agents.context import AgentContext
from chatkit.server.turns.resources import current_resources

__all__ = ["ModelIds"]

Kind: TypeAlias = Literal["message", "reasoning", "image"]

_NO_IDS: Final = frozenset({"__fake_id__", "", None})
"""Placeholders that the SDK uses as ids, such as for models with the Chat Completions API."""
_UNIQUE: Final = 20
"""Characters from which on an id is taken for one of an API that makes each id once, not for a counter's."""


@dataclass(slots=True)
class _Output:
    """An output item: our id of it, and the model server's when it began."""

    id: str
    raw_id: Any
    ended: bool = False


class ModelIds:
    """Gives each output item of a run one id, the same in all events about the item.

    An item is found by its place in the response (``output_index``), else by the id that the model server gives. In
    a turn ids are made here. Outside of one, as in an application's tests, the first item with an id keeps it.
    """

    def __init__(self, context: AgentContext[Any]) -> None:
        self._context = context
        self._in_turn = current_resources.get() is not None
        self._by_index: dict[tuple[Kind, int], _Output] = {}
        self._by_raw_id: dict[tuple[Kind, str], _Output] = {}
        self._latest: dict[Kind, _Output] = {}
        self._kept: set[str] = set()

    def begin_response(self) -> None:
        """Forgets the items of the previous response."""
        self._by_index.clear()
        self._by_raw_id.clear()
        self._latest.clear()

    def begin(self, kind: Kind, raw_id: Any, index: int | None) -> str:
        """Returns the id of an item that begins."""
        return self._add(kind, raw_id, index).id

    def of(self, kind: Kind, raw_id: Any, index: int | None) -> str:
        """Returns the id of an item that an event is about."""
        return (self._find(kind, raw_id, index) or self._add(kind, raw_id, index)).id

    def end(self, kind: Kind, raw_id: Any, index: int | None) -> str:
        """Returns the id of an item that is complete."""
        output = self._find(kind, raw_id, index) or self._add(kind, raw_id, index)
        output.ended = True
        return output.id

    def _add(self, kind: Kind, raw_id: Any, index: int | None) -> _Output:
        output = _Output(self._make_id(raw_id, "message"), raw_id)
        self._latest[kind] = output
        if isinstance(index, int):
            self._by_index[kind, index] = output
        if raw_id not in _NO_IDS:
            self._by_raw_id[kind, raw_id] = output
        return output

    def _find(self, kind: Kind, raw_id: Any, index: int | None) -> _Output | None:
        by_index = None if index is None else self._by_index.get((kind, index))
        if by_index is not None and by_index.raw_id == raw_id:
            return by_index
        if raw_id not in _NO_IDS:
            by_raw_id = self._by_raw_id.get((kind, raw_id))
            if by_raw_id is not None and (by_index is None or by_index.ended or not by_raw_id.ended):
                return by_raw_id
        found = by_index
        if found is None and (index is None or raw_id in _NO_IDS):
            found = self._latest.get(kind)
        return None if found is None or found.ended else found

    def _make_id(self, raw_id: Any, kind: str) -> str:
        if raw_id in _NO_IDS or self._in_turn or raw_id in self._kept:
            return self._context.generate_id(kind)
        self._kept.add(raw_id)
        return str(raw_id)

    def of_call(self, raw_id: Any) -> str:
        """Returns an id for the item of a function call."""
        return self._make_id(raw_id, "tool_call")

    def of_image(self, raw_id: Any, item_id: str) -> str:
        """Returns the id of a generated image: the model server's if it is one for which its API can be asked again."""
        return raw_id if isinstance(raw_id, str) and len(raw_id) >= _UNIQUE else item_id
