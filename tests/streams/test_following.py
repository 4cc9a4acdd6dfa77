"""The task that follows turns of other workers, over a backend that is played."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from chatkit.errors import StoreUnavailableError
from chatkit.streams.following import Follower
from tests.support.scale import scaled


class ClosingBackend:
    """Raises what a driver does that finds its connection closed, in the place of the cancellation that closed it."""

    watched = True

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def changes(self, *_: Any) -> Any:
        self.waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise StoreUnavailableError("The connection was closed.") from None


async def test_a_cancellation_ends_it_though_the_driver_raises_something_else() -> None:
    backend = ClosingBackend()
    follower = Follower(cast("Any", backend), 0.5, lambda *_: None)
    follower.begin_turn()
    await backend.waits.wait()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await asyncio.wait({task}, timeout=scaled(5))
    assert task.done()
