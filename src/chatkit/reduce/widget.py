"""The accumulator of widgets."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from chatkit.reduce.accumulators import ItemAccumulator
from chatkit.types import (
    ThreadItem,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
)
from chatkit.widgets import (
    BasicRoot,
    Card,
    DynamicWidgetComponent,
    DynamicWidgetRoot,
    ListView,
    ListViewItem,
    WidgetComponentBase,
    WidgetRoot,
)

__all__ = ["WidgetAccumulator"]

_STREAMING_COMPONENTS: Final = ("Text", "Markdown")
_ROOTS: TypeAdapter[WidgetRoot] = TypeAdapter(WidgetRoot, config={"defer_build": True})


class _Place:
    """Where a component stands, and the text streamed to it that is not in its ``value`` yet.

    Attributes:
        component: The component.
        parent: The place of the component that has it among its ``children``; None for the root.
        position: Its index in them; None where ``children`` is the component itself.
        chunks: The text.
    """

    __slots__ = ("chunks", "component", "parent", "position")

    def __init__(
        self, component: WidgetComponentBase, parent: _Place | None = None, position: int | None = None
    ) -> None:
        self.component = component
        self.parent = parent
        self.position = position
        self.chunks: list[str] = []

    def fill(self, parent: _Place) -> None:
        """Puts the component there, instead of what there is."""
        holder: Any = parent.component
        if self.position is None:
            holder.children = self.component
        else:
            holder.children[self.position] = self.component


def _places_from(top: _Place) -> Iterator[_Place]:
    """Yields a place and all below it, in the order of the document."""
    ahead = [top]
    while ahead:
        found = ahead.pop()
        yield found
        children = getattr(found.component, "children", None)
        if isinstance(children, list):
            ahead.extend(
                _Place(child, found, position)
                for position, child in reversed(list(enumerate(cast("list[object]", children))))
                if isinstance(child, WidgetComponentBase)
            )
        elif isinstance(children, WidgetComponentBase):
            ahead.append(_Place(children, found))


class WidgetAccumulator(ItemAccumulator):
    """Takes new content of a widget: of all of it, of one component, or text streamed to one."""

    __slots__ = ("_by_id", "_repeats_ids", "_streamed")

    _item: WidgetItem

    def __init__(self, item: WidgetItem) -> None:
        super().__init__(item)
        self._by_id: dict[str, _Place] | None = None
        self._repeats_ids = False
        self._streamed: list[_Place] = []

    def item(self) -> ThreadItem:
        self._join_text()
        return super().item()

    def _join_text(self) -> None:
        for place in self._streamed:
            component: Any = place.component
            component.value = "".join((_value(component) or "", *place.chunks))
            place.chunks.clear()
        self._streamed.clear()

    def _find(self, component_id: str) -> _Place:
        by_id = self._by_id
        if by_id is None:
            by_id = self._by_id = {}
            self._repeats_ids = False
            self._index(by_id, _places_from(_Place(self._item.widget)))
        place = by_id.get(component_id)
        if place is None:
            self.refuse(f"has a widget without a component {component_id!r}")
        return place

    def _index(self, by_id: dict[str, _Place], places: Iterator[_Place]) -> None:
        for place in places:
            component_id = place.component.id
            if component_id is not None and by_id.setdefault(component_id, place) is not place:
                self._repeats_ids = True

    def _set_root(self, update: WidgetRootUpdated) -> None:
        self._put_root(update.widget.model_copy(deep=True))

    def _put_root(self, widget: WidgetRoot) -> None:
        self._item.widget = widget
        self._by_id = None

    def _append_value(self, update: WidgetStreamingTextValueDelta) -> None:
        place = self._find(update.component_id)
        if not place.chunks:
            component = place.component
            value = _value(component)
            if component.type not in _STREAMING_COMPONENTS or not isinstance(value, str | None):
                self.refuse(
                    f"has a {component.type} as component {update.component_id!r}, which takes no text: only Text "
                    "and Markdown do"
                )
            self._streamed.append(place)
        place.chunks.append(update.delta)

    def _replace_component(self, update: WidgetComponentUpdated) -> None:
        place = self._find(update.component_id)
        component = update.component.model_copy(deep=True)
        parent = place.parent
        if parent is None:
            self._put_root(self._as_root(component))
            return
        holder = parent.component
        if isinstance(holder, DynamicWidgetComponent) and not isinstance(component, DynamicWidgetComponent):
            component = DynamicWidgetComponent.model_validate(component.model_dump())
        filled = _Place(component, parent, place.position)
        by_id = cast("dict[str, _Place]", self._by_id)
        if not self._repeats_ids:
            for gone in _places_from(place):
                by_id.pop(cast("str", gone.component.id), None)
            self._index(by_id, _places_from(filled))
        filled.fill(parent)
        if isinstance(holder, ListView) and not isinstance(component, ListViewItem):
            self._widen(parent, holder)
        elif self._repeats_ids:
            # Which of several is the first may have changed.
            self._by_id = None

    def _widen(self, place: _Place, entries: ListView) -> None:
        """Makes a list, whose class can hold entries only, a component of any content."""
        self._join_text()
        properties = entries.model_dump(exclude={"children"})
        properties["children"] = [child.model_dump() for child in entries.children]
        if place.parent is None:
            self._put_root(DynamicWidgetRoot.model_validate(properties))
        else:
            _Place(DynamicWidgetComponent.model_validate(properties), place.parent, place.position).fill(
                place.parent
            )
            self._by_id = None

    def _as_root(self, component: WidgetComponentBase) -> WidgetRoot:
        if isinstance(component, Card | ListView | BasicRoot | DynamicWidgetRoot):
            return component
        try:
            return _ROOTS.validate_python(component.model_dump())
        except ValidationError:
            self.refuse(f"has a widget whose root cannot be replaced by a {component.type}")

    _takes = MappingProxyType(
        {
            "widget.root.updated": _set_root,
            "widget.component.updated": _replace_component,
            "widget.streaming_text.value_delta": _append_value,
        }
    )


def _value(component: WidgetComponentBase) -> Any:
    return getattr(component, "value", None)
