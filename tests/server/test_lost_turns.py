"""Turns that the store has and the log has lost, or that workers of another kind left: none takes what is another's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from chatkit.errors import NotFoundError
from chatkit.ids import new_id, utc_now
from chatkit.server.turns import sweep
from chatkit.store import Acceptance, SQLiteStore, TurnStatus, TurnWrites
from chatkit.streams import StreamLog
from chatkit.streams.base import TurnInfo
from chatkit.streams.records import dump_info
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    InferenceOptions,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.widgets import Card
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    all_texts,
    drain,
    hello,
    read,
    writes_apart,
)


class Rerunning(ScriptedServer):
    """Runs turns again; its contexts may never load."""

    hangs = False

    def __init__(self, script: Any, store: Any) -> None:
        super().__init__(script, store, rerun_on_crash=1)

    def dump_context(self, context: Any) -> Any:
        return context

    async def load_context(self, data: Any) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        return data


async def lost_turn(
    store: Any, thread_id: str, text: str, *, lease: float = -1.0, opened: bool = True
) -> tuple[str, int]:
    """Accepts a turn of a worker that died, which no log knows; returns its id and token."""
    item = UserMessageItem(
        id=new_id("message"),
        thread_id=thread_id,
        created_at=utc_now(),
        content=[UserMessageTextContent(text=text)],
        inference_options=InferenceOptions(),
    )
    info = TurnInfo(
        new_id("turn"),
        thread_id,
        "ada",
        resumable=True,
        user_item_id=item.id,
        context=json.dumps({"user_id": "ada"}),
    )
    writes = TurnWrites(message=item)
    accepted = await store.accept_turn(
        Acceptance(info.id, thread_id, lease, writes, user_item_id=item.id, info=dump_info(info)), ADA
    )
    if opened:
        await store.open_turn(info.id, accepted.token, ADA)
    return info.id, accepted.token


async def ended(server: ScriptedServer, turn_id: str) -> Any:
    """Sweeps until a turn has ended, and returns it."""
    async with asyncio.timeout(LIMIT):
        while True:
            await server.recover()
            found = await cast("Any", server.store).find_turn(turn_id, ADA)
            if found.status is TurnStatus.ENDED:
                return found
            await asyncio.sleep(0.01)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SQLiteStore[Any]:
    monkeypatch.setattr(sweep, "_UNKNOWN_LEASES", 0)
    return SQLiteStore(tmp_path / "chat.db")


async def test_what_a_turn_answered_that_the_log_has_lost_stays_when_another_runs_again(
    database: Any,
) -> None:
    server = Rerunning(hello, database)
    thread_id = await server.new_thread()
    before, token = await lost_turn(database, thread_id, "First", lease=LIMIT)
    turn_id, _ = await lost_turn(database, thread_id, "Second")
    answer = AssistantMessageItem(
        id="msg_1",
        thread_id=thread_id,
        created_at=utc_now(),
        content=[AssistantMessageContent(text="To the first")],
    )
    await database.add_thread_item(thread_id, answer, ADA)
    await database.finish_turn(before, token, "completed", ADA)
    assert (await ended(server, turn_id)).end == "completed"
    assert all_texts(await server.items(thread_id)) == ["Hi", "First", "Second", "To the first", "Hello!"]


@pytest.mark.parametrize("opened", [False, True])
async def test_a_context_that_never_loads_stops_no_sweep(
    database: Any, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_BEGIN_LIMIT_SECONDS", 0.05)
    server = Rerunning(hello, database)
    server.hangs = True
    thread_id = await server.new_thread()
    turn_id, _ = await lost_turn(database, thread_id, "Hi", opened=opened)
    other, _ = await lost_turn(database, await server.new_thread(), "Hi")
    async with asyncio.timeout(LIMIT):
        assert await server.recover() >= 1
    assert (await ended(server, other)).end == "interrupted"
    if opened:
        assert (await ended(server, turn_id)).end == "interrupted"


@pytest.mark.parametrize("apart", [False, True])
async def test_a_waiting_message_is_stored_by_a_worker_whose_store_writes_one_by_one(
    tmp_path: Path, apart: bool
) -> None:
    gate = asyncio.Event()

    async def slow(thread: Any, message: Any, context: Any) -> Any:
        yield added("One")
        await gate.wait()

    first = ScriptedServer(slow, SQLiteStore(tmp_path / "chat.db"), concurrency="enqueue")
    store = SQLiteStore[Any](tmp_path / "chat.db")
    second = ScriptedServer(hello, writes_apart(store) if apart else store, concurrency="enqueue")
    thread_id = await first.new_thread()
    # So that the first one is not alone on its file.
    await drain(await second.say(await second.new_thread(), "Hi"))
    await read((await first.say(thread_id, "First", {"resumable": True})).json_events, 3)
    waiting = await first.say(thread_id, "Second", {"resumable": True, "idempotency_key": "k"})
    await first.shutdown()
    assert (await ended(second, waiting.turn_id)).opened
    assert "Second" in all_texts(await second.items(thread_id))


async def test_a_key_whose_turn_cannot_be_made_again_is_refused(tmp_path: Path) -> None:
    class Acting(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            yield added("Done")

    def server() -> ScriptedServer:
        return Acting(hello, SQLiteStore(tmp_path / "chat.db"), stream_log=StreamLog())

    async def send(to: ScriptedServer) -> Any:
        return await to.send(
            "threads.custom_action",
            ADA,
            {"idempotency_key": "k"},
            thread_id=thread_id,
            item_id="widget",
            action={"type": "x", "payload": None},
        )

    first = server()
    thread_id = await first.new_thread()
    store: Any = first._chatkit_store()
    await store.add_thread_item(
        thread_id,
        WidgetItem(id="widget", thread_id=thread_id, created_at=utc_now(), widget=Card(children=[])),
        ADA,
    )
    result = await send(first)
    await drain(result)
    # As a worker leaves it that died before it noted that it had opened the turn.
    await store.database.write(
        lambda connection: (
            connection.execute("UPDATE accepted_turns SET opened = 0, ended = 'interrupted'").rowcount
        )
    )
    await store.delete_thread_item(thread_id, "widget", ADA)
    with pytest.raises(NotFoundError):
        await send(server())
