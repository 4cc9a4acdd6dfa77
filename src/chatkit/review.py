"""The texts of what users send and of items, to be read and replaced in hooks such as ``review_input()``.

``texts_of`` returns them, ``with_texts`` puts others in their place, ``map_texts`` does both with one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from chatkit.types import (
    AssistantMessageContent,
    AttachmentBase,
    AttachmentCreateParams,
    HiddenContextItem,
    ThreadAddClientToolOutputParams,
    ThreadAddStructuredInputParams,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadCustomActionParams,
    ThreadUpdateParams,
)

__all__ = ["UserInput", "map_texts", "texts_of", "with_texts"]

UserInput: TypeAlias = (
    ThreadCreateParams
    | ThreadAddUserMessageParams
    | ThreadAddStructuredInputParams
    | ThreadAddClientToolOutputParams
    | ThreadCustomActionParams
    | ThreadUpdateParams
    | AttachmentCreateParams
)
"""What holds words of a user: a message, answers, a tool's output, an action or form, a title, a file name.

It has the form of the parameters of its request.
"""

_T = TypeVar("_T", bound=BaseModel)
_Take: TypeAlias = Callable[[str], str]

_TEXTS: Final = frozenset(
    {
        *(
            "text",
            "quoted_text",
            "title",
            "content",
            "question",
            "description",
            "copy_text",
            "label",
            "values",
        ),
        *(
            "queries",
            "title_query",
            "filename",
            "attribution",
            "inline_label",
            "placeholder",
            "alt",
            "caption",
            "ariaLabel",
        ),
    }
)
"""Fields that hold text, in whatever model."""
_JSON: Final = frozenset({"arguments", "output", "result", "payload", "data"})
"""Fields that hold JSON, every string of which counts as text; keys do not."""
_VALUES: Final = frozenset({"Text", "Title", "Caption", "Markdown", "Label", "Input", "Textarea"})
"""Components whose ``value``, or ``defaultValue``, is text; that of others is sent back by the page and compared."""


def texts_of(value: BaseModel) -> list[str]:
    """Returns the texts of an item, or of what a user sends, in their order.

    These are the words of messages, quotes, titles, tasks, questions, answers, widgets and file names, and every string
    of what is free JSON: outputs and arguments of tools, payloads of actions, data of mentions, hidden context.
    """
    found: list[str] = []

    def take(text: str) -> str:
        found.append(text)
        return text

    _in_model(value, take)
    return found


def with_texts(value: _T, texts: Sequence[str]) -> _T:
    """Returns a copy with other texts in the places of those that ``texts_of`` returns.

    Args:
        value: An item, or what a user sends; it is not changed.
        texts: As many as there are.

    Raises:
        ValueError: There are more, or fewer.
    """
    count = len(texts_of(value))
    if count != len(texts):
        raise ValueError(f"{type(value).__name__} has {count} texts, not {len(texts)}.")
    rest = iter(texts)
    return map_texts(value, lambda _: next(rest))


def map_texts(value: _T, change: Callable[[str], str]) -> _T:
    """Returns a copy in which a function has changed each text.

    Args:
        value: An item, or what a user sends; it is not changed.
        change: Gets a text, and returns what takes its place.
    """
    return _in_model(value, change)


def _in_model(model: _T, take: _Take) -> _T:
    # What was made without validation may lack fields.
    fields = {**vars(model), **(model.model_extra or {})}
    changed = dict(_changes(fields, take, model))
    if isinstance(model, AssistantMessageContent) and "text" in changed:
        # A citation stands in the text, or at its end.
        length = len(changed["text"])
        changed["annotations"] = [
            entry.model_copy(update={"index": None if entry.index is None else min(entry.index, length)})
            for entry in changed.get("annotations", model.annotations)
        ]
    return model.model_copy(update=changed) if changed else model


def _changes(
    fields: Mapping[str, Any], take: _Take, owner: BaseModel | None = None
) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if name in _JSON or (name == "content" and isinstance(owner, HiddenContextItem)):
            new = _in_json(value, take)
        elif _is_text(name, fields, owner):
            new = _in_strings(value, take)
        else:
            new = _in_any(value, take)
        if new is not value:
            yield name, new


def _is_text(name: str, fields: Mapping[str, Any], owner: BaseModel | None) -> bool:
    if name == "name":
        return isinstance(owner, AttachmentBase | AttachmentCreateParams)
    if name == "defaultValue":
        return fields.get("type") in _VALUES
    if name == "value":
        return fields.get("type") in _VALUES or type(owner).__name__ == "StructuredInputMultipleChoiceOption"
    return name in _TEXTS


def _in_strings(value: Any, take: _Take) -> Any:
    """Takes a string, or each of a list of strings; goes into what is neither."""
    if isinstance(value, str):
        return _unless_same(value, take(value))
    if isinstance(value, list):
        return _in_list(cast("list[Any]", value), take, _in_strings)
    return _in_any(value, take)


def _in_json(value: Any, take: _Take) -> Any:
    if isinstance(value, str):
        return _unless_same(value, take(value))
    if isinstance(value, list):
        return _in_list(cast("list[Any]", value), take, _in_json)
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        made = {key: _in_json(entry, take) for key, entry in entries.items()}
        return made if any(made[key] is not entries[key] for key in entries) else entries
    return _in_any(value, take)


def _in_any(value: Any, take: _Take) -> Any:
    if isinstance(value, BaseModel):
        return _in_model(value, take)
    if isinstance(value, list):
        return _in_list(cast("list[Any]", value), take, _in_any)
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        changed = dict(_changes(entries, take))
        return {**entries, **changed} if changed else entries
    return value


def _in_list(entries: list[Any], take: _Take, go_in: Callable[[Any, _Take], Any]) -> list[Any]:
    made = [go_in(entry, take) for entry in entries]
    return made if any(new is not old for new, old in zip(made, entries, strict=True)) else entries


def _unless_same(before: str, now: str) -> str:
    return before if now == before else now
