"""The answer to a write is lost: what is stored is found out before anything is told, and stands once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemDoneEvent,
)
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    decode,
    done,
    drain,
    hello,
    kinds,
    read,
    texts,
)
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy

KEY = {"resumable": True, "idempotency_key": "k1"}


class Losing:
    """Loses the answer to one write of a message or an item, and then answers nothing while it is away."""

    loses = False
    away = False
    stays_away = False

    def lose(self) -> None:
        self.loses = False
        self.away = self.stays_away

    def come_back(self) -> None:
        self.away = False


def losing(kind: type[Any]) -> type[Any]:
    class LosingStore(Losing, kind):  # type: ignore[misc,valid-type]
        pass

    def written_and_lost(name: str) -> Any:
        async def call(self: Any, *args: Any) -> Any:
            await getattr(kind, name)(self, *args)
            if self.loses:
                self.lose()
                raise StoreUnavailableError("The answer was lost.")

        return call

    def unless_away(name: str) -> Any:
        async def call(self: Any, *args: Any) -> Any:
            if self.away:
                raise StoreUnavailableError("Away.")
            return await getattr(kind, name)(self, *args)

        return call

    for name in ("add_thread_item", "save_item_if_unchanged"):
        setattr(LosingStore, name, written_and_lost(name))
    for name in ("load_item", "begin_turn", "delete_thread"):
        setattr(LosingStore, name, unless_away(name))
    return LosingStore


class CutPostgresStore(PostgresStore[Any]):
    """Loses the answer to a COMMIT, by its connection."""

    proxy: CuttingProxy
    loses = False
    stays_away = False

    def stream_log(self) -> None:
        # Its commits must not be taken for those of the store.
        return None

    def _lose(self) -> None:
        if self.loses:
            self.loses = False
            self.proxy.lose_answer_to(b"COMMIT\0")

    async def _write(self, owner: str, work: Any, *, repeatable: bool = False) -> Any:
        # Nothing is asked for again, as where the database stays away for longer than that is tried.
        return await super()._write(owner, work, repeatable=False)

    async def _store_item(self, *args: Any) -> None:
        self._lose()
        try:
            await super()._store_item(*args)
        except StoreUnavailableError:
            if self.stays_away:
                self.proxy.take_down()
            raise

    async def save_item_if_unchanged(self, *args: Any) -> None:
        self._lose()
        await super().save_item_if_unchanged(*args)

    def come_back(self) -> None:
        self.proxy.bring_up()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def losing_store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    if request.param == "memory":
        yield losing(MemoryStore)()
        return
    if request.param == "sqlite":
        yield losing(SQLiteStore)(tmp_path / "chat.db")
        return
    url = request.getfixturevalue("postgres_database")
    parts = urlsplit(url)
    with cutting_proxy(f"http://{parts.hostname}:{parts.port}") as proxy:
        port = urlsplit(proxy.url).port
        store = CutPostgresStore(url.replace(f":{parts.port}/", f":{port}/"), reconnect_timeout=0.1)
        store.proxy = proxy
        yield store


async def made(store: Any, script: Any = hello) -> ScriptedServer:
    server = ScriptedServer(script, store)
    await server.new_thread()
    return server


async def closed(server: ScriptedServer) -> None:
    await server.close()


async def messages(server: ScriptedServer) -> list[list[str]]:
    """Returns the texts of the user's messages of each thread."""
    threads = await server._chatkit_store().load_threads(9, None, "asc", ADA)
    return [
        [item.content[0].text for item in await server.items(thread.id) if item.type == "user_message"]
        for thread in threads.data
    ]


def sending(server: ScriptedServer, thread_id: str | None) -> Callable[[Any], Any]:
    if thread_id is None:
        return lambda metadata: server.create("New", ADA, metadata)
    return lambda metadata: server.say(thread_id, "New", metadata)


@pytest.mark.parametrize("creates", [False, True])
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_message_that_was_stored_is_answered(losing_store: Any, creates: bool, keyed: bool) -> None:
    server = await made(losing_store)
    known = (await server.ask("threads.list"))["data"][0]["id"]
    send = sending(server, None if creates else known)
    losing_store.loses = True
    metadata = KEY if keyed else {"resumable": True}
    result = await send(metadata)
    frames = await drain(result)
    assert b'"completed"' in frames[-1]
    if keyed:
        assert await drain(await send(KEY)) == frames
    assert await messages(server) == ([["Hi"], ["New"]] if creates else [["Hi", "New"]])
    assert texts(await server.items(result.thread_id)) == ["Hello!"]
    await closed(server)


@pytest.mark.parametrize("creates", [False, True])
async def test_what_cannot_be_known_keeps_its_key_and_is_looked_up_first(
    losing_store: Any, creates: bool
) -> None:
    server = await made(losing_store)
    known = (await server.ask("threads.list"))["data"][0]["id"]
    send = sending(server, None if creates else known)
    losing_store.loses = losing_store.stays_away = True
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StoreUnavailableError):
            await send(KEY)
    losing_store.come_back()
    result = await send(KEY)
    frames = await drain(result)
    told = [event for event in decode(frames) if event["type"] != "stream_options"]
    expected = ["thread.item.done"] * 2
    assert kinds(told) == (["thread.created", *expected] if creates else expected)
    assert b'"completed"' in frames[-1]
    assert await drain(await send(KEY)) == frames
    assert await messages(server) == ([["Hi"], ["New"]] if creates else [["Hi", "New"]])
    assert texts(await server.items(result.thread_id)) == ["Hello!"]
    await closed(server)


