"""Checks what an application's methods return and yield; the errors say what to write instead."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import BaseModel

from chatkit._tasks import maybe_await
from chatkit.errors import InvalidEventError, InvalidResultError
from chatkit.server.wire import attachment_json, item_page_json, thread_json, thread_page_json
from chatkit.types import AttachmentBase, Page, Thread, ThreadItemBase, ThreadMetadata

__all__ = [
    "event_error",
    "event_iterator",
    "method_name",
    "passed_through",
    "settled_result",
    "wrong_result",
    "wrong_value",
]

logger = logging.getLogger("chatkit.server")

_AS_EVENTS: Final = (
    "yield text for a message, or events of chatkit.types, such as ThreadItemDoneEvent(item=WidgetItem(...))"
)


def method_name(method: Callable[..., Any]) -> str:
    """Returns class and name of a method of the application's."""
    owner = getattr(method, "__self__", None)
    name = getattr(method, "__name__", type(method).__name__)
    return name if owner is None else f"{type(owner).__qualname__}.{name}"


# What a handler returns.


def event_iterator(made: object, name: str) -> AsyncIterator[Any]:
    """Returns an iterator over the events of a handler.

    Args:
        made: What calling the handler gave, awaited if it could be.
        name: The handler's class and name.

    Raises:
        InvalidResultError: It is nothing that events can be read from with ``async for``.
    """
    if isinstance(made, AsyncGenerator):
        return cast("AsyncIterator[Any]", made)
    kind: Any = type(made)
    if hasattr(kind, "__aiter__"):
        events: Any = kind.__aiter__(made)
        if hasattr(events, "__anext__"):
            return _Checked(events, name)
        raise InvalidResultError(
            f"{name}() returned {_named(made)} whose __aiter__() gives no asynchronous iterator, but "
            f"{_named(events)}. Write it as 'async def' with 'yield'."
        )
    _dispose(made)
    if made is None:
        remedy = f"Write it as 'async def', and {_AS_EVENTS}; one without events needs a yield all the same"
    elif isinstance(made, Iterator):
        remedy = "Write 'async def' instead of 'def'"
    elif isinstance(made, Sequence) and not isinstance(made, str | bytes):
        remedy = "Yield its events one by one instead, in a method written as 'async def'"
    else:
        remedy = f"Write it as 'async def', and {_AS_EVENTS}"
    raise InvalidResultError(
        f"{name}() returned {_named(cast('object', made))}, not an asynchronous generator. {remedy}."
    )


class _Checked:
    """An asynchronous iterator of the application's own."""

    def __init__(self, events: Any, name: str) -> None:
        self._events = events
        self._name = name
        if hasattr(events, "aclose"):
            self.aclose = events.aclose

    def __aiter__(self) -> _Checked:
        return self

    async def __anext__(self) -> Any:
        made = self._events.__anext__()
        if not inspect.isawaitable(made):
            raise InvalidResultError(
                f"{self._name}() returned an iterator whose __anext__() gives {_named(made)}. Write 'async def "
                "__anext__'."
            )
        return await made


# What a handler yields.


def passed_through(value: object) -> bytes | None:
    """Returns an object that is no event as JSON, as ``openai-chatkit`` sends it; None for what cannot be sent.

    Raises:
        InvalidEventError: It has no form in JSON.
    """
    kinds = type(value).__mro__
    if BaseModel not in kinds or ThreadItemBase in kinds:
        return None
    try:
        encoded = _encode(cast("BaseModel", value), kinds)
        parsed: object = json.loads(encoded)
        if b"\n" in encoded or b"\r" in encoded:
            encoded = json.dumps(parsed).encode()
    except Exception as error:
        raise InvalidEventError(
            f"A handler yielded {_named(value)}, which is no event and has no form in JSON ({error}). "
            f"{_AS_EVENTS.capitalize()}."
        ) from error
    if not isinstance(parsed, dict):
        return None
    _warn_of_passing(type(value).__qualname__)
    return encoded


def _encode(value: BaseModel, kinds: tuple[type, ...]) -> bytes:
    # What clients do not see of threads, items and files is left out here too.
    made: Any = value
    if Thread in kinds:
        return thread_json(made, made.items)
    if ThreadMetadata in kinds:
        return thread_json(made)
    if AttachmentBase in kinds:
        return attachment_json(made)
    if Page in kinds:
        holds_threads = any(isinstance(entry, ThreadMetadata) for entry in made.data)
        return thread_page_json(made) if holds_threads else item_page_json(made)
    return value.model_dump_json(by_alias=True, exclude_none=True, context={"exclude_metadata": True}).encode(
        "utf-8"
    )


@lru_cache(maxsize=1000)
def _warn_of_passing(kind: str) -> None:
    logger.warning(
        "A handler yielded an object of type %s, which is no event: it is sent as it is, and not stored. An update of "
        "an item goes into ThreadItemUpdatedEvent(item_id=..., update=...).",
        kind,
    )


def event_error(value: object, name: str) -> InvalidEventError:
    """Returns the error of a value that no handler may yield."""
    _dispose(value)
    kind = type(value)
    if ThreadItemBase in kind.__mro__:
        remedy = "Yield ThreadItemDoneEvent(item=...) with it"
    elif issubclass(kind, Mapping):
        remedy = "Yield an event object, such as ThreadItemDoneEvent(item=...)"
    elif hasattr(kind, "__aiter__"):
        remedy = "Yield its events: 'async for event in ...: yield event'"
    elif hasattr(kind, "__await__"):
        remedy = "Await it"
    elif hasattr(kind, "__iter__"):
        remedy = "Yield its events: 'for event in ...: yield event'"
    else:
        remedy = _AS_EVENTS.capitalize()
    return InvalidEventError(f"{name}() yielded {_named(value)}, which is no thread stream event. {remedy}.")


def wrong_value(event: object, error: Exception) -> InvalidEventError:
    """Returns the error of an event that was made without validation and holds what it must not."""
    return InvalidEventError(f"{type(event).__qualname__} holds a value that it must not hold: {error}.")


# What other methods return.


async def settled_result(made: Any, name: str) -> Any:
    """Returns the result of a method that may be written with or without ``async``.

    Raises:
        InvalidResultError: The method is a generator, of which nothing would run.
    """
    result = await maybe_await(made)
    if inspect.isasyncgen(result) or inspect.isgenerator(result):
        _dispose(result)
        raise InvalidResultError(
            f"{name}() is a generator, so that nothing of it runs. Remove 'yield' from it, and return the result."
        )
    return result


def wrong_result(made: object, name: str, instead: str) -> InvalidResultError:
    """Returns the error of a method that returned something else than it must; ``instead`` says what to write."""
    _dispose(made)
    return InvalidResultError(f"{name}() returned {_named(made)}. {instead}")


def _dispose(value: object) -> None:
    """Closes a coroutine or generator that will not run, so that Python does not complain of it."""
    if inspect.iscoroutine(value) or inspect.isgenerator(value):
        value.close()


def _named(value: object) -> str:
    if value is None:
        return "None"
    for kind, words in _WORDS.items():
        if isinstance(value, type):
            return f"the class {value.__qualname__}"
        if type(value) is kind:
            return words
    if inspect.isasyncgen(value):
        return "an asynchronous generator"
    if inspect.isgenerator(value):
        return "a generator"
    if inspect.iscoroutine(value):
        return "a coroutine that was not awaited"
    return f"an object of type {type(value).__qualname__}"


_WORDS: Final[dict[type, str]] = {
    str: "a string",
    bytes: "bytes",
    dict: "a dict",
    list: "a list",
    tuple: "a tuple",
}
