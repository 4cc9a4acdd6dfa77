"""How methods that an application wrote for ``openai-chatkit`` are called: by its call forms, sync or async."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from chatkit._tasks import maybe_await

__all__ = ["CallForm", "accepts", "call", "call_form", "call_maybe_async", "callable_by_names"]

TMethod = TypeVar("TMethod", bound=Callable[..., Any])


class CallForm(NamedTuple):
    """How ``openai-chatkit`` 1.6.5 calls a method.

    Attributes:
        names: The parameters, in the port's order.
        positional: How many of them it gives by position; the others go by keyword.
    """

    names: tuple[str, ...]
    positional: int


def call_form(names: str, positional: int) -> CallForm:
    """Returns the form of a method whose parameters are given as one string."""
    return CallForm(tuple(names.split()), positional)


def call(method: Any, form: CallForm, arguments: tuple[Any, ...]) -> Any:
    """Calls a method with arguments in the port's order, and returns what it returns.

    They are given as 1.6.5 gives them, if the method takes them so. Otherwise, or if a position is that of another
    parameter of the port, they go by keyword, and where the method has other names, by position.
    """
    count = _positional(getattr(method, "__func__", method), form, hasattr(method, "__func__"))
    return method(*arguments[:count], **dict(zip(form.names[count:], arguments[count:], strict=True)))


async def call_maybe_async(method: Any, form: CallForm, arguments: tuple[Any, ...]) -> Any:
    """Like ``call``, for a method that may be async."""
    return await maybe_await(call(method, form, arguments))


def accepts(function: Any, form: CallForm) -> bool:
    """Returns whether a method, taken from its class, can be called with a form's arguments at all."""
    return _fitting(function, form, is_method=True) is not None


def callable_by_names(method: TMethod) -> TMethod:
    """Lets a method be called by its parameters' names, although they are positional only to type checkers.

    Overrides may have other names, and callers of ``openai-chatkit`` use its own.
    """
    function: Any = method
    function.__code__ = function.__code__.replace(co_posonlyargcount=0)
    return method


@lru_cache(maxsize=1024)
def _positional(function: Any, form: CallForm, is_method: bool) -> int:
    count = _fitting(function, form, is_method=is_method)
    # What fits in no way is called as 1.6.5 does, and raises what it raises there.
    return form.positional if count is None else count


def _fitting(function: Any, form: CallForm, *, is_method: bool) -> int | None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return form.positional
    own: Mapping[str, object] = {}
    names = form.names
    receiver = (_RECEIVER,) if is_method else ()
    fallback: int | None = None
    for count in dict.fromkeys((form.positional, 0, *range(len(names), 0, -1))):
        try:
            # Each parameter is bound to its own name, which shows what would go to the wrong one.
            own = signature.bind(
                *receiver, *names[:count], **{name: name for name in names[count:]}
            ).arguments
        except TypeError:
            continue
        if all(name not in names or value == name for name, value in own.items() if isinstance(value, str)):
            return count
        fallback = count if fallback is None else fallback
    return fallback


_RECEIVER: Final = object()
