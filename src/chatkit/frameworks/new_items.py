"""What of a thread is news to an agent that remembers its own answers."""

from __future__ import annotations

from chatkit.server.tool_calls import answered_calls
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputItem,
    ThreadItem,
    UserMessageItem,
)

__all__ = ["new_items"]


def new_items(newest: list[ThreadItem], message: UserMessageItem | None) -> list[ThreadItem]:
    """Returns what an agent has not seen that remembers its own answers: the message, and what else is the user's.

    Args:
        newest: The thread's newest items, newest first.
        message: The message, if there is one.
    """
    found: list[ThreadItem] = []
    if message is not None:
        found.append(message)
        place = next((index for index, item in enumerate(newest) if item.id == message.id), -1)
        newest = newest[place + 1 :]
    for item in newest:
        if isinstance(item, UserMessageItem | AssistantMessageItem):
            break
        is_news = isinstance(
            item, ClientToolCallItem | StructuredInputItem | HiddenContextItem | SDKHiddenContextItem
        )
        # What the agent's own tools answered it knows.
        if is_news and answered_calls(item) is None:
            found.append(item)
    return found[::-1]
