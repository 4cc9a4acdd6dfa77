"""Calling an application's action handlers, in either spelling of their parameters.

The reference calls them with ``(thread, action_type, payload, context)``, ``openai-chatkit`` with
``(thread, action, sender, context)``. The bound method is inspected when it is called; it is never wrapped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from chatkit.actions import Action
from chatkit.types import ThreadMetadata, WidgetItem

__all__ = ["call_action"]

_REFERENCE_ORDER = ("thread", "action_type", "payload", "context")
_FULL_ORDER = ("thread", "action", "sender", "context")


def call_action(
    method: Callable[..., Any],
    thread: ThreadMetadata,
    action: Action[str, Any],
    sender: WidgetItem | None,
    context: object,
) -> Any:
    """Calls ``action()`` or ``sync_action()`` and returns what it returns.

    When all parameter names are known (a leading underscore does not count), each gets its own value; else the
    presence of ``action_type`` or ``payload`` decides between the two orders.
    """
    values: dict[str, Any] = {
        "thread": thread,
        "action": action,
        "sender": sender,
        "context": context,
        "action_type": action.type,
        "payload": {} if action.payload is None else action.payload,
    }
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return method(*(values[name] for name in _FULL_ORDER))
    named = {name.lstrip("_"): parameter for name, parameter in parameters.items()}
    required = {
        name
        for name, parameter in named.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    has_star = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values())
    if required <= values.keys() and not has_star:
        return _call_by_name(method, parameters, values)
    order = _REFERENCE_ORDER if {"action_type", "payload"} & named.keys() else _FULL_ORDER
    return method(*(values[name] for name in order))


def _call_by_name(
    method: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], values: dict[str, Any]
) -> Any:
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    by_position = True
    for name, parameter in parameters.items():
        bare = name.lstrip("_")
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if bare not in values:
            # A parameter of the application's own, with a default: what follows must go by keyword.
            by_position = False
        elif by_position and parameter.kind is not parameter.KEYWORD_ONLY:
            positional.append(values[bare])
        else:
            keywords[name] = values[bare]
    return method(*positional, **keywords)
