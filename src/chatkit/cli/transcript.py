"""The events of a conversation, and widgets, as text in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

from chatkit.cli.console import Console
from chatkit.types import (
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomSummary,
    DurationSummary,
    ErrorEvent,
    GeneratedImageItem,
    NoticeEvent,
    ProgressUpdateEvent,
    StructuredInputItem,
    Task,
    TaskItem,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    URLSource,
    UserMessageItem,
    WidgetItem,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["Transcript"]

_MARKS: Final = {"none": "-", "loading": "…", "complete": "✓"}
_LABELS: Final = ("value", "label", "title", "alt", "name")
_SHOWN: Final = ("Badge", "Caption", "Label", "Markdown", "Text", "Title")
_NESTED: Final = ("children", "confirm", "cancel")


class WidgetAction(NamedTuple):
    """Something that a widget can be asked to do: ``streaming`` if the server answers with a stream."""

    item_id: str
    label: str
    type: str
    payload: Any
    streaming: bool


class Transcript:
    """Writes what happens in a thread.

    Attributes:
        actions: What the widgets on show can be asked to do, by the number that the user presses.
    """

    def __init__(self, console: Console) -> None:
        self.actions: dict[int, WidgetAction] = {}
        self._console = console
        self._written: dict[str, list[str]] = {}
        self._status = "active"

    def clear(self) -> None:
        """Forgets the thread that was on show."""
        self.actions = {}
        self._written = {}
        self._status = "active"

    def show(self, event: ThreadStreamEvent) -> None:
        """Writes an event as it happens."""
        console = self._console
        match event:
            case ThreadItemUpdatedEvent():
                self._show_update(event)
            case ThreadItemAddedEvent():
                if isinstance(event.item, AssistantMessageItem):
                    console.end_line()
                    self._show_text(event.item)
            case ThreadItemDoneEvent():
                if not isinstance(event.item, UserMessageItem):
                    self.show_item(event.item)
            case ThreadItemReplacedEvent():
                self.show_item(event.item)
            case ThreadItemRemovedEvent():
                self._forget_actions(event.item_id)
            case ProgressUpdateEvent():
                console.aside(f"… {event.text}")
            case NoticeEvent():
                title = f"{event.title}: " if event.title else ""
                console.line(f"[{event.level}] {title}{event.message}")
            case ErrorEvent():
                hint = " (/retry tries again)" if event.allow_retry else ""
                console.line(f"error: {event.message or 'Something went wrong.'}{hint}")
            case ClientEffectEvent():
                console.aside(f"(effect {event.name} {_json(event.data)})")
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                self.show_status(event.thread)
            case _:
                pass

    def show_status(self, thread: Thread) -> None:
        """Says so when a thread takes messages no more, or again."""
        status = thread.status
        if status.type != self._status:
            reason = getattr(status, "reason", None)
            self._console.aside(f"(the thread is {status.type}{f': {reason}' if reason else ''})")
            self._status = status.type

    def show_item(self, item: ThreadItem) -> None:
        """Writes a whole item, but for text of it that was written while it streamed."""
        console = self._console
        match item:
            case UserMessageItem():
                console.line("> " + " ".join(part.text for part in item.content))
            case AssistantMessageItem():
                self._show_text(item)
                console.end_line()
                cited = [note for part in item.content for note in part.annotations]
                for number, annotation in enumerate(cited, start=1):
                    source = annotation.source
                    address = f", {source.url}" if isinstance(source, URLSource) else ""
                    console.aside(f"  [{number}] {source.title}{address}")
            case WidgetItem():
                self._show_widget(item)
            case WorkflowItem():
                self._show_workflow(item)
            case TaskItem():
                console.aside(_task(item.task))
            case GeneratedImageItem():
                console.aside(f"[image: {_address(item.image.url) if item.image else 'not finished'}]")
            case ClientToolCallItem():
                console.aside(f"(tool {item.name} {_json(item.arguments)}: {item.status})")
            case StructuredInputItem():
                for question in item.inputs:
                    given = question.answer.values if question.answer else []
                    console.aside(f"? {question.question} {', '.join(given)}".rstrip())
            case _:
                pass

    def _show_update(self, event: ThreadItemUpdatedEvent) -> None:
        update = event.update
        match update:
            case AssistantMessageContentPartAdded():
                self._append_text(event.item_id, update.content.text)
            case AssistantMessageContentPartTextDelta():
                self._append_text(event.item_id, update.delta)
            case WorkflowTaskAdded() | WorkflowTaskUpdated():
                self._console.aside(_task(update.task))
            case _:
                pass

    def _append_text(self, item_id: str, text: str) -> None:
        # Pieces, to be joined when the whole is there: adding to one text would copy it at each delta.
        self._written.setdefault(item_id, []).append(text)
        self._console.write(text)

    def _show_text(self, item: AssistantMessageItem) -> None:
        text = "".join(part.text for part in item.content)
        written = "".join(self._written.get(item.id, []))
        if text != written:
            if not text.startswith(written):
                self._console.end_line()
            self._console.write(text.removeprefix(written))
            self._written[item.id] = [text]

    def _show_widget(self, item: WidgetItem) -> None:
        for line in _widget_lines(item):
            self._console.line(f"  | {line}")
        # A widget that changes keeps its numbers, as far as it has use for them.
        numbers = self._forget_actions(item.id)
        for action in _widget_actions(item):
            number = numbers.pop(0) if numbers else max(self.actions, default=0) + 1
            self.actions[number] = action
            self._console.line(f"  | /{number} [{action.label}]")

    def _forget_actions(self, item_id: str) -> list[int]:
        numbers = [number for number, action in self.actions.items() if action.item_id == item_id]
        for number in numbers:
            del self.actions[number]
        return numbers

    def _show_workflow(self, item: WorkflowItem) -> None:
        match item.workflow.summary:
            case CustomSummary(title=title):
                self._console.aside(f"({title})")
            case DurationSummary(duration=seconds):
                self._console.aside(f"(took {seconds} s)")
            case None:
                self._console.aside(f"({len(item.workflow.tasks)} steps)")


def _task(task: Task) -> str:
    title = task.title or getattr(task, "content", None) or task.type
    return f"  {_MARKS[task.status_indicator]} {title}"


def _address(url: str) -> str:
    if not url.startswith("data:"):
        return url
    return f"{url[5:].partition(';')[0].partition(',')[0] or 'data'}, {len(url)} characters"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _widget_lines(item: WidgetItem) -> list[str]:
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


def _widget_actions(item: WidgetItem) -> list[WidgetAction]:
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
