"""Any two requests on one thread at the same time: each is answered in order or refused, and nothing is left over."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chatkit.errors import ChatKitError, NotFoundError
from chatkit.store import MemoryStore, SQLiteStore, Store
from chatkit.streams import MemoryStreamLog, StreamLog
from chatkit.types import (
    ClientToolCallItem,
    FileAttachment,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import ADA, ScriptedServer, added, answer, delta, done, user_input
from tests.support.scale import examples, scaled, share

pytestmark = pytest.mark.filterwarnings(
    "error", "ignore:Classes of single components are deprecated:DeprecationWarning"
)
ROUNDS = examples(3)
REFUSALS = {404, 409}


class Busy(ScriptedServer):
    """Reacts to everything, and writes while it does."""

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        async for event in busy(thread, None, context):
            yield event

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> None:
        thread.metadata["acted"] = True

    async def add_feedback(self, *args: Any) -> None:
        await asyncio.sleep(0)


numbers = itertools.count()


async def busy(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    name = f"msg_{next(numbers)}"
    thread.title = name
    yield added("One", name)
    for _ in range(3):
        await asyncio.sleep(0)
        yield delta(" more", name)
    yield done("One more", name)


REQUESTS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "delete": ("threads.delete", lambda t: {"thread_id": t}),
    "message": ("threads.add_user_message", lambda t: {"thread_id": t, "input": user_input()}),
    "attachment": (
        "threads.add_user_message",
        lambda t: {"thread_id": t, "input": user_input(attachments=[f"atc_{t}"])},
    ),
    "retry": ("threads.retry_after_item", lambda t: {"thread_id": t, "item_id": "asked"}),
    "action": (
        "threads.custom_action",
        lambda t: {"thread_id": t, "item_id": "wid", "action": {"type": "x"}},
    ),
    "sync action": (
        "threads.sync_custom_action",
        lambda t: {"thread_id": t, "item_id": "wid", "action": {"type": "x"}},
    ),
    "output": ("threads.add_client_tool_output", lambda t: {"thread_id": t, "result": {"ok": True}}),
    "answers": (
        "threads.add_structured_input",
        lambda t: {"thread_id": t, "item_id": "form", "input": {"status": "answered", "answers": {}}},
    ),
    "rename": ("threads.update", lambda t: {"thread_id": t, "title": "New"}),
    "feedback": ("items.feedback", lambda t: {"thread_id": t, "item_ids": ["asked"], "kind": "positive"}),
    "load": ("threads.get_by_id", lambda t: {"thread_id": t}),
    "items": ("items.list", lambda t: {"thread_id": t}),
    "stop": ("turns.stop", lambda t: {"thread_id": t}),
}


async def new_thread(store: Any, thread_id: str) -> None:
    await store.save_thread(ThreadMetadata(id=thread_id), ADA)
    question = StructuredInputFreeform(id="q", question="Why?")
    rest: dict[str, Any] = {"thread_id": thread_id, "created_at": ThreadMetadata(id="x").created_at}
    for item in (
        UserMessageItem(
            id="asked", content=[{"type": "input_text", "text": "Hi"}], inference_options={}, **rest
        ),
        WidgetItem(id="wid", widget=Card(children=[Text(value="W")]), **rest),
        StructuredInputItem(id="form", inputs=[question], **rest),
        ClientToolCallItem(id="call", call_id="c", name="n", arguments={}, **rest),
    ):
        await store.add_thread_item(thread_id, item, ADA)
    await store.save_attachment(FileAttachment(id=f"atc_{thread_id}", name="a", mime_type="text/plain"), ADA)


async def sent(server: ScriptedServer, name: str, thread_id: str, after: int) -> tuple[str, Any]:
    """Sends a request after some steps of the loop; returns how it was answered."""
    kind, params = REQUESTS[name]
    for _ in range(after):
        await asyncio.sleep(0)
    try:
        return name, await answer(await server.send(kind, **params(thread_id)))
    except ChatKitError as error:
        if error.status not in REFUSALS:
            raise AssertionError(f"{name}: {error.status} {error!r}") from error
        return name, error.status


async def check(store: Any, thread_id: str, outcomes: list[tuple[str, Any]], pair: Any) -> None:
    """Whatever the order was: a deleted thread is gone with all that it had, and told so."""
    if "delete" not in pair:
        await store.load_thread(thread_id, ADA)
        return
    with pytest.raises(NotFoundError):
        await store.load_thread(thread_id, ADA)
    assert thread_id not in [thread.id for thread in (await store.load_threads(999, None, "asc", ADA)).data]
    assert [status for name, status in outcomes if name == "delete"].count({}) == 1
    if isinstance(store, MemoryStore):
        rows = store._tenants["ada"].turns._rows.values()
        assert not [row for row in rows if row.acceptance.thread_id == thread_id and not row.end]
    else:
        assert await left_over(store) == 0


async def left_over(store: Any) -> int:
    """Counts rows of turns, and items and attachments that belong to no thread."""
    queries = [
        "SELECT count(*) FROM {0}turns",
        "SELECT count(*) FROM {0}items WHERE thread NOT IN (SELECT {1} FROM {0}threads)",
        # One of no thread is NULL, which is in no empty list either.
        "SELECT count(thread_id) FROM {0}attachments WHERE thread_id NOT IN (SELECT id FROM {0}threads)",
    ]
    if isinstance(store, SQLiteStore):
        found = [query.format("", "seq") for query in queries]
        return await store.database.read(
            lambda connection: sum(connection.execute(query).fetchone()[0] for query in found)
        )
    return sum([await value(store, query.format("chatkit.", "number")) for query in queries])


async def value(store: Any, query: str) -> int:
    return await store.database.read(lambda transaction: transaction.value(query))


PAIRS = [*itertools.combinations(REQUESTS, 2), *((name, name) for name in REQUESTS)]
WITH_DELETE = [pair for pair in PAIRS if "delete" in pair]


@pytest.mark.parametrize("policy", ["allow", "reject", "enqueue", "interrupt"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_every_pair(workers: int, policy: Any, store: Any) -> None:
    # Over a database each pair takes longer: the policies share the pairs there.
    pairs = PAIRS if isinstance(store, MemoryStore) else share(PAIRS, 20, f"{workers} {policy}")
    servers = made(store, workers, policy)
    chosen = random.Random(f"{workers} {policy}")
    for pair in pairs:
        await race(servers, store, pair, chosen)
    await ended(servers)


@pytest.mark.parametrize("workers", [1, 2])
async def test_deleting_against_everything(workers: int, store: Any) -> None:
    servers = made(store, workers, "allow")
    chosen = random.Random(workers)
    for pair in WITH_DELETE * ROUNDS:
        await race(servers, store, pair, chosen)
    await ended(servers)


def jitter(port: Any, kind: type[Any], chosen: random.Random) -> None:
    """Makes each call take some steps of the loop, so that all orders of calls come about."""

    def slow(method: Any) -> Any:
        async def call(*args: Any, **rest: Any) -> Any:
            for _ in range(chosen.randrange(8)):
                await asyncio.sleep(0)
            found = await method(*args, **rest)
            for _ in range(chosen.randrange(8)):
                await asyncio.sleep(0)
            return found

        return call

    for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction):
        if name != "close":
            setattr(port, name, slow(getattr(port, name)))


def made(store: Any, workers: int, policy: Any) -> list[ScriptedServer]:
    log = MemoryStreamLog()
    chosen = random.Random(f"{workers} {policy} calls")
    jitter(store, Store, chosen)
    jitter(log, StreamLog, chosen)
    return [Busy(busy, store, stream_log=log, concurrency=policy) for _ in range(workers)]


async def ended(servers: list[ScriptedServer]) -> None:
    for server in servers:
        assert server._chatkit_turns()._running == {}
        assert server._chatkit_turns().guard._uses == {}


async def race(servers: list[ScriptedServer], store: Any, pair: Any, chosen: random.Random) -> None:
    thread_id = f"thr_{next(numbers)}"
    await new_thread(store, thread_id)
    async with asyncio.timeout(scaled(20)):
        outcomes = await asyncio.gather(
            *(
                sent(server, name, thread_id, chosen.randrange(24))
                for server, name in zip(itertools.cycle(servers), pair, strict=False)
            )
        )
    await check(store, thread_id, list(outcomes), pair)
