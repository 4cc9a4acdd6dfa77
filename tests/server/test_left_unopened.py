"""Turns that their worker accepted and could not open: what others find of them in the log and in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import Acceptance, SQLiteStore
from chatkit.store.acceptance import TurnStatus
from chatkit.streams import SQLiteStreamLog
from tests.server.support import ADA, LIMIT, ScriptedServer, all_texts, decode, drain, kinds
from tests.support.scale import scaled

KEY = {"idempotency_key": "k1", "resumable": True}
LEASE = scaled(0.4)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., ScriptedServer]:
    """Returns what makes workers of one machine."""

    def make(**options: Any) -> ScriptedServer:
        store = SQLiteStore[Any](tmp_path / "chat.db")
        server = ScriptedServer(
            store=store, stream_log=SQLiteStreamLog(store.database, lease=LEASE), **options
        )
        server.dump_context = server.load_context = lambda context: context  # type: ignore[method-assign]
        return server

    return make


@pytest.mark.parametrize("waits", [False, True])
async def test_a_turn_that_its_first_worker_opens_as_another_one_claims_it_is_begun_anew(
    waits: bool, made: Callable[..., ScriptedServer]
) -> None:
    late, quick = made(concurrency="enqueue"), made(concurrency="enqueue")
    thread_id = await quick.new_thread()
    running = await quick.store.accept_turn(Acceptance("acts", thread_id, LIMIT), ADA) if waits else None
    wakes, opened = asyncio.Event(), asyncio.Event()
    log: Any = late._chatkit_turns().log
    store: Any = quick.store
    open_in_log, claim = log.open, store.claim_turn

    async def open_late(*args: Any, **rest: Any) -> Any:
        await wakes.wait()
        writer = await open_in_log(*args, **rest)
        # It reaches the log's file.
        await writer.flush()
        await log._session_of_test.sender.ask(writer)
        opened.set()
        return writer

    async def claim_first(*args: Any) -> Any:
        claimed = await claim(*args)
        if claimed is not None:
            wakes.set()
            await opened.wait()
        return claimed

    log.open, store.claim_turn = open_late, claim_first
    log._session_of_test = await log._session()
    async with asyncio.timeout(LIMIT):
        asleep = asyncio.create_task(late.say(thread_id, "Once", KEY))
        while (found := await store.find_keyed_turn("k1", ADA)) is None or not found.lapsed:
            await asyncio.sleep(0.02)
        again = await quick.say(thread_id, "Once", KEY)
        if running is not None:
            # It is not lost with its log, and comes to an end.
            await quick.store.finish_turn("acts", running.token, "completed", ADA)
            await drain(again)
            while (found := await store.find_keyed_turn("k1", ADA)).status is not TurnStatus.ENDED:
                await quick.recover()
                await asyncio.sleep(0.02)
            assert all_texts(await quick.items(thread_id))[:2] == ["Hi", "Once"]
            await asyncio.wait({asleep})
            with suppress(Exception):
                reading = asyncio.create_task(drain(asleep.result()))
                # What it reads may be a turn that nobody has so far: a sweep ends it, as where applications run.
                while not reading.done():
                    await quick.recover()
                    await asyncio.sleep(0.02)
            await late.close()
            await quick.close()
            return
        frames = await drain(again)
        assert decode(await drain(await asleep)) == decode(frames)
    assert kinds(decode(frames))[-1] == "thread.item.done"
    assert b'"completed"' in frames[-1]
    assert all_texts(await quick.items(thread_id)) == ["Hi", "Once", "Hello!"]
    await late.close()
    await quick.close()


@pytest.mark.parametrize("creates", [False, True])
async def test_a_message_whose_turn_cannot_begin_twice_is_answered_once(
    creates: bool, made: Callable[..., ScriptedServer]
) -> None:
    """The second turn takes the place of the first, which never ran, and is withdrawn in its turn."""
    server = made()
    thread_id = "" if creates else await server.new_thread()
    store: Any = server.store
    open_turn, withdraw_turn = store.open_turn, store.withdraw_turn

    async def away(*_: Any, **rest: Any) -> Any:
        raise StoreUnavailableError("The database is away.")

    async def send() -> Any:
        return await (server.create("Once", metadata=KEY) if creates else server.say(thread_id, "Once", KEY))

    store.open_turn = store.withdraw_turn = away
    with pytest.raises(StoreUnavailableError):
        await send()

    async def withdraw(*args: Any) -> Any:
        taken_back.append(await withdraw_turn(*args))
        return taken_back[-1]

    taken_back: list[bool] = []
    store.withdraw_turn = withdraw
    async with asyncio.timeout(LIMIT):
        while (found := await store.find_keyed_turn("k1", ADA)).status is not TurnStatus.ENDED:
            await server.recover()
            await asyncio.sleep(0.02)
        with suppress(StoreUnavailableError):
            await drain(await send())
    assert taken_back == [True]
    store.open_turn = open_turn
    frames = await drain(await send())
    assert b'"completed"' in frames[-1]
    threads = (await store.load_threads(9, None, "asc", ADA)).data
    assert len(threads) == 1
    texts = all_texts(await server.items(found.thread_id))
    assert texts == ["Once", "Hello!"] if creates else ["Hi", "Once", "Hello!"]
    await server.close()


@pytest.mark.parametrize("rerun", [0, 1])
async def test_a_turn_that_the_store_cannot_note_as_opened_is_begun_in_the_stream_of_its_next_sending(
    rerun: int, made: Callable[..., ScriptedServer]
) -> None:
    first, second = made(rerun_on_crash=rerun), made(rerun_on_crash=rerun)
    thread_id = await second.new_thread()
    store: Any = first.store
    open_turn, withdraw_turn = store.open_turn, store.withdraw_turn

    async def away(*_: Any, **rest: Any) -> Any:
        raise StoreUnavailableError("The database is away.")

    store.open_turn = store.withdraw_turn = away
    with pytest.raises(StoreUnavailableError):
        await first.say(thread_id, "Once", KEY)
    store.open_turn, store.withdraw_turn = open_turn, withdraw_turn
    frames = [await drain(await server.say(thread_id, "Once", KEY)) for server in (first, second)]
    for told in frames:
        assert "error" not in kinds(decode(told))
        assert b'"completed"' in told[-1]
    assert all_texts(await second.items(thread_id)) == ["Hi", "Once", "Hello!"]
    await first.close()
    await second.close()


@pytest.mark.parametrize("claimed_first", [True, False])
async def test_a_turn_that_was_never_opened_and_is_stopped_as_it_waits_is_not_begun_anew(
    claimed_first: bool, made: Callable[..., ScriptedServer]
) -> None:
    dead, server = made(concurrency="enqueue"), made(concurrency="enqueue")
    thread_id = await server.new_thread()
    store: Any = server.store
    running = await store.accept_turn(Acceptance("acts", thread_id, LIMIT), ADA)
    log: Any = dead._chatkit_turns().log

    async def hang(*_: Any, **rest: Any) -> Any:
        await asyncio.Event().wait()

    log.open = hang
    async with asyncio.timeout(LIMIT):
        asleep = asyncio.create_task(dead.say(thread_id, "Once", KEY))
        while (found := await store.find_keyed_turn("k1", ADA)) is None or not found.lapsed:
            await asyncio.sleep(0.02)
        while claimed_first and server._chatkit_turns().running(found.turn_id) is None:
            await server.recover()
            await asyncio.sleep(0.02)
        again = await server.say(thread_id, "Once", KEY)
        assert await server.ask("turns.stop", ADA, thread_id=thread_id) == {"stopped": [found.turn_id]}
        frames = await drain(again)
        assert b'"stopped"' in frames[-1]
        assert all_texts(await server.items(thread_id)) == ["Hi", "Once"]
        assert kinds(decode(await drain(await server.say(thread_id, "Once", KEY)))) == kinds(decode(frames))
        await store.finish_turn("acts", running.token, "completed", ADA)
    asleep.cancel()
    await asyncio.wait({asleep})
    await dead.close()
    await server.close()
