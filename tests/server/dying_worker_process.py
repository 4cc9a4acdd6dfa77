"""A worker that kills itself at one point of its only turn: run as a program.

``POSTGRES REDIS PREFIX LEASE POINT``: takes a message under an idempotency key, and dies before or after the named
method of its store, or of its log. With ``apart`` at the end the store writes message, key and turn one by one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from chatkit.ids import new_id
from chatkit.store import PostgresStore
from chatkit.streams import RedisStreamLog
from tests.server.support import done, drain, writes_apart
from tests.server.test_kill_points import SENT, Surviving


def dying(method: Any, *, after: bool) -> Any:
    async def call(*arguments: Any, **rest: Any) -> Any:
        if after:
            await method(*arguments, **rest)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    # A new id of this package's: such an item is stored by put_thread_item().
    yield done("Of the first worker", new_id("message"))


async def main() -> None:
    postgres, redis, prefix, lease, point, *apart = sys.argv[1:]
    moment, name = point.split()
    # The class: a store with a method of its own would write one by one.
    dies: Any = RedisStreamLog if name == "open" else PostgresStore
    setattr(dies, name, dying(getattr(dies, name), after=moment == "after"))
    store: Any = writes_apart(PostgresStore(postgres)) if apart else PostgresStore(postgres)
    log = RedisStreamLog(redis, prefix=prefix, lease=float(lease))
    server = Surviving(answer, store, stream_log=log, rerun_on_crash=1)
    await drain(await server.create(metadata=SENT))


asyncio.run(main())
