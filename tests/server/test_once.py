"""A request that answers JSON and changes something is carried out once under its idempotency key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatkit.errors import ConflictError, InvalidRequestError, NotFoundError
from chatkit.files import LocalFileStore
from chatkit.server.requests import once
from chatkit.store import MemoryStore, OwnerContext
from chatkit.types import SyncCustomActionResponse
from tests.server.support import ADA, BOB, LIMIT, ScriptedServer, silent

KEY = {"idempotency_key": "k1"}


class Shop(ScriptedServer):
    """Counts what it is asked to do, and may wait in it."""

    orders = 0
    feedback: list[str]
    gate: asyncio.Event | None = None

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        self.orders += 1
        if self.gate is not None:
            await self.gate.wait()
        if action.payload == "fails":
            raise NotFoundError("No such goods.")
        thread.title = f"Order {self.orders}"
        return SyncCustomActionResponse()

    async def add_feedback(self, thread_id: str, item_ids: Any, feedback: Any, context: Any) -> None:
        self.feedback = [*getattr(self, "feedback", []), feedback]

    async def order(
        self, thread_id: str, metadata: Any = KEY, payload: Any = None, context: Any = None
    ) -> Any:
        action = {"type": "order", "payload": payload}
        return await self.ask(
            "threads.sync_custom_action", context, metadata, thread_id=thread_id, action=action
        )


async def test_a_late_rename_does_not_undo_a_newer_one(store: Any) -> None:
    server = ScriptedServer(silent, store)
    thread_id = await server.new_thread()
    first = await server.ask("threads.update", ADA, KEY, thread_id=thread_id, title="First")
    await server.ask("threads.update", ADA, thread_id=thread_id, title="Second")
    assert await server.ask("threads.update", ADA, KEY, thread_id=thread_id, title="First") == first
    assert (await server.ask("threads.get_by_id", thread_id=thread_id))["title"] == "Second"
    with pytest.raises(InvalidRequestError):
        await server.ask("threads.update", ADA, KEY, thread_id=thread_id, title="Third")


async def test_an_action_and_feedback_are_taken_once(store: Any) -> None:
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    assert await server.order(thread_id) == await server.order(thread_id)
    assert server.orders == 1
    await server.order(thread_id, {"idempotency_key": "k2"})
    await server.order(thread_id, {})
    assert server.orders == 3
    item_id = (await server.items(thread_id))[0].id
    given = {"thread_id": thread_id, "item_ids": [item_id], "kind": "positive"}
    for _ in range(2):
        await server.ask("items.feedback", ADA, {"idempotency_key": "k3"}, **given)
    assert server.feedback == ["positive"]


async def test_a_second_sending_waits_for_the_answer_of_the_first(store: Any) -> None:
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    server.gate = asyncio.Event()
    sent = [asyncio.create_task(server.order(thread_id)) for _ in range(3)]
    async with asyncio.timeout(LIMIT):
        while not server.orders:
            await asyncio.sleep(0.01)
        server.gate.set()
        answers = await asyncio.gather(*sent)
    assert answers[0] == answers[1] == answers[2]
    assert server.orders == 1


async def test_a_request_that_failed_frees_its_key(store: Any) -> None:
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await server.order(thread_id, payload="fails")
    assert server.orders == 2
    await server.order(thread_id)
    with pytest.raises(NotFoundError):
        await server.order("thr_gone", {"idempotency_key": "k2"})


async def test_one_that_is_cut_off_frees_its_key(store: Any) -> None:
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    server.gate = asyncio.Event()
    sending = asyncio.create_task(server.order(thread_id))
    async with asyncio.timeout(LIMIT):
        while not server.orders:
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    server.gate.set()
    await server.order(thread_id)
    assert server.orders == 2


async def test_one_whose_worker_died_is_not_carried_out_again(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "_LEASE_SECONDS", -1.0)

    async def killed(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(type(store), "finish_turn", killed)
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    # The worker dies before it can say how it ended.
    await server.order(thread_id)
    monkeypatch.undo()
    with pytest.raises(ConflictError, match="not known whether"):
        await server.order(thread_id)
    assert server.orders == 1
    await server.recover()
    with pytest.raises(ConflictError, match="not known whether"):
        await server.order(thread_id)
    assert await store.lapsed_turns(0) == []


async def test_a_deletion_and_an_upload_are_answered_again(tmp_path: Any) -> None:
    server = ScriptedServer(
        silent, MemoryStore[Any](), LocalFileStore(tmp_path, base_url="http://127.0.0.1/files")
    )
    given = {"name": "a.txt", "size": 3, "mime_type": "text/plain"}
    first = await server.ask("attachments.create", ADA, KEY, **given)
    assert await server.ask("attachments.create", ADA, KEY, **given) == first
    thread_id = await server.new_thread()
    gone = {"idempotency_key": "k2"}
    assert await server.ask("threads.delete", ADA, gone, thread_id=thread_id) == {}
    assert await server.ask("threads.delete", ADA, gone, thread_id=thread_id) == {}
    with pytest.raises(NotFoundError):
        await server.ask("threads.delete", ADA, thread_id=thread_id)


async def test_a_key_is_its_owners(store: Any) -> None:
    server = Shop(silent, store)
    thread_id = await server.new_thread()
    await server.order(thread_id)
    with pytest.raises(NotFoundError):
        await server.order(thread_id, context=BOB)
    assert server.orders == 1
    assert await store.find_keyed_turn("k1", OwnerContext("bob")) is None


async def test_a_store_that_keeps_no_keys_carries_out_each(store_apart: Any) -> None:
    server = Shop(silent, store_apart)
    thread_id = await server.new_thread()
    await server.order(thread_id)
    await server.order(thread_id)
    assert server.orders == 2