@pytest.mark.parametrize("creates", [False, True])
async def test_a_stored_message_keeps_its_key_though_it_cannot_be_answered_the_second_time_either(
    losing_store: Any, creates: bool
) -> None:
    server = await made(losing_store)
    known = (await server.ask("threads.list"))["data"][0]["id"]
    send = sending(server, None if creates else known)
    losing_store.loses = losing_store.stays_away = True
    begin_turn, refused = losing_store.begin_turn, list[Any]()

    async def refuse(*args: Any) -> Any:
        refused.append(args)
        raise StoreUnavailableError("Away.")

    async with asyncio.timeout(LIMIT):
        with pytest.raises(StoreUnavailableError):
            await send(KEY)
        losing_store.come_back()
        losing_store.begin_turn = refuse
        with suppress(StoreUnavailableError):
            await drain(await send(KEY))
        assert refused
        losing_store.begin_turn = begin_turn
        result = await send(KEY)
        assert b'"completed"' in (await drain(result))[-1]
    assert await messages(server) == ([["Hi"], ["New"]] if creates else [["Hi", "New"]])
    assert texts(await server.items(result.thread_id)) == ["Hello!"]
    await closed(server)


async def test_a_message_that_begins_anew_does_not_wait_for_a_deletion_that_waits_for_it() -> None:
    looked_up, go_on = asyncio.Event(), asyncio.Event()

    class Store(MemoryStore[Any]):
        away = False

        async def add_thread_item(self, *args: Any) -> None:
            if self.away:
                raise StoreUnavailableError("Away, and nothing was written.")
            await super().add_thread_item(*args)

        async def load_item(self, *args: Any) -> Any:
            if self.away:
                raise StoreUnavailableError("Away.")
            looked_up.set()
            await go_on.wait()
            return await super().load_item(*args)

    store = Store()
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    store.away = True
    with pytest.raises(StoreUnavailableError):
        await server.say(thread_id, "New", KEY)
    store.away = False
    async with asyncio.timeout(LIMIT):
        saying = asyncio.create_task(server.say(thread_id, "New", KEY))
        await looked_up.wait()
        deleting = asyncio.create_task(server.ask("threads.delete", thread_id=thread_id))
        for _ in range(9):
            await asyncio.sleep(0)
        go_on.set()
        await drain(await saying)
        assert await deleting == {}
    assert await messages(server) == []
    await closed(server)


async def test_answers_and_outputs_that_were_stored_count_as_given(losing_store: Any) -> None:
    async def asks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        question = StructuredInputFreeform(id="q", question="Why?")
        yield ThreadItemDoneEvent(item=StructuredInputItem(id="asked", inputs=[question]))
        yield ThreadItemDoneEvent(item=ClientToolCallItem(id="call", call_id="c", name="n", arguments={}))

    server = await made(losing_store, asks)
    thread_id = (first := await server.create()).thread_id
    await drain(first)
    server.script = hello
    losing_store.loses = True
    output = await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={"ok": True})
    assert kinds(output)[-1] == "thread.item.done"

    async def again(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Hello again!", "msg_2")

    server.script = again
    losing_store.loses = True
    ask = {"status": "answered", "answers": {"q": {"values": ["So"]}}}
    answered = await server.ask(
        "threads.add_structured_input", thread_id=thread_id, item_id="asked", input=ask
    )
    assert kinds(answered)[-1] == "thread.item.done"
    assert texts(await server.items(thread_id)) == ["Hello!", "Hello again!"]
    await closed(server)


async def test_a_sending_that_is_cancelled_leaves_its_key_with_the_turn_that_goes_on() -> None:
    """The request is gone, the resumable turn is not: the same key finds it."""
    opening, go_on = asyncio.Event(), asyncio.Event()

    class SlowStore(MemoryStore[Any]):
        async def add_thread_item(self, *args: Any) -> None:
            await super().add_thread_item(*args)
            opening.set()
            await go_on.wait()

    server = ScriptedServer(hello, SlowStore())
    first = asyncio.create_task(server.create("New", ADA, KEY))
    await opening.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    again = asyncio.create_task(server.create("New", ADA, KEY))
    go_on.set()
    assert b'"completed"' in (await drain(await again))[-1]
    assert await messages(server) == [["New"]]


async def test_an_action_that_began_is_not_carried_out_again_though_its_request_was_cancelled() -> None:
    began = asyncio.Event()

    class Shop(ScriptedServer):
        orders = 0

        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            self.orders += 1
            began.set()
            yield done("Ordered")

    server = Shop()
    thread_id = await server.new_thread()
    ask = {"thread_id": thread_id, "action": {"type": "order"}}
    first = asyncio.create_task(server.send("threads.custom_action", ADA, KEY, **ask))
    await began.wait()
    first.cancel()
    await asyncio.wait({first})
    if not first.cancelled():
        await drain(first.result())
    await drain(await server.send("threads.custom_action", ADA, KEY, **ask))
    assert server.orders == 1


async def test_the_answer_after_a_lost_one_can_be_resumed(losing_store: Any) -> None:
    server = await made(losing_store)
    losing_store.loses = losing_store.stays_away = True
    with pytest.raises(StoreUnavailableError):
        await server.create("New", ADA, KEY)
    losing_store.come_back()
    result = await server.create("New", ADA, KEY)
    begun = await read(result.json_events, 2)
    after = begun[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    await result.aclose()
    rest = await drain(await server.send("turns.resume", thread_id=result.thread_id, after=after))
    assert kinds(decode(rest))[-1] == "thread.item.done"
    await closed(server)
