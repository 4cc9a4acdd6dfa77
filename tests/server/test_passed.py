"""A message whose turn never began, and after which another one was answered: its answer would stand out of order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store.acceptance import TurnStatus
from chatkit.streams import StreamLog
from tests.server.support import ADA, LIMIT, ScriptedServer, all_texts, decode, drain, hello, kinds

KEY = {"idempotency_key": "k1", "resumable": True}
LEASE = 0.2


def worker(store: Any, policy: Any) -> ScriptedServer:
    """Returns a server with a log of its own, as another process has one."""
    return ScriptedServer(hello, store, stream_log=StreamLog(lease=LEASE), concurrency=policy)


async def left_unopened(store: Any, policy: Any) -> tuple[ScriptedServer, str]:
    """Returns a worker, and a thread with a message that another one accepted and did not open before it died."""
    dead, alive = worker(store, policy), worker(store, policy)
    thread_id = await alive.new_thread()

    async def dies(*_: Any, **rest: Any) -> Any:
        # Nothing can be taken back any more.
        store.withdraw_turn = dies
        raise StoreUnavailableError("The worker dies.")

    dead._chatkit_turns().log.open = dies  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        await dead.say(thread_id, "First", KEY)
    del store.withdraw_turn
    found = await store.find_keyed_turn("k1", ADA)
    async with asyncio.timeout(LIMIT):
        while found.status is not TurnStatus.ENDED:
            await alive.recover()
            found = await store.find_keyed_turn("k1", ADA)
    assert not found.opened
    return alive, thread_id


@pytest.mark.parametrize("policy", ["reject", "enqueue", "interrupt", "allow"])
@pytest.mark.parametrize("others", [0, 1])
async def test_it_is_answered_where_its_answer_follows_it(policy: Any, others: int, store: Any) -> None:
    server, thread_id = await left_unopened(store, policy)
    for _ in range(others):
        await drain(await server.say(thread_id, "Second"))
    frames = await drain(await server.say(thread_id, "First", KEY))
    said = all_texts(await server.items(thread_id))
    if others == 0:
        assert said == ["Hi", "First", "Hello!"]
    elif policy == "allow":
        # Turns have no order then.
        assert said == ["Hi", "First", "Second", "Hello!", "Hello!"]
    else:
        assert said == ["Hi", "First", "Second", "Hello!"]
        assert kinds(decode(frames)) == ["thread.updated", "thread.item.done", "error"]
        assert b'"allow_retry":true' in frames[-2]
        assert b'"status":"interrupted"' in frames[-1]
        assert await drain(await server.say(thread_id, "First", KEY)) == frames
    await server.close()


async def test_it_is_not_answered_while_another_one_waits(store: Any) -> None:
    server, thread_id = await left_unopened(store, "enqueue")
    go_on = asyncio.Event()

    class Shop(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            await go_on.wait()
            yield

    shop = Shop(hello, store, stream_log=StreamLog(lease=LIMIT), concurrency="enqueue")
    acting = await shop.send("threads.custom_action", thread_id=thread_id, action={"type": "order"})
    waiting = asyncio.create_task(drain(await shop.say(thread_id, "Second")))
    frames = await drain(await server.say(thread_id, "First", KEY))
    assert b'"status":"interrupted"' in frames[-1]
    go_on.set()
    await drain(acting)
    await waiting
    assert all_texts(await server.items(thread_id)) == ["Hi", "First", "Second", "Hello!"]
    await shop.close()
    await server.close()
