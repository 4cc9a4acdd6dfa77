"""A PostgreSQL server that is there and does not answer: the process that uses it ends all the same."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore, PostgresStore
from chatkit.testing._store_samples import message
from chatkit.types import ThreadMetadata
from tests.cli.processes import serving
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.scale import is_within, scaled

CONTEXT = {"user_id": "alice"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


def test_a_store_that_was_told_to_stop_waiting_waits_a_second(server: PostgresServer) -> None:
    async def prepare(store: PostgresStore) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)

    async def use(store: PostgresStore) -> None:
        # More than there are connections, and all of them wait; one for a connection that takes long to be made.
        waiting = [
            asyncio.create_task(store.add_thread_item("thr", message(f"m{n}"), CONTEXT)) for n in range(6)
        ]
        waiting.append(asyncio.create_task(store.load_thread("thr", CONTEXT)))
        _, pending = await asyncio.wait(waiting, timeout=0.2)
        assert len(pending) == 7
        assert store.stop_waiting()
        start = time.monotonic()
        results: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailableError] * 7
        assert "did not answer, and the server is about to end" in str(results[0])
        with pytest.raises(StoreUnavailableError):
            await store.load_thread("thr", CONTEXT)
        assert is_within(time.monotonic() - start, 4)
        await store.close()
        assert is_within(time.monotonic() - start, 6)

    async def go_on(store: PostgresStore) -> None:
        # Patient again.
        assert (await store.load_thread("thr", CONTEXT)).id == "thr"
        await store.close()

    store = PostgresStore(server.url, max_connections=3)
    with asyncio.Runner() as runner:
        runner.run(prepare(store))
        with server.paused():
            started = time.monotonic()
            runner.run(use(store))
        runner.run(go_on(store))
    assert is_within(time.monotonic() - started, 10)


def test_stopping_does_not_disturb_a_server_that_answers(server: PostgresServer) -> None:
    async def scenario() -> None:
        store = PostgresStore(server.url)
        thread = ThreadMetadata(id="thr_answers")
        # Connects, which may take a machine that does other things too more than the second that is left then.
        await store.save_thread(thread, CONTEXT)
        store.stop_waiting()
        await asyncio.gather(
            *(store.add_thread_item(thread.id, message(f"m{n}"), CONTEXT) for n in range(20))
        )
        page = await store.load_thread_items(thread.id, None, 99, "asc", CONTEXT)
        assert len(page.data) == 20
        await store.close()

    asyncio.run(scenario())


def test_a_store_that_waits_for_nobody_says_so() -> None:
    assert not MemoryStore().stop_waiting()


def test_a_process_ends_although_its_database_does_not_answer(server: PostgresServer, tmp_path: Path) -> None:
    with serving("--port", "0", folder=tmp_path, CHATKIT_DB=server.url) as running:
        content = [{"type": "input_text", "text": "long 5000"}]
        given = {"content": content, "attachments": [], "inference_options": {}}
        request = urllib.request.Request(
            running.url,
            json.dumps({"type": "threads.create", "params": {"input": given}}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
            assert b"thread.created" in answer.readline()
            with server.paused():
                running.process.send_signal(signal.SIGTERM)
                running.process.wait(scaled(10))
        assert running.process.returncode == -signal.SIGTERM
