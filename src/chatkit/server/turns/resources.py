"""Resources of a turn: what helpers that a handler calls have started, and the turn has to release at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from chatkit._outages import log_failure

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope
    from chatkit.server.turns.journal import Journal
    from chatkit.server.turns.usage import TurnUsage
    from chatkit.streams.base import TurnInfo

__all__ = ["TurnResources", "current_resources", "is_continued"]

logger = logging.getLogger("chatkit.server")

Release: TypeAlias = Callable[[], Awaitable[object]]
Edit: TypeAlias = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class TurnResources:
    """The resources of one turn, released newest first.

    A generator that a handler leaves in the middle of an ``async for`` would only be closed by the garbage collector,
    in a task that the turn does not know.

    Attributes:
        edit: Changes fields of the turn's thread, saves and sends them; None as soon as the handler is done.
        continued: Ids of items of earlier turns that this one adds to. Once it changes them they are its own, which it
            stores and closes however it ends.
        scope: The turn's request; None where the turn is none of a server.
        info: The turn; None where it is none of a server.
        journal: Its journal, once it was asked for.
        usage: What its models use, once one was called.
    """

    __slots__ = ("_editing", "_releases", "continued", "edit", "info", "journal", "scope", "usage")

    def __init__(
        self,
        edit: Edit | None = None,
        scope: RequestScope | None = None,
        info: TurnInfo | None = None,
    ) -> None:
        self.edit = edit
        self.scope = scope
        self.info = info
        self.journal: Journal | None = None
        self.usage: TurnUsage | None = None
        self._editing: set[asyncio.Future[None]] = set()
        self.continued: set[str] = set()
        self._releases: dict[object, Release] = {}

    def add(self, key: object, release: Release) -> None:
        """Has ``release`` called and awaited at the end of the turn."""
        self._releases[key] = release

    def discard(self, key: object) -> None:
        """Forgets what is released already."""
        self._releases.pop(key, None)

    async def edit_thread(self, changed: dict[str, Any]) -> bool:
        """Changes fields of the turn's thread; returns False if the handler is done, so that nothing was changed."""
        if self.edit is None:
            return False
        editing = asyncio.ensure_future(self.edit(changed))
        self._editing.add(editing)
        editing.add_done_callback(self._editing.discard)
        await asyncio.shield(editing)
        return True

    async def release(self) -> None:
        """Releases everything, whatever fails on the way."""
        self.edit = None
        if self._editing:
            await asyncio.wait(self._editing)
        while self._releases:
            _, release = self._releases.popitem()
            try:
                await release()
            except Exception as error:  # noqa: BLE001 -- it is logged
                log_failure(logger, "Releasing what a turn had started failed", error)


current_resources: ContextVar[TurnResources | None] = ContextVar("chatkit_turn_resources", default=None)
"""The resources of the turn that the running code belongs to; None outside of turns."""


def is_continued(item_id: str) -> bool:
    """Returns whether the running turn adds to an item of an earlier one."""
    resources = current_resources.get()
    return resources is not None and item_id in resources.continued
