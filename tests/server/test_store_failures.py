"""A store that fails at any one of its calls, or from any one on: nothing hangs, nothing is claimed that is not so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore, Store
from chatkit.types import FileAttachment, ThreadItemRemovedEvent, ThreadItemReplacedEvent
from tests.server.support import ADA, ScriptedServer, added, delta, done, events, message, silent, user_input
from tests.support.scale import scaled


class FailingStore(MemoryStore[Any]):
    """Fails at the call with a number, or at that one and all later ones; counts from 1 once it is armed."""

    def __init__(self, at: int | None = None, *, for_good: bool = False) -> None:
        super().__init__()
        self.at = at
        self.for_good = for_good
        self.calls = 0
        self.armed = False


def failing(name: str) -> Any:
    async def call(self: FailingStore, *args: Any) -> Any:
        if self.armed:
            self.calls += 1
            if self.at is not None and (self.calls == self.at or (self.for_good and self.calls > self.at)):
                raise StoreUnavailableError(f"secret: {name} failed")
        return await getattr(MemoryStore, name)(self, *args)

    return call


for method, _ in inspect.getmembers(Store, inspect.iscoroutinefunction):
    if method not in {"check", "close"}:
        setattr(FailingStore, method, failing(method))


async def busy(thread: Any, item: Any, context: Any) -> AsyncIterator[Any]:
    yield done("First", "msg_a")
    thread.title = "New"
    yield added(None, "msg_b")
    yield delta("Partial", "msg_b")
    yield done("Passing", "msg_c")
    yield ThreadItemReplacedEvent(item=message("Replaced", "msg_a"))
    yield ThreadItemRemovedEvent(item_id="msg_c")
    thread.metadata["n"] = 1


async def prepared(store: FailingStore) -> tuple[ScriptedServer, str, str]:
    server = ScriptedServer(silent, store)
    for name in ("atc_1", "atc_2"):
        await store.save_attachment(FileAttachment(id=name, name="a", mime_type="text/plain"), ADA)
    created = await events(await server.create())
    server.script = busy
    return server, created[0]["thread"]["id"], created[1]["item"]["id"]


REQUESTS: dict[str, Any] = {
    "threads.create": lambda thread_id, item_id: {"input": user_input(attachments=["atc_1", "atc_2"])},
    "threads.add_user_message": lambda thread_id, item_id: {
        "thread_id": thread_id,
        "input": user_input(attachments=["atc_1", "atc_2"]),
    },
    "threads.retry_after_item": lambda thread_id, item_id: {"thread_id": thread_id, "item_id": item_id},
}


async def play(store: FailingStore, kind: str, *, resumable: bool) -> tuple[str, list[Any] | None, Any]:
    """Sends a request over the failing store; returns the thread, the events (None: refused), and what is stored."""
    server, thread_id, item_id = await prepared(store)
    before = await state(server, store, thread_id)
    metadata = {"resumable": True} if resumable else None
    store.armed = True
    found: list[Any] | None = None
    try:
        result = await server.send(kind, ADA, metadata, **REQUESTS[kind](thread_id, item_id))
    except StoreUnavailableError:
        pass
    else:
        thread_id = result.thread_id
        if resumable:
            # The end mark is no event; an uncut stream ends with it.
            async with asyncio.timeout(scaled(10)):
                frames = [frame async for frame in result]
            assert frames.pop().startswith(b"event: turn.end\n")
            found = [b"" for _ in frames]
        else:
            found = await events(result)
    store.armed = False
    if found is None:
        assert await state(server, store, thread_id) == before
    assert server._chatkit_turns()._running == {}
    return thread_id, found, await server.items(thread_id)


async def state(server: ScriptedServer, store: FailingStore, thread_id: str) -> Any:
    threads = await store.load_threads(100, None, "asc", ADA)
    attachments = [await store.load_attachment(name, ADA) for name in ("atc_1", "atc_2")]
    return [thread.id for thread in threads.data], await server.items(thread_id), attachments


async def count_calls(kind: str) -> int:
    store = FailingStore()
    await play(store, kind, resumable=False)
    return store.calls


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.filterwarnings("error")
async def test_a_failure_at_every_call(kind: str, for_good: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    calls = await count_calls(kind)
    assert calls > 8
    outcomes: list[str] = []
    for at in range(1, calls + 1):
        store = FailingStore(at, for_good=for_good)
        if for_good:
            # What cannot be taken back may stay; all else below holds.
            outcomes.append(await check_for_good(store, kind))
            continue
        _, found, stored = await play(store, kind, resumable=False)
        if found is None:
            outcomes.append("refused")
            continue
        assert "secret" not in str(found)
        ended_badly = found[-1] == {"type": "error", "code": "stream.error", "allow_retry": True}
        outcomes.append("error" if ended_badly else "completed")
        check_stored(found, stored)
    assert outcomes.index("error") > 0
    assert set(outcomes) <= {"refused", "error", "completed"}
    # Forgetting the turn in the store is the last call, of which a client need not hear.
    assert outcomes[:-1].count("completed") == 0
    assert outcomes[0] == "refused"


async def check_for_good(store: FailingStore, kind: str) -> str:
    server, thread_id, item_id = await prepared(store)
    store.armed = True
    try:
        result = await server.send(kind, ADA, None, **REQUESTS[kind](thread_id, item_id))
    except StoreUnavailableError:
        # The end of a turn is stored when that can be done.
        store.armed = False
        return "refused"
    found = await events(result)
    store.armed = False
    assert server._chatkit_turns()._running == {}
    check_stored(found, await server.items(result.thread_id))
    return "error" if found[-1]["type"] == "error" else "completed"


def check_stored(found: list[Any], stored: list[Any]) -> None:
    """What was sent as done, and not removed, is in the store as it was sent last."""
    shown: dict[str, Any] = {}
    for event in found:
        if event["type"] in {"thread.item.done", "thread.item.replaced"}:
            shown[event["item"]["id"]] = event["item"]
        elif event["type"] == "thread.item.removed":
            shown.pop(event["item_id"], None)
    by_id = {item.id: item for item in stored}
    assert shown.keys() <= by_id.keys()
    for item_id, item in shown.items():
        if item["type"] == "assistant_message":
            assert by_id[item_id].content[0].text == item["content"][0]["text"]


async def test_a_resumable_turn_ends_with_its_mark_whatever_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL")
    for at in range(1, await count_calls("threads.add_user_message") + 1):
        await play(FailingStore(at), "threads.add_user_message", resumable=True)


async def test_attachments_of_a_refused_message_can_be_sent_again() -> None:
    store = FailingStore()
    server, _, _ = await prepared(store)
    kept = store.add_thread_item

    async def refuse(*args: Any) -> None:
        raise StoreUnavailableError

    store.add_thread_item = refuse
    ask = {"input": user_input(attachments=["atc_1"])}
    with pytest.raises(StoreUnavailableError):
        await server.send("threads.create", **ask)
    store.add_thread_item = kept
    found = await server.ask("threads.create", **ask)
    assert found[1]["item"]["attachments"][0]["id"] == "atc_1"
