"""Hidden items that keep tool calls: those that the page is asked for later, and those that the server has answered.

A page is asked for one call at a time. When a response has several, the others wait in a hidden item of the thread,
where every worker finds them: the next one is asked for when the output of the one before is posted.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field, ValidationError

from chatkit.types import ClientToolCallItem, SDKHiddenContextItem, ThreadItem, UserMessageItem

__all__ = [
    "AnsweredCall",
    "abandoned_calls",
    "answered_calls",
    "answered_calls_item",
    "next_call",
    "queue_item",
    "queued_calls",
]

_MARK: Final = '{"kind":"chatkit.tool_calls",'


class AnsweredCall(BaseModel):
    """A call that a tool of the server's own answered.

    Attributes:
        call_id: The model's id of the call.
        name: The tool.
        arguments: JSON, as the model gave it.
        output: What the model gets for it.
    """

    call_id: str
    name: str
    arguments: str
    output: str


class _ToolCalls(BaseModel):
    kind: Literal["chatkit.tool_calls"] = "chatkit.tool_calls"
    queued: list[ClientToolCallItem] = Field(default_factory=list[ClientToolCallItem])
    answered: list[AnsweredCall] = Field(default_factory=list[AnsweredCall])


def queue_item(item_id: str, thread_id: str, calls: list[ClientToolCallItem]) -> SDKHiddenContextItem:
    """Returns the hidden item that keeps calls for later."""
    return SDKHiddenContextItem(
        id=item_id, thread_id=thread_id, content=_ToolCalls(queued=calls).model_dump_json()
    )


def answered_calls_item(item_id: str, thread_id: str, calls: list[AnsweredCall]) -> SDKHiddenContextItem:
    """Returns the hidden item that keeps what tools of the server answered beside those of the page."""
    return SDKHiddenContextItem(
        id=item_id, thread_id=thread_id, content=_ToolCalls(answered=calls).model_dump_json()
    )


def _read(item: object) -> _ToolCalls | None:
    if not isinstance(item, SDKHiddenContextItem) or not item.content.startswith(_MARK):
        return None
    try:
        return _ToolCalls.model_validate_json(item.content)
    except ValidationError:
        return None


def queued_calls(item: object) -> list[ClientToolCallItem]:
    """Returns the calls that an item keeps for later; none for other items."""
    kept = _read(item)
    return [] if kept is None else kept.queued


def answered_calls(item: object) -> list[AnsweredCall] | None:
    """Returns the answered calls that an item keeps; None for an item that keeps no calls at all."""
    kept = _read(item)
    return None if kept is None else kept.answered


def next_call(newest: list[ThreadItem]) -> ClientToolCallItem | None:
    """Returns the call that the page is to be asked for next, if one waits.

    Args:
        newest: The thread's newest items, newest first. What came before a user's message counts no more.
    """
    asked: set[str] = set()
    for item in newest:
        if isinstance(item, UserMessageItem):
            return None
        if isinstance(item, ClientToolCallItem):
            asked.add(item.id)
        left = [call for call in queued_calls(item) if call.id not in asked]
        if left:
            return left[0]
    return None


def abandoned_calls(items: list[ThreadItem], answered: ClientToolCallItem) -> list[ClientToolCallItem]:
    """Returns the calls that still wait although a later one was answered: no output can reach them any more."""
    return [
        item
        for item in items
        if isinstance(item, ClientToolCallItem) and item.status == "pending" and item.id != answered.id
    ]
