"""Several processes that start at once on an empty PostgreSQL database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from chatkit.store import PostgresStore
from tests.support.postgres import on_server
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}

PRELUDE = """
import asyncio, os, sys
from chatkit.store import PostgresStore
from chatkit.types import AssistantMessageItem, TextContent, ThreadMetadata

CONTEXT = {"user_id": "alice"}
store = PostgresStore(sys.argv[1])

def item(name):
    return AssistantMessageItem(id=name, content=[TextContent(text="x" * 500)])
"""

START_TOGETHER = """
async def main(name):
    await store.save_thread(ThreadMetadata(id="shared"), CONTEXT)
    await store.save_thread(ThreadMetadata(id=name), CONTEXT)
    for n in range(20):
        await store.add_thread_item("shared", item(f"{name}_{n:02}"), CONTEXT)
        await store.add_thread_item(name, item(f"{n:02}"), CONTEXT)
    tokens = [await store.begin_turn("shared", f"{name}_{n}", CONTEXT) for n in range(5)]
    await store.close()
    print(*tokens, flush=True)

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(sys.argv[2]))
"""

FORK = """
async def add(name):
    await store.add_thread_item("shared", item(name), CONTEXT)
    return [found.id for found in (await store.load_thread_items("shared", None, 99, "asc", CONTEXT)).data]

with asyncio.Runner() as runner:
    runner.run(store.save_thread(ThreadMetadata(id="shared"), CONTEXT))
    runner.run(add("before"))
    child = os.fork()
    if child == 0:
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)
        asyncio.run(add("child"))
        asyncio.run(store.close())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(*runner.run(add("parent")))
    runner.run(store.close())
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PRELUDE + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_eight_processes_start_at_once_on_an_empty_database(postgres_database: str) -> None:
    names = [f"process{n}" for n in range(8)]
    processes = [start(START_TOGETHER, postgres_database, name) for name in names]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert on_server(postgres_database, lambda c: c.fetchval(sessions)) == 1, (
            "the constructor must touch nothing"
        )
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=scaled(60))[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 8
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    tokens = [int(token) for output in outputs for token in output.split()]
    assert len(set(tokens)) == len(tokens) == 40

    async def ids_of(store: PostgresStore, thread_id: str) -> list[str]:
        page = await store.load_thread_items(thread_id, None, 9999, "asc", CONTEXT)
        return [item.id for item in page.data]

    async def scenario() -> None:
        store = PostgresStore(postgres_database)
        shared = await ids_of(store, "shared")
        for name in names:
            assert await ids_of(store, name) == [f"{n:02}" for n in range(20)]
            own = [found for found in shared if found.startswith(name)]
            assert own == [f"{name}_{n:02}" for n in range(20)]
        assert len(shared) == 160
        threads = await store.load_threads(99, None, "asc", CONTEXT)
        assert sorted(thread.id for thread in threads.data) == [*names, "shared"]
        await store.close()

    asyncio.run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_process_leaves_its_parents_sessions_alone(postgres_database: str) -> None:
    process = start(FORK, postgres_database)
    output, _ = process.communicate(timeout=scaled(30))
    assert process.returncode == 0
    assert output.split() == ["before", "child", "parent"]
