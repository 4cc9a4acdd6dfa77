"""Widgets as plain text, with the actions that they offer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

from chatkit.types import WidgetItem

__all__ = ["WidgetAction", "widget_actions", "widget_lines"]

_LABELS: Final = ("value", "label", "title", "alt", "name")
_SHOWN: Final = ("Badge", "Caption", "Label", "Markdown", "Text", "Title")
_NESTED: Final = ("children", "confirm", "cancel")


class WidgetAction(NamedTuple):
    """Something that a widget can be asked to do.

    Attributes:
        item_id: The widget's item.
        label: What its button says.
        type: Name of the action.
        payload: What goes with it.
        streaming: Whether the server answers with a stream.
    """

    item_id: str
    label: str
    type: str
    payload: Any
    streaming: bool


def widget_lines(item: WidgetItem) -> list[str]:
    """Returns the texts of a widget, a line each; its copy text if it has none."""
    lines: list[str] = []
    for component in _components(_plain(item)):
        if component.get("type") in _SHOWN:
            text = component.get("value") or component.get("label")
            if isinstance(text, str) and text.strip():
                lines.extend(text.strip().splitlines())
    if lines or item.copy_text is None:
        return lines
    return item.copy_text.splitlines()


def widget_actions(item: WidgetItem) -> list[WidgetAction]:
    """Returns what can be pressed in a widget and is handled by the server."""
    found: list[WidgetAction] = []
    for component in _components(_plain(item)):
        for name in ("onClickAction", "onSubmitAction", "action"):
            config = component.get(name)
            if isinstance(config, dict):
                action = _action(item.id, _label(component), cast("dict[str, Any]", config))
                if action is not None and not component.get("disabled"):
                    found.append(action)
    return found


def _plain(item: WidgetItem) -> dict[str, Any]:
    return item.widget.model_dump(mode="json", exclude_none=True)


def _components(component: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a component and all below it, in the order in which they are shown."""
    yield component
    for name in _NESTED:
        below = component.get(name)
        for child in cast("list[Any]", below) if isinstance(below, list) else [below]:
            if isinstance(child, dict):
                yield from _components(cast("dict[str, Any]", child))


def _label(component: dict[str, Any]) -> str:
    for inner in _components(component):
        for name in _LABELS:
            text = inner.get(name)
            if isinstance(text, str) and text.strip():
                return text.strip().splitlines()[0]
    return str(component.get("type", "action"))


def _action(item_id: str, label: str, config: dict[str, Any]) -> WidgetAction | None:
    kind = config.get("type")
    if not isinstance(kind, str) or config.get("handler", "server") != "server":
        return None
    return WidgetAction(item_id, label, kind, config.get("payload"), config.get("streaming") is not False)
