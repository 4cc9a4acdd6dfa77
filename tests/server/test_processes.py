"""Workers in processes of their own, on one database: what they do at once to one thread all counts, or is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatkit.store import PostgresStore, SQLiteStore
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItem,
    ThreadMetadata,
)
from tests.support.scale import examples, scaled

CONTEXT = {"user_id": "alice"}
PROGRAM = Path(__file__).with_name("worker_process.py")
EDITS = examples(60)


class Workers:
    """Some processes, each waiting for a line."""

    def __init__(self, place: str, count: int) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", str(PROGRAM), place],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]

    def hear(self) -> list[str]:
        """Returns a line of each."""
        lines: list[str] = []
        for process in self.processes:
            assert process.stdout is not None
            lines.append(process.stdout.readline().strip())
        return lines

    def tell(self, *lines: str) -> None:
        """Sends each its line, or all the same one."""
        for process, line in zip(self.processes, lines * len(self.processes), strict=False):
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()


@contextmanager
def workers(place: str, count: int) -> Iterator[Workers]:
    started = Workers(place, count)
    try:
        assert started.hear() == ["ready"] * count
        yield started
        for process in started.processes:
            process.communicate(timeout=scaled(30))
        assert [process.returncode for process in started.processes] == [0] * count
    finally:
        for process in started.processes:
            process.kill()
            process.communicate()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_database")
    return str(request.getfixturevalue("tmp_path") / "chat.db")


@pytest.fixture
async def store(place: str) -> AsyncIterator[Any]:
    made = PostgresStore[Any](place) if "://" in place else SQLiteStore[Any](place)
    yield made
    await made.close()


async def with_thread(store: Any, items: list[ThreadItem]) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    for item in items:
        await store.add_thread_item("thr", item, CONTEXT)


async def test_fields_that_processes_change_at_once_all_count(place: str, store: Any) -> None:
    fields = ["title", "metadata", "status", "allowed_image_domains"]
    await with_thread(store, [])
    with workers(place, len(fields)) as started:
        started.tell(*(f"edit {field} {EDITS}" for field in fields))
        assert dict(zip(fields, started.hear(), strict=True)) == dict.fromkeys(fields, "kept")
    thread = await store.load_thread("thr", CONTEXT)
    assert (thread.title, thread.metadata) == (f"Title {EDITS - 1}", {"number": EDITS - 1})
    assert (thread.status.reason, thread.allowed_image_domains) == (
        f"Reason {EDITS - 1}",
        [f"{EDITS - 1}.example.com"],
    )


def tool_output(worker: int) -> str:
    params = {"thread_id": "thr", "result": f"output {worker}"}
    return json.dumps({"type": "threads.add_client_tool_output", "params": params})


def answers(worker: int) -> str:
    given = {"status": "answered", "answers": {"q": {"values": [f"output {worker}"]}}}
    params = {"thread_id": "thr", "item_id": "asked", "input": given}
    return json.dumps({"type": "threads.add_structured_input", "params": params})


@pytest.mark.parametrize("answer", [tool_output, answers])
async def test_one_of_several_processes_answers(place: str, store: Any, answer: Any) -> None:
    asked: dict[Any, ThreadItem] = {
        tool_output: ClientToolCallItem(id="asked", call_id="call", name="tool", arguments={}),
        answers: StructuredInputItem(id="asked", inputs=[StructuredInputFreeform(id="q", question="?")]),
    }
    await with_thread(store, [asked[answer]])
    with workers(place, 3) as started:
        started.tell(*(answer(worker) for worker in range(3)))
        assert started.hear() == ["planned"] * 3
        started.tell("go")
        outcomes = started.hear()
        assert sorted(outcomes) == ["ConflictValueError", "ConflictValueError", "done"]
        first = f"output {outcomes.index('done')}"
    item = await store.load_item("thr", "asked", CONTEXT)
    if isinstance(item, ClientToolCallItem):
        assert (item.status, item.output) == ("completed", first)
    else:
        assert item.status == "answered"
        assert item.inputs[0].answer.values == [first]
