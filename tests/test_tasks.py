"""Ending tasks, also those that lose a cancellation."""

from __future__ import annotations

import asyncio

from chatkit._tasks import end_tasks
from tests.support.scale import scaled


async def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.Event().wait())]
    await asyncio.sleep(0)
    async with asyncio.timeout(scaled(10)):
        await end_tasks(tasks)
    assert lost == 2
    assert all(task.cancelled() for task in tasks)


async def test_none_and_those_that_have_ended() -> None:
    await end_tasks([])
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    await end_tasks([done])
    assert not done.cancelled()
