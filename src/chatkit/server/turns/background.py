"""Background work, such as making a title, which neither delays nor harms answers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from chatkit._outages import log_failure
from chatkit._tasks import end_tasks
from chatkit.errors import NotFoundError, StaleTurnError
from chatkit.limits import DEFAULT_LIMITS
from chatkit.server.blocking import watch_loop
from chatkit.server.turns.resources import current_resources
from chatkit.server.wire import thread_event, thread_json
from chatkit.store.base import current_fence

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["BackgroundWork", "LateTitle"]

logger = logging.getLogger("chatkit.server")

_KEPT_TITLES: Final = 1000
"""Titles that are kept for readers of the turns that began them, the newest."""


class BackgroundWork:
    """The background tasks of one server, which may outlive the turns that began them.

    Attributes:
        titles: The newest titles that turns began to make, by the id of the turn.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.titles: dict[str, LateTitle] = {}

    def run(
        self, work: Awaitable[Any], *inner: Awaitable[Any], name: str, seconds: float
    ) -> asyncio.Task[None]:
        """Begins work and returns its task, which never fails.

        Args:
            work: What is awaited; its errors are logged.
            inner: What it awaits itself.
            name: What it is, for the log.
            seconds: How long it may take.
        """
        task = asyncio.create_task(_bounded(work, name, seconds), name=f"chatkit {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # It may have been cancelled before it began: Python complains of coroutines that were not awaited.
        task.add_done_callback(lambda _: _close(work, *inner))
        return task

    def entitle(
        self, scope: RequestScope, thread_id: str, title: Awaitable[str | None], *, seconds: float
    ) -> asyncio.Task[None]:
        """Begins to make a title, and returns the task; see :func:`set_title`."""
        late = LateTitle()
        work = set_title(scope, thread_id, title, late)
        late.task = self.run(work, title, name=f"The title of thread {thread_id}", seconds=seconds)
        fence = current_fence.get()
        if fence is not None:
            self.titles[fence.turn_id] = late
            while len(self.titles) > _KEPT_TITLES:
                self.titles.pop(next(iter(self.titles)), None)
        return late.task

    async def end(self) -> None:
        """Cancels what still runs in this loop, and waits for its end."""
        loop = asyncio.get_running_loop()
        await end_tasks([task for task in self._tasks if task.get_loop() is loop])


class LateTitle:
    """A title that is being made, for readers whose turn has ended.

    Attributes:
        task: Makes it, and never fails.
        event: What tells it, once it is there; None where it is not, and where the turn has told it.
    """

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.event: bytes | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether it is being made in this event loop, or was made when the turn had ended."""
        task = self.task
        return self.event is not None or (not task.done() and task.get_loop() is asyncio.get_running_loop())

    async def told(self) -> bytes | None:
        """Waits until it is there, or it is clear that it will not be, and returns what tells it."""
        if self.event is None:
            await asyncio.wait({self.task})
        return self.event


def _close(*works: Awaitable[Any]) -> None:
    for work in works:
        if inspect.iscoroutine(work):
            work.close()


async def _bounded(work: Awaitable[Any], name: str, seconds: float) -> None:
    try:
        with watch_loop():
            async with asyncio.timeout(seconds):
                await work
    except TimeoutError:
        logger.warning(
            "%s took longer than %g s beside an answer and was given up", name, seconds, exc_info=True
        )
    except Exception as error:  # noqa: BLE001 -- it is logged
        log_failure(logger, f"{name} failed beside an answer, which goes on", error)


async def set_title(
    scope: RequestScope, thread_id: str, title: Awaitable[str | None], late: LateTitle
) -> None:
    """Gives a thread its title, if it has none when the title is ready.

    The turn that runs sends it; when it has ended, the streams do that still read it, by ``late``. A context that
    says ``automatic_thread_titling = False``, such as one of hosted ChatKit, wants none.
    """
    if getattr(scope.context, "automatic_thread_titling", True) is False:
        return
    made = " ".join(str(await title or "").split())[: DEFAULT_LIMITS.name_chars]
    try:
        if not made or (await scope.store.load_thread(thread_id, scope.context)).title is not None:
            return
        if not await _edited_by_turn({"title": made}):
            # The turn has ended, and with it its right to write.
            fence = current_fence.set(None)
            try:
                thread = scope.thread_key(thread_id)
                edited = await scope.turns.edit_thread(thread, {"title": made}, scope.store, scope.context)
                late.event = thread_event(thread_json(edited), created=False)
            finally:
                current_fence.reset(fence)
    except NotFoundError:
        logger.debug("Thread %s was deleted before it got its title.", thread_id)


async def _edited_by_turn(changed: dict[str, Any]) -> bool:
    """Changes the thread of the running turn; returns False if there is none, or it has ended meanwhile."""
    resources = current_resources.get()
    try:
        return resources is not None and await resources.edit_thread(changed)
    except StaleTurnError:
        return False
