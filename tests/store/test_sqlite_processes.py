"""Several processes on one SQLite file, and processes that die."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatkit.store import SQLiteStore
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}

PRELUDE = """
import asyncio, os, sys
from chatkit.store import SQLiteStore
from chatkit.types import AssistantMessageItem, TextContent, ThreadMetadata

CONTEXT = {"user_id": "alice"}
store = SQLiteStore(sys.argv[1])

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

WRITE_UNTIL_KILLED = """
async def main():
    await store.save_thread(ThreadMetadata(id="shared"), CONTEXT)
    for n in range(1_000_000):
        await store.add_thread_item("shared", item(f"m{n}"), CONTEXT)
        print(n, flush=True)

asyncio.run(main())
"""

FORK = """
async def add(name):
    await store.add_thread_item("shared", item(name), CONTEXT)

async def ids():
    page = await store.load_thread_items("shared", None, 99, "asc", CONTEXT)
    return [found.id for found in page.data]

asyncio.run(store.save_thread(ThreadMetadata(id="shared"), CONTEXT))
asyncio.run(add("before"))
child = os.fork()
if child == 0:
    asyncio.run(add("child"))
    asyncio.run(store.close())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
asyncio.run(add("parent"))
print(*asyncio.run(ids()))
asyncio.run(store.close())
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def ids_of(store: SQLiteStore[Any], thread_id: str) -> list[str]:
    return [item.id for item in (await store.load_thread_items(thread_id, None, 9999, "asc", CONTEXT)).data]


async def integrity(store: SQLiteStore[Any]) -> str:
    return await store.database.read(
        lambda connection: connection.execute("PRAGMA integrity_check").fetchone()[0]
    )


def test_eight_processes_start_at_once_on_no_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    names = [f"process{n}" for n in range(8)]
    processes = [start(START_TOGETHER, path, name) for name in names]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        assert not path.exists(), "the constructor must touch nothing"
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

    async def scenario() -> None:
        store = SQLiteStore(path)
        shared = await ids_of(store, "shared")
        for name in names:
            assert await ids_of(store, name) == [f"{n:02}" for n in range(20)]
            assert [found for found in shared if found.startswith(name)] == [
                f"{name}_{n:02}" for n in range(20)
            ]
        assert len(shared) == 160
        threads = await store.load_threads(99, None, "asc", CONTEXT)
        assert sorted(thread.id for thread in threads.data) == [*names, "shared"]
        assert await integrity(store) == "ok"
        await store.close()

    asyncio.run(scenario())
    assert sorted(found.name for found in tmp_path.iterdir()) == ["chat.db"], "the last close leaves one file"


def test_what_a_killed_process_had_written_is_there(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    process = start(WRITE_UNTIL_KILLED, path)
    try:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(40)]
    finally:
        process.kill()
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.communicate()
    assert process.returncode == -9

    async def scenario() -> None:
        store = SQLiteStore(path)
        assert await integrity(store) == "ok"
        found = await ids_of(store, "shared")
        assert found == [f"m{n}" for n in range(len(found))]
        assert acknowledged == list(range(len(acknowledged)))
        # The last one may have been written without word of it getting out.
        assert len(acknowledged) <= len(found) <= len(acknowledged) + 1
        await store.close()

    asyncio.run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_process_opens_the_file_anew(tmp_path: Path) -> None:
    process = start(FORK, tmp_path / "chat.db")
    output, _ = process.communicate(timeout=scaled(30))
    assert process.returncode == 0
    assert output.split() == ["before", "child", "parent"]
