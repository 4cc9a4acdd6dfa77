"""Accumulators: one takes the updates of a pending item one by one and builds the item that they add up to.

An update costs what it brings, however much came before it: streamed text is kept in pieces that are joined when
the item is asked for. Nothing here is shared with the caller: items and updates handed in are copied, and so is
every item handed out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from chatkit.reduce.accumulators import (
    ImageAccumulator,
    ItemAccumulator,
    MessageAccumulator,
    WorkflowAccumulator,
)
from chatkit.reduce.widget import WidgetAccumulator
from chatkit.types import ThreadItem

__all__ = ["ItemAccumulator", "accumulator"]

_KINDS: Final[dict[str, Callable[[Any], ItemAccumulator]]] = {
    "assistant_message": MessageAccumulator,
    "generated_image": ImageAccumulator,
    "widget": WidgetAccumulator,
    "workflow": WorkflowAccumulator,
}


def accumulator(item: ThreadItem) -> ItemAccumulator:
    """Returns an accumulator that begins with the item, which is not changed."""
    return _KINDS.get(item.type, ItemAccumulator)(item)
