"""A worker dies at a point of its turn, and its client sends the message again: told once, answered once."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatkit.ids import new_id
from chatkit.sse import SSEDecoder
from chatkit.store import PostgresStore
from chatkit.streams import RedisStreamLog
from tests.server.support import ADA, ScriptedServer, done, drain, texts, writes_apart
from tests.support.scale import scaled

PROGRAM = Path(__file__).with_name("dying_worker_process.py")
ROOT = Path(__file__).parents[2]
LEASE = 0.5
SENT = {"resumable": True, "idempotency_key": "key_1"}
FIRST, SECOND = "Of the first worker", "Of the second worker"


class Surviving(ScriptedServer):
    """Says that its handler may run twice."""

    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data


async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done(SECOND, "msg_second")


@pytest.mark.parametrize("reruns", [0, 1])
@pytest.mark.parametrize(
    ("point", "stored", "answered"),
    [
        # Nothing is stored: the message that is sent again is a new one.
        ("before accept_turn", SECOND, True),
        # The message is accepted, and its handler was not called: it is now, by the same sending.
        ("after accept_turn", SECOND, True),
        ("before open", SECOND, True),
        ("after open", SECOND, True),
        ("before open_turn", SECOND, True),
        # The handler may have been called. It is once more where that may be tried, else its client may retry.
        ("after open_turn", SECOND, None),
        ("before put_thread_item", SECOND, None),
        ("after put_thread_item", None, None),
        ("before finish_turn", None, None),
        # The answer is there, and the log does not know.
        ("after finish_turn", FIRST, True),
    ],
)
async def test_a_message_whose_worker_died_is_taken_once(
    postgres_database: str,
    redis_url: str,
    point: str,
    stored: str | None,
    answered: bool | None,
    reruns: int,
) -> None:
    await check(postgres_database, redis_url, point, stored, answered, reruns)


@pytest.mark.parametrize("reruns", [0, 1])
@pytest.mark.parametrize(
    ("point", "stored", "answered"),
    [
        # Nothing is stored: the message that is sent again is a new one.
        ("before begin_turn", SECOND, True),
        ("after begin_turn", SECOND, True),
        ("after save_thread", SECOND, True),
        # The message is there. It is answered where that may be tried once more, else its client may retry.
        ("after add_thread_item", SECOND, None),
        ("before put_thread_item", SECOND, None),
        ("after put_thread_item", None, None),
        ("before complete_turn", None, None),
        # The answer is there, and the log does not know.
        ("after complete_turn", FIRST, True),
    ],
)
async def test_so_it_is_where_message_key_and_turn_are_written_one_by_one(
    postgres_database: str,
    redis_url: str,
    point: str,
    stored: str | None,
    answered: bool | None,
    reruns: int,
) -> None:
    await check(postgres_database, redis_url, point, stored, answered, reruns, apart=True)


async def check(
    postgres_database: str,
    redis_url: str,
    point: str,
    stored: str | None,
    answered: bool | None,
    reruns: int,
    *,
    apart: bool = False,
) -> None:
    prefix = new_id("test") + ":"
    command = [sys.executable, "-m", "tests.server.dying_worker_process", postgres_database, redis_url]
    command += [prefix, str(LEASE), point]
    died = await asyncio.to_thread(
        subprocess.run,
        [*command, *(["apart"] if apart else [])],
        cwd=ROOT,
        timeout=scaled(30),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    log = RedisStreamLog(redis_url, prefix=prefix, lease=LEASE)
    store: Any = PostgresStore(postgres_database)
    store = writes_apart(store) if apart else store
    server = Surviving(answer, store, stream_log=log, rerun_on_crash=reruns)
    over = asyncio.Event()
    recovering = asyncio.create_task(recover(server, over))
    thread_id, end, shown = "", "", {}
    try:
        async with asyncio.timeout(scaled(30)):
            # Once, at once: the lease of the dead worker runs out while the stream is read.
            frames = await drain(await server.create(metadata=SENT))
            thread_id, end, shown = told(frames)
    finally:
        # Not cancelled: what it waits for may lose that before Python 3.12.
        over.set()
        await recovering
    assert thread_id, "one sending is enough"
    items = await server.items(thread_id)
    assert [item.type for item in items].count("user_message") == 1
    assert list(shown) == [item.id for item in items], "what was told is what is stored"
    answers = texts(items)
    if answered or reruns:
        assert end == "completed"
        assert answers == [stored or SECOND]
    else:
        assert end == "interrupted"
        assert answers == ([] if stored else [FIRST])
    threads = await server._chatkit_store().load_threads(9, None, "asc", ADA)
    with_messages = [thread.id for thread in threads.data if await server.items(thread.id)]
    assert with_messages == [thread_id]
    await server.close()


async def recover(server: ScriptedServer, over: asyncio.Event) -> None:
    while not over.is_set():
        await server.recover()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await over.wait()


def told(frames: list[bytes]) -> tuple[str, str, dict[str, Any]]:
    """Returns the thread that was created, how the turn ended, and the items that are done and not removed."""
    thread_id, end, shown = "", "", dict[str, Any]()
    for frame in SSEDecoder().feed(b"".join(frames)):
        event = json.loads(frame.data)
        if event.get("type") == "thread.created":
            thread_id = event["thread"]["id"]
        elif event.get("type") == "thread.item.done":
            shown[event["item"]["id"]] = event["item"]
        elif event.get("type") == "thread.item.removed":
            shown.pop(event["item_id"], None)
        elif "status" in event:
            end = event["status"]
    return thread_id, end, shown
