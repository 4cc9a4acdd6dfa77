"""Stores in several event loops and threads, cancelled, closed, forgotten."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from chatkit import store as store_face
from chatkit.errors import ConfigurationError, StoreError
from chatkit.store import MemoryStore, NotFoundError, SQLiteStore, Store
from chatkit.testing._store_samples import message
from chatkit.types import ThreadMetadata
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}


@pytest.fixture(params=["memory", "file", ":memory:"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store[Any]]:
    """Returns a function that makes a store of the kind that the test runs over."""
    kinds: dict[str, Callable[[], Store[Any]]] = {
        "memory": MemoryStore,
        "file": lambda: SQLiteStore(tmp_path / "chat.db"),
        ":memory:": lambda: SQLiteStore(":memory:"),
    }
    return kinds[request.param]


async def ids_of(store: Store[Any], thread_id: str) -> list[str]:
    return [item.id for item in (await store.load_thread_items(thread_id, None, 9999, "asc", CONTEXT)).data]


def test_event_loops_in_several_threads_share_a_store(make_store: Callable[[], Store[Any]]) -> None:
    store = make_store()
    together = threading.Barrier(4)
    asyncio.run(store.save_thread(ThreadMetadata(id="thr"), CONTEXT))

    async def write(name: int) -> None:
        for n in range(30):
            await store.add_thread_item("thr", message(f"{name}_{n:02}"), CONTEXT)
            await store.load_thread_items("thr", None, 5, "desc", CONTEXT)

    def work(name: int) -> None:
        together.wait(timeout=scaled(30))
        asyncio.run(write(name))

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(work, range(4)))
    found = asyncio.run(ids_of(store, "thr"))
    assert len(found) == 120
    for name in range(4):
        assert [item for item in found if item.startswith(f"{name}_")] == [
            f"{name}_{n:02}" for n in range(30)
        ]
    asyncio.run(store.close())


def test_an_owner_function(make_store: Callable[[], Store[Any]], tmp_path: Path) -> None:
    async def scenario() -> None:
        single: Store[str] = MemoryStore(owner=lambda context: "local")
        by_name: Store[str] = SQLiteStore(
            tmp_path / "owner.db", owner=lambda context: context.strip() or None
        )
        await single.save_thread(ThreadMetadata(id="thr"), "anything")
        assert (await single.load_thread("thr", "something else")).id == "thr"
        await by_name.save_thread(ThreadMetadata(id="thr"), " alice ")
        assert by_name.owner("alice") == "alice"
        assert (await by_name.load_thread("thr", "alice")).id == "thr"
        with pytest.raises(NotFoundError):
            await by_name.load_thread("thr", "bob")
        with pytest.raises(ConfigurationError, match="owner="):
            await by_name.load_thread("thr", "  ")
        await by_name.close()

    asyncio.run(scenario())


def test_the_constructor_touches_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    SQLiteStore(tmp_path / "chat.db")
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_closing_releases_threads_and_the_next_use_opens_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SQLiteStore(tmp_path / "chat.db")
        await store.close()
        for n in range(3):
            await store.save_thread(ThreadMetadata(id=f"thr_{n}"), CONTEXT)
            assert len((await store.load_threads(9, None, "asc", CONTEXT)).data) == n + 1
            session = store.database._session
            assert session is not None
            threads = [*session.reader.executor._threads, *session.writer.executor._threads]
            assert len(threads) == 2
            await store.close()
            for thread in threads:
                thread.join(timeout=scaled(10))
                assert not thread.is_alive()
            assert [path.name for path in tmp_path.iterdir()] == ["chat.db"]
            await store.close()

    asyncio.run(scenario())


def test_closing_lets_queued_writes_finish(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SQLiteStore(tmp_path / "chat.db")
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        writes = [
            asyncio.create_task(store.add_thread_item("thr", message(f"m{n}"), CONTEXT)) for n in range(50)
        ]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*writes)
        assert len(await ids_of(store, "thr")) == 50
        await store.close()

    asyncio.run(scenario())


def test_closing_goes_on_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SQLiteStore(tmp_path / "chat.db")
        running, release = threading.Event(), threading.Event()

        def block(connection: Connection) -> None:
            running.set()
            release.wait(timeout=scaled(30))

        writing = asyncio.create_task(store.database.write(block))
        await asyncio.to_thread(running.wait, 30)
        session = store.database._session
        assert session is not None
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        release.set()
        await writing
        await asyncio.to_thread(session.writer.executor.shutdown)
        assert session.writer._connection is None
        assert [path.name for path in tmp_path.iterdir()] == ["chat.db"]

    asyncio.run(scenario())


def test_a_cancelled_write_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SQLiteStore(tmp_path / "chat.db")
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        running, release = threading.Event(), threading.Event()

        def block(connection: Connection) -> None:
            running.set()
            release.wait(timeout=scaled(30))

        blocked = asyncio.create_task(store.database.write(block))
        await asyncio.to_thread(running.wait, 30)
        queued = asyncio.create_task(store.add_thread_item("thr", message("queued"), CONTEXT))
        await asyncio.sleep(0)
        for task in (blocked, queued):
            task.cancel()
        await asyncio.wait([blocked, queued], timeout=scaled(30))
        release.set()
        assert blocked.cancelled()
        assert queued.cancelled()
        await store.add_thread_item("thr", message("next"), CONTEXT)
        assert await ids_of(store, "thr") == ["next"]
        await store.close()

    asyncio.run(scenario())


def test_what_is_written_is_the_item_as_it_was_given(make_store: Callable[[], Store[Any]]) -> None:
    async def scenario() -> None:
        store = make_store()
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        item = message("a", "given")
        task = asyncio.create_task(store.add_thread_item("thr", item, CONTEXT))
        await asyncio.sleep(0)
        item.content[0].text = "changed meanwhile"
        await task
        assert await store.load_item("thr", "a", CONTEXT) == message("a", "given")
        await store.close()

    asyncio.run(scenario())


def test_a_forgotten_store_leaves_nothing_open(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    asyncio.run(store.save_thread(ThreadMetadata(id="thr"), CONTEXT))
    session = store.database._session
    assert session is not None
    (thread,) = session.writer.executor._threads
    # A thread lets go of a transaction a moment after its caller has the result, and before it takes the next.
    session.writer.executor.submit(int).result(timeout=scaled(10))
    gone = weakref.ref(store.database)
    del store
    gc.collect()
    assert gone() is None
    assert session.writer._connection is None
    del session
    gc.collect()
    thread.join(timeout=scaled(10))
    assert not thread.is_alive()


def test_a_store_forgotten_during_a_write_is_closed_after_it(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    running, release = threading.Event(), threading.Event()

    def block(connection: Connection) -> None:
        running.set()
        release.wait(timeout=scaled(30))

    async def give_up(store: SQLiteStore[Any]) -> None:
        task = asyncio.create_task(store.database.write(block))
        await asyncio.to_thread(running.wait, 30)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(give_up(store))
    session = store.database._session
    assert session is not None
    worker = session.writer
    del store
    gc.collect()
    assert worker._connection is not None
    release.set()
    worker.executor.shutdown()
    assert worker._connection is None


def test_a_store_that_nobody_closed_ends_with_the_interpreter(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from chatkit.store import SQLiteStore; from chatkit.types import ThreadMetadata\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "asyncio.run(store.save_thread(ThreadMetadata(id='thr'), {'user_id': 'alice'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, str(tmp_path / "chat.db")],
        capture_output=True,
        text=True,
        timeout=scaled(30),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["chat.db"]


def test_the_public_names_load_their_adapter_when_used() -> None:
    script = (
        "import sys, chatkit.store as face\n"
        "assert not {'chatkit._sqlite', 'chatkit.store.sqlite', 'chatkit.store.memory'} & set(sys.modules)\n"
        "assert set(face.__all__) <= set(dir(face))\n"
        "face.SQLiteStore, face.MemoryStore\n"
        "assert 'chatkit.store.sqlite' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=scaled(30))
    assert store_face.__all__ == sorted(store_face.__all__)
    for name in store_face.__all__:
        assert getattr(store_face, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = store_face.Nothing


def test_reading_does_not_grow_the_store_in_memory() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        for attempt in (
            store.load_thread("thr", CONTEXT),
            store.delete_thread("thr", CONTEXT),
            store.add_thread_item("thr", message("a"), CONTEXT),
            store.load_attachment("atc", CONTEXT),
        ):
            with pytest.raises(NotFoundError):
                await attempt
        await store.delete_attachment("atc", CONTEXT)
        await store.end_turn("turn", 1, CONTEXT)
        assert (await store.load_threads(1, None, "asc", CONTEXT)).data == []
        assert store._tenants == {}
        with pytest.raises(StoreError, match="cannot be stored"):
            await store.save_thread(ThreadMetadata(id="thr", metadata={"a": object()}), CONTEXT)
        assert store._tenants == {}

    asyncio.run(scenario())
