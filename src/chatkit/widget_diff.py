"""The updates that turn one version of a widget into the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, cast

from chatkit.types import WidgetComponentUpdated, WidgetRootUpdated, WidgetStreamingTextValueDelta
from chatkit.widgets import WidgetRoot

__all__ = ["diff_widget"]

_STREAMING_COMPONENTS: Final = ("Text", "Markdown")


def diff_widget(
    before: WidgetRoot, after: WidgetRoot, *, component_updates: bool = False
) -> list[WidgetStreamingTextValueDelta | WidgetRootUpdated | WidgetComponentUpdated]:
    """Returns the updates that turn ``before`` into ``after``.

    Where nothing changed but that texts with an ``id`` grew (``value`` of Text and Markdown), these are the pieces
    that were added; otherwise it is the whole new widget. No update at all means no difference.

    Args:
        before: What a client shows.
        after: What it shall show.
        component_updates: Whether components that have an ``id`` of their own in both versions, at the same place, may
            be sent alone. It saves the rest of the widget, and what the user has typed elsewhere in it stays.
    """
    old, new = before.model_dump(exclude_none=True), after.model_dump(exclude_none=True)
    if component_updates:
        parts = _component_updates(old, new)
        return [WidgetRootUpdated(widget=after)] if parts is None else [*parts]
    deltas: list[WidgetStreamingTextValueDelta] = []
    if not _only_grew(old, new, deltas):
        return [WidgetRootUpdated(widget=after)]
    if deltas:
        # Text goes to the first component with the id.
        counts = Counter(_ids(new))
        if any(counts[delta.component_id] > 1 for delta in deltas):
            return [WidgetRootUpdated(widget=after)]
    return [*deltas]


def _component_updates(
    old: dict[str, Any], new: dict[str, Any]
) -> list[WidgetStreamingTextValueDelta | WidgetComponentUpdated] | None:
    """Returns updates of the innermost components that an id tells apart, or None where only the whole widget will do.

    Components are compared place by place, so an id that is there once in both versions is there once in whatever a
    client has between two of the updates, too.
    """
    before, after = Counter(_ids(old)), Counter(_ids(new))
    return _updates_inside(old, new, {name for name, count in after.items() if count == before[name] == 1})


def _updates_between(
    old: Any, new: Any, known: set[str]
) -> list[WidgetStreamingTextValueDelta | WidgetComponentUpdated] | None:
    """Returns the updates of one component, or None where what holds it has to be sent."""
    if _same(old, new):
        return []
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    inside = _updates_inside(before, after, known)
    if inside is not None:
        return inside
    name = after.get("id")
    if name not in known or before.get("id") != name:
        return None
    return [WidgetComponentUpdated.model_validate({"component_id": name, "component": after})]


def _updates_inside(
    before: dict[str, Any], after: dict[str, Any], known: set[str]
) -> list[WidgetStreamingTextValueDelta | WidgetComponentUpdated] | None:
    """Returns the updates of a component that stays, or None where it does not."""
    deltas: list[WidgetStreamingTextValueDelta] = []
    if not _only_grew({**before, "children": None}, {**after, "children": None}, deltas):
        return None
    if any(delta.component_id not in known for delta in deltas):
        return None
    old, new = _children(before), _children(after)
    if len(old) != len(new) or isinstance(before.get("children"), list) != isinstance(
        after.get("children"), list
    ):
        return None
    found: list[WidgetStreamingTextValueDelta | WidgetComponentUpdated] = [*deltas]
    for one, other in zip(old, new, strict=True):
        updates = _updates_between(one, other, known)
        if updates is None:
            return None
        found += updates
    return found


def _children(component: dict[str, Any]) -> list[Any]:
    children: Any = component.get("children")
    return cast("list[Any]", children) if isinstance(children, list) else [children]


def _only_grew(old: Any, new: Any, deltas: list[WidgetStreamingTextValueDelta]) -> bool:
    """Returns whether the components differ in streamed text only, which is added to the list."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return _same(old, new)
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    if before.keys() != after.keys():
        return False
    streams = after.get("type") in _STREAMING_COMPONENTS and isinstance(after.get("id"), str)
    for name, value in after.items():
        previous = before[name]
        if name == "children":
            if not _children_only_grew(previous, value, deltas):
                return False
        elif _same(previous, value):
            continue
        elif (
            name == "value"
            and streams
            and before.get("id") == after["id"]
            and isinstance(previous, str)
            and isinstance(value, str)
            and value.startswith(previous)
        ):
            deltas.append(
                WidgetStreamingTextValueDelta(
                    component_id=after["id"], delta=value[len(previous) :], done=not after.get("streaming")
                )
            )
        else:
            return False
    return True


def _children_only_grew(old: Any, new: Any, deltas: list[WidgetStreamingTextValueDelta]) -> bool:
    if not isinstance(old, list) or not isinstance(new, list):
        return _only_grew(old, new, deltas)
    before, after = cast("list[Any]", old), cast("list[Any]", new)
    return len(before) == len(after) and all(
        _only_grew(one, other, deltas) for one, other in zip(before, after, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    """Compares JSON values; unlike in Python, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(one, list) and isinstance(other, list):
        these, those = cast("list[Any]", one), cast("list[Any]", other)
        return len(these) == len(those) and all(map(_same, these, those))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _ids(component: Any) -> Iterator[str]:
    ahead: list[Any] = [component]
    while ahead:
        found = ahead.pop()
        if isinstance(found, list):
            ahead.extend(cast("list[Any]", found))
        elif isinstance(found, dict):
            properties = cast("dict[str, Any]", found)
            if isinstance(component_id := properties.get("id"), str):
                yield component_id
            ahead.append(properties.get("children"))
