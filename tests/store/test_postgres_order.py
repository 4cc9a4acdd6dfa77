"""Several writers of one thread in PostgreSQL: pages skip nothing, turns lose their right in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from chatkit.errors import StaleTurnError
from chatkit.store import PostgresStore
from chatkit.store._postgres_documents import SQL
from chatkit.store.base import Fence, current_fence
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(postgres_database)
    await made.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    yield made
    await made.close()


@asynccontextmanager
async def another_writer(url: str) -> AsyncIterator[Any]:
    """Yields a connection with an open transaction, committed when the block ends."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def waits_for_a_lock(store: PostgresStore, task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(scaled(10)):
        while await store.database.read(lambda transaction: transaction.value(WAITING)) == 0:
            assert not task.done(), "the writer did not wait for the other one"
            await asyncio.sleep(0.01)


async def ids_of(store: PostgresStore) -> list[str]:
    return [item.id for item in (await store.load_thread_items("thr", None, 9999, "asc", CONTEXT)).data]


async def add_uncommitted(connection: Any, item_id: str) -> None:
    thread = await connection.fetchval(SQL["lock_thread"], "alice", "thr")
    data = message(item_id).model_dump_json()
    await connection.fetchval(
        SQL["add_item"], thread, item_id, "assistant_message", data, None, "alice", None, None
    )


async def test_an_item_is_not_numbered_before_one_that_is_uncommitted(
    store: PostgresStore, postgres_database: str
) -> None:
    async with another_writer(postgres_database) as other:
        await add_uncommitted(other, "first")
        second = asyncio.create_task(store.add_thread_item("thr", message("second"), CONTEXT))
        await waits_for_a_lock(store, second)
        assert await ids_of(store) == [], "a page must not show what comes behind the uncommitted one"
    await second
    assert await ids_of(store) == ["first", "second"]


async def test_a_thread_is_not_numbered_before_one_that_is_uncommitted(
    store: PostgresStore, postgres_database: str
) -> None:
    async with another_writer(postgres_database) as other:
        await other.fetchval(SQL["lock_owner"], "alice")
        second = asyncio.create_task(store.save_thread(ThreadMetadata(id="second"), CONTEXT))
        await waits_for_a_lock(store, second)
        # Neither a change of a thread nor another owner's new one waits.
        await store.save_thread(ThreadMetadata(id="thr", title="Changed"), CONTEXT)
        await store.save_thread(ThreadMetadata(id="thr"), {"user_id": "bob"})
    await second


async def test_deleting_behind_an_item_finds_what_another_one_just_added(
    store: PostgresStore, postgres_database: str
) -> None:
    await store.add_thread_item("thr", message("kept"), CONTEXT)
    async with another_writer(postgres_database) as other:
        await add_uncommitted(other, "doomed")
        deleting = asyncio.create_task(store.delete_items_after("thr", "kept", CONTEXT))
        await waits_for_a_lock(store, deleting)
    await deleting
    assert await ids_of(store) == ["kept"]


async def test_readers_wait_for_nobody(store: PostgresStore, postgres_database: str) -> None:
    await store.add_thread_item("thr", message("a"), CONTEXT)
    async with another_writer(postgres_database) as other:
        await other.fetchval(SQL["delete_thread"], "alice", "thr")
        async with asyncio.timeout(scaled(5)):
            assert await ids_of(store) == ["a"]
            assert (await store.load_thread("thr", CONTEXT)).id == "thr"


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_read_while_others_write_skip_nothing(store: PostgresStore, order: str) -> None:
    async def write(name: str) -> None:
        for n in range(60):
            await store.add_thread_item("thr", message(f"{name}{n}"), CONTEXT)

    await store.add_thread_item("thr", message("start"), CONTEXT)
    writing = [asyncio.create_task(write(name)) for name in "abcd"]
    seen = ["start"]
    reading = True
    while reading:
        reading = not all(task.done() for task in writing)
        if order == "asc":
            page = await store.load_thread_items("thr", seen[-1], 7, "asc", CONTEXT)
            seen += [item.id for item in page.data]
            reading = reading or page.has_more
        else:
            # What a page backwards shows is everything before its newest item.
            page = await store.load_thread_items("thr", None, 1000, "desc", CONTEXT)
            shown = [item.id for item in page.data][::-1]
            assert shown[: len(seen)] == seen
            seen = shown
    await asyncio.gather(*writing)
    assert seen == await ids_of(store)
    assert len(seen) == 241


async def test_a_take_over_waits_for_the_write_that_it_would_make_stale(
    store: PostgresStore, postgres_database: str
) -> None:
    token = await store.begin_turn("thr", "turn", CONTEXT)
    async with another_writer(postgres_database) as other:
        assert await other.fetchval(SQL["is_turn_running"], "alice", "turn", token) == 1
        taking_over = asyncio.create_task(store.begin_turn("thr", "turn", CONTEXT))
        await waits_for_a_lock(store, taking_over)
        await add_uncommitted(other, "in time")
    assert await taking_over > token
    assert await ids_of(store) == ["in time"]


async def test_a_write_that_meets_a_take_over_is_stale(store: PostgresStore, postgres_database: str) -> None:
    token = await store.begin_turn("thr", "turn", CONTEXT)
    async with another_writer(postgres_database) as other:
        assert await other.fetchval(SQL["begin_turn"], "alice", "turn", "thr") > token
        before = current_fence.set(Fence("turn", token))
        writing = asyncio.create_task(store.add_thread_item("thr", message("late"), CONTEXT))
        current_fence.reset(before)
        await waits_for_a_lock(store, writing)
    with pytest.raises(StaleTurnError):
        await writing
    assert await ids_of(store) == []


async def test_turns_taken_over_at_once_end_with_the_largest_token(
    store: PostgresStore, postgres_database: str
) -> None:
    for _ in range(10):
        tokens = await asyncio.gather(*(store.begin_turn("thr", "turn", CONTEXT) for _ in range(8)))
        assert len(set(tokens)) == 8
        kept = await store.database.read(
            lambda transaction: transaction.value("SELECT token FROM chatkit.turns WHERE id = 'turn'")
        )
        assert kept == max(tokens)


async def test_a_thread_deleted_among_writers_leaves_nothing(store: PostgresStore) -> None:
    async def turn(name: str) -> None:
        token = await store.begin_turn("thr", name, CONTEXT)
        current_fence.set(Fence(name, token))
        attachment = FileAttachment(id=name, name=name, mime_type="text/plain", thread_id="thr")
        for n in range(1000):
            await store.put_thread_item("thr", message(f"{name}{n}"), CONTEXT)
            await store.save_attachment(attachment, CONTEXT)
            await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)

    turns = [asyncio.create_task(turn(name)) for name in "abcd"]
    async with asyncio.timeout(scaled(20)):
        while len(await ids_of(store)) < 20:
            await asyncio.sleep(0)
    await store.delete_thread("thr", CONTEXT)
    ends = await asyncio.gather(*turns, return_exceptions=True)
    assert [type(end) for end in ends] == [StaleTurnError] * 4
    for table in ("threads", "items", "attachments", "turns"):
        count = f"SELECT count(*) FROM chatkit.{table}"
        assert await store.database.read(lambda transaction, count=count: transaction.value(count)) == 0
