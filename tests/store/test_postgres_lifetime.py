"""The PostgreSQL store in several event loops and threads, cancelled, closed, forgotten."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatkit.errors import ConfigurationError
from chatkit.store import NotFoundError, PostgresStore
from chatkit.testing._store_samples import message
from chatkit.types import ThreadMetadata
from tests.support.postgres import on_server
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def ids_of(store: PostgresStore, thread_id: str = "thr") -> list[str]:
    return [item.id for item in (await store.load_thread_items(thread_id, None, 9999, "asc", CONTEXT)).data]


async def use(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)


async def use_widely(store: PostgresStore) -> None:
    await use(store)
    await asyncio.gather(*(store.load_thread("thr", CONTEXT) for _ in range(20)))


def run(work: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await work

    return asyncio.run(main())


def assert_no_sessions(url: str) -> None:
    """Fails if sessions stay; the server notices a moment later that a client has gone."""

    async def wait(connection: Any) -> None:
        async with asyncio.timeout(scaled(5)):
            while await connection.fetchval(SESSIONS):
                await asyncio.sleep(0.01)

    on_server(url, wait)


async def hold(store: PostgresStore, release: asyncio.Event) -> asyncio.Task[Any]:
    """Returns a write that has begun and goes on when it is released."""
    begun = asyncio.Event()

    async def work(transaction: Any) -> None:
        await transaction.value("SELECT 1")
        begun.set()
        await release.wait()

    task = asyncio.create_task(store.database.write(work))
    await asyncio.wait_for(begun.wait(), scaled(10))
    return task


def test_event_loops_in_several_threads_share_a_store(postgres_database: str) -> None:
    store = PostgresStore(postgres_database, max_connections=3)
    together = threading.Barrier(4)

    async def write(name: int) -> None:
        await use(store)
        for n in range(20):
            await store.add_thread_item("thr", message(f"{name}_{n:02}"), CONTEXT)
            await store.load_thread_items("thr", None, 5, "desc", CONTEXT)

    def work(name: int) -> None:
        together.wait(timeout=scaled(30))
        asyncio.run(write(name))

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(work, range(4)))
    assert_no_sessions(postgres_database)
    found = run(ids_of(store))
    assert len(found) == 80
    for name in range(4):
        own = [item for item in found if item.startswith(f"{name}_")]
        assert own == [f"{name}_{n:02}" for n in range(20)]


def test_a_pool_ends_with_its_loop(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    for _ in range(3):
        asyncio.run(use_widely(store))
        assert_no_sessions(postgres_database)
    store.database.pools._forget_closed()
    assert store.database.pools._open == {}


def test_a_loop_that_was_only_closed_leaves_no_sessions(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use_widely(store))
    # Without loop.shutdown_asyncgens().
    loop.close()
    with warnings.catch_warnings():
        # asyncio's word on such loops: their transports were not closed.
        warnings.simplefilter("ignore", ResourceWarning)
        run(ids_of(store))
        assert_no_sessions(postgres_database)
        del loop
        gc.collect()


def test_closing_from_another_loop(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    used, closed = threading.Event(), threading.Event()

    async def other() -> None:
        await use_widely(store)
        used.set()
        assert await asyncio.to_thread(closed.wait, 30)
        assert_free = await asyncio.to_thread(
            lambda: on_server(postgres_database, lambda c: c.fetchval(SESSIONS))
        )
        assert assert_free == 0
        await use(store)

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(asyncio.run, other())
        assert used.wait(scaled(30))
        asyncio.run(store.close())
        assert_no_sessions(postgres_database)
        closed.set()
        future.result(scaled(30))
    assert_no_sessions(postgres_database)


def test_closing_what_an_idle_loop_left_open(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    with asyncio.Runner() as runner:
        runner.run(use_widely(store))
        # That loop is open and does not run.
        asyncio.run(store.close())
        assert_no_sessions(postgres_database)
        runner.run(use(store))
        runner.run(store.close())
    assert_no_sessions(postgres_database)


async def test_closing_releases_connections_and_the_next_use_opens_again(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    await store.close()
    for n in range(3):
        await store.save_thread(ThreadMetadata(id=f"thr_{n}"), CONTEXT)
        assert len((await store.load_threads(9, None, "asc", CONTEXT)).data) == n + 1
        await store.close()
        await asyncio.to_thread(assert_no_sessions, postgres_database)
        await store.close()


async def test_closing_lets_writes_finish(postgres_database: str) -> None:
    store = PostgresStore(postgres_database, max_connections=2)
    await use(store)
    writes = [asyncio.create_task(store.add_thread_item("thr", message(f"m{n}"), CONTEXT)) for n in range(30)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.to_thread(assert_no_sessions, postgres_database)
    await asyncio.gather(*writes)
    assert store.database.pools._open == {}, "those that waited finish before, not over a new pool"
    assert len(await ids_of(store)) == 30
    await store.close()


async def test_closing_does_not_wait_for_ever(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit._postgres.pools._CLOSE_SECONDS", 0.1)
    store = PostgresStore(postgres_database)
    release = asyncio.Event()
    writing = await hold(store, release)
    async with asyncio.timeout(scaled(5)):
        await store.close()
    await asyncio.to_thread(assert_no_sessions, postgres_database)
    writing.cancel()
    await asyncio.wait([writing])


async def test_a_cancelled_write_is_undone_and_its_connection_is_good(postgres_database: str) -> None:
    store = PostgresStore(postgres_database, max_connections=1)
    await use(store)
    begun = asyncio.Event()

    async def work(transaction: Any) -> None:
        await transaction.value("DELETE FROM chatkit.threads")
        begun.set()
        await transaction.value("SELECT pg_sleep(60)")

    async with asyncio.timeout(scaled(20)):
        writing = asyncio.create_task(store.database.write(work))
        await begun.wait()
        waiting = asyncio.create_task(store.load_thread("thr", CONTEXT))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        assert (await waiting).id == "thr"
    await store.close()


async def test_cancelled_at_any_point_nothing_leaks(postgres_database: str) -> None:
    store = PostgresStore(postgres_database, max_connections=2, acquire_timeout=20)
    await use(store)
    for steps in range(40):
        task = asyncio.create_task(store.put_thread_item("thr", message("a", str(steps)), CONTEXT))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=scaled(20))
    async with asyncio.timeout(scaled(20)):
        await asyncio.gather(*(store.load_thread("thr", CONTEXT) for _ in range(10)))
    (entry,) = store.database.pools._open.values()
    assert entry.pool._users == 0
    await store.close()


async def test_what_is_written_is_the_item_as_it_was_given(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    await use(store)
    item = message("a", "given")
    task = asyncio.create_task(store.add_thread_item("thr", item, CONTEXT))
    await asyncio.sleep(0)
    item.content[0].text = "changed meanwhile"
    await task
    assert await store.load_item("thr", "a", CONTEXT) == message("a", "given")
    await store.close()


async def test_a_forgotten_store_leaves_nothing_open(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    await use_widely(store)
    del store
    await asyncio.to_thread(assert_no_sessions, postgres_database)


def test_a_store_that_nobody_closed_ends_with_the_interpreter(postgres_database: str) -> None:
    script = (
        "import asyncio, sys; from chatkit.store import PostgresStore; from chatkit.types import ThreadMetadata\n"
        "store = PostgresStore(sys.argv[1])\n"
        "asyncio.run(store.save_thread(ThreadMetadata(id='thr'), {'user_id': 'alice'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, postgres_database],
        capture_output=True,
        text=True,
        timeout=scaled(30),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert_no_sessions(postgres_database)


def test_the_constructor_touches_nothing() -> None:
    before = threading.active_count()
    PostgresStore("postgresql://nobody@192.0.2.1/none")
    PostgresStore("nonsense")
    assert threading.active_count() == before


async def test_an_owner_function(postgres_database: str) -> None:
    choose: Callable[[str], str | None] = lambda context: context.strip() or None  # noqa: E731
    store: PostgresStore[str] = PostgresStore(postgres_database, owner=choose)
    await store.save_thread(ThreadMetadata(id="thr"), " alice ")
    assert (await store.load_thread("thr", "alice")).id == "thr"
    with pytest.raises(NotFoundError):
        await store.load_thread("thr", "bob")
    with pytest.raises(ConfigurationError, match="owner="):
        await store.load_thread("thr", "  ")
    await store.close()


def test_without_the_driver_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "import chatkit.store as face\n"
        "from chatkit.errors import MissingExtraError\n"
        "try:\n    face.PostgresStore\n"
        "except MissingExtraError as error:\n    assert 'chatkit-server[postgres]' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "assert face.MemoryStore\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=scaled(30))
