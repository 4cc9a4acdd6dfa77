"""Two owners who use the same ids for everything: what the one runs is unknown to the other, in every log."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chatkit.errors import NotFoundError, TurnNotFoundError
from chatkit.ids import new_id
from chatkit.server import NonStreamingResult
from chatkit.store import Store
from chatkit.streams import MemoryStreamLog
from chatkit.streams.base import InterruptedTurn, LogEntry, TurnInfo
from chatkit.types import (
    ClientToolCallItem,
    FileAttachment,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemDoneEvent,
    WidgetItem,
)
from chatkit.widgets import Card
from tests.server.recorded.plain_store import PlainStore
from tests.server.support import (
    ADA,
    BOB,
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    texts,
    user_input,
)
from tests.server.support import read as read_frames
from tests.server.twins import INBOX, Twins, half, make_twins, secret
from tests.support.scale import scaled

ROOT = Path(__file__).parents[2]
LEASE = 0.5
RESUMABLE = {"resumable": True}

Make = Callable[..., Twins]


class Place(NamedTuple):
    """A kind of log and where it is, as ``make_twins`` takes them."""

    kind: str
    path: str
    log: str

    def maker(self, lease: float = 10.0) -> Make:
        return make_twins(self.kind, self.path, self.log, lease)

    def workers(self, script: Any, **options: Any) -> list[Twins]:
        """Returns two workers, or one twice where the log is not shared."""
        make = self.maker()
        first = make(script, **options)
        return [first, make(script, **options) if self.kind in {"redis", "postgres"} else first]


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "postgres":
        return Place("postgres", request.getfixturevalue("postgres_database"), "")
    log = f"{request.getfixturevalue('redis_url')} {new_id('test')}:" if request.param == "redis" else ""
    return Place(request.param, str(tmp_path / "chat.db"), log)


class Telling:
    """Ada's answer waits until it may go on; everybody else's is whole at once."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("", "msg_answer")
        yield delta(secret(context), "msg_answer")
        if context == ADA:
            await self.go_on.wait()
        yield done(secret(context), "msg_answer")


async def ada_begins(worker: Twins, metadata: Any = None) -> Any:
    result = await worker.create("Hi", ADA, metadata=metadata or RESUMABLE)
    assert result.thread_id == INBOX
    assert secret(ADA).encode() in b"".join(await read_frames(result.json_events, 5))
    for turn in worker._chatkit_turns()._running.values():
        await turn.writer.flush()
    return result


async def ada_ends(telling: Telling, result: Any) -> None:
    telling.go_on.set()
    assert b'"status":"completed"' in (await drain(result.json_events))[-1]


async def said(answer: Any) -> str:
    async with asyncio.timeout(LIMIT):
        frames = (
            [answer.json] if isinstance(answer, NonStreamingResult) else [frame async for frame in answer]
        )
    return b"".join(frames).decode()


async def closed(workers: list[Twins]) -> None:
    for worker in dict.fromkeys(workers):
        await worker.close()


def requests(turn_id: str) -> list[tuple[str, Any, dict[str, Any]]]:
    """Returns requests of every type that names a thread."""
    thread = {"thread_id": INBOX}
    action = {"item_id": "wid_1", "action": {"type": "go"}}
    message = {"input": user_input()}
    keys = [{"idempotency_key": f"key_{number}"} for number in range(3)]
    return [
        ("threads.get_by_id", None, thread),
        ("items.list", None, thread),
        ("threads.list", None, {}),
        ("turns.resume", None, thread),
        ("turns.resume", None, thread | {"after": f"{turn_id}:1"}),
        ("turns.stop", None, thread),
        ("turns.stop", None, thread | {"turn_id": turn_id}),
        ("threads.add_structured_input", None, thread | {"item_id": "sin_1", "input": {"status": "skipped"}}),
        ("threads.custom_action", keys[0], thread | action),
        ("threads.sync_custom_action", None, thread | action),
        ("threads.add_client_tool_output", None, thread | {"result": {}}),
        ("threads.add_user_message", keys[1], thread | message),
        ("threads.add_user_message", RESUMABLE, thread | message),
        ("threads.retry_after_item", None, thread | {"item_id": "message_1"}),
        ("threads.update", None, thread | {"title": "Bob was here"}),
        ("items.feedback", None, thread | {"item_ids": ["message_1"], "kind": "positive"}),
        ("threads.delete", None, thread),
        ("threads.create", keys[2], message),
    ]


@pytest.mark.parametrize("concurrency", ["allow", "reject", "enqueue", "interrupt"])
async def test_no_request_of_bob_meets_adas_turn(place: Place, concurrency: Any) -> None:
    telling = Telling()
    first, second = pair = place.workers(telling, concurrency=concurrency)
    result = await ada_begins(first)
    store = second._chatkit_store()
    told = await second.ask("threads.create", BOB, input=user_input())
    for item in (
        WidgetItem(id="wid_1", thread_id=INBOX, widget=Card(children=[])),
        StructuredInputItem(
            id="sin_1", thread_id=INBOX, inputs=[StructuredInputFreeform(id="q", question="?")]
        ),
        ClientToolCallItem(id="tc_1", thread_id=INBOX, call_id="c", name="pick", arguments={}),
    ):
        await store.add_thread_item(INBOX, item, BOB)
    heard = [json.dumps(told)]
    for kind, metadata, params in requests(result.turn_id):
        try:
            heard.append(await said(await second.send(kind, BOB, metadata, **params)))
            assert kind != "turns.resume", "nothing of bob's can be resumed so far"
            assert kind != "turns.stop" or heard[-1] == '{"stopped":[]}'
        except TurnNotFoundError:
            assert kind == "turns.resume"
    assert not [text for text in heard if secret(ADA) in text or result.turn_id in text]
    assert sum(secret(BOB) in text for text in heard) >= 8
    assert (await second.ask("threads.get_by_id", ADA, thread_id=INBOX))["active_turn"][
        "id"
    ] == result.turn_id
    again = await second.send("turns.resume", ADA, thread_id=INBOX)
    await ada_ends(telling, result)
    assert secret(ADA) in json.dumps(decode(await drain(again.json_events)))
    assert texts(await first.items(INBOX, ADA)) == [secret(ADA)]
    assert (await store.load_thread(INBOX, ADA)).title is None
    await closed(pair)


async def test_the_same_key_of_two_owners_is_two_messages(place: Place) -> None:
    telling = Telling()
    first, second = pair = place.workers(telling)
    key = RESUMABLE | {"idempotency_key": "key"}
    result = await ada_begins(first, key)
    sent_again = await second.create("Hi", ADA, metadata=key)
    other = await second.create("Hi", BOB, metadata=key)
    assert sent_again.turn_id == result.turn_id != other.turn_id
    assert secret(ADA) not in json.dumps(decode(await drain(other.json_events)))
    telling.go_on.set()
    assert secret(ADA) in json.dumps(decode(await drain(sent_again.json_events)))
    await drain(result.json_events)
    replayed = await first.create("Hi", BOB, metadata=key)
    shown = json.dumps(decode(await drain(replayed.json_events)))
    assert secret(BOB) in shown
    assert secret(ADA) not in shown
    await closed(pair)


@pytest.mark.parametrize("reruns", [0, 1])
@pytest.mark.parametrize("place", ["sqlite", "redis", "postgres"], indirect=True)
async def test_what_a_killed_worker_ran_is_recovered_for_its_owner(place: Place, reruns: int) -> None:
    command = [sys.executable, "-m", "tests.server.twins_process", *place, str(LEASE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert (await asyncio.to_thread(process.stdout.readline)) == b"ready\n"
        finally:
            process.kill()
    server = place.maker(LEASE)(again, rerun_on_crash=reruns)
    ended = 0
    async with asyncio.timeout(scaled(30)):
        while ended < 2:
            ended += await server.recover()
            await asyncio.sleep(0.05)
    for context, other in ((ADA, BOB), (BOB, ADA)):
        async with asyncio.timeout(LIMIT):
            while "active_turn" in await server.ask("threads.get_by_id", context, thread_id=INBOX):
                await asyncio.sleep(0.02)
        stored = await server.items(INBOX, context)
        assert texts(stored) == [secret(context) + (", again" if reruns else "")]
        if place.kind != "sqlite" or reruns:
            resumed = await server.send("turns.resume", context, thread_id=INBOX)
            shown = b"".join(await drain(resumed.json_events)).decode()
            assert secret(context) in shown
            assert secret(other) not in shown
    await server.close()


async def again(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done(secret(context) + ", again", "msg_answer")


class StoreOfUsers(PlainStore):
    """An application's own: keeps the users' threads apart, and says nothing of owners."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, PlainStore] = {}

    def _of(self, context: Any) -> PlainStore:
        return self.of.setdefault(context.get("team") or context["user_id"], PlainStore())

    def generate_thread_id(self, context: Any) -> str:
        return INBOX

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        return await self._of(context).load_thread(thread_id, context)

    async def save_thread(self, thread: Any, context: Any) -> None:
        await self._of(context).save_thread(thread, context)

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        return await self._of(context).load_thread_items(thread_id, after, limit, order, context)

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        await self._of(context).add_thread_item(thread_id, item, context)

    async def save_item(self, thread_id: str, item: Any, context: Any) -> None:
        await self._of(context).save_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        return await self._of(context).load_item(thread_id, item_id, context)


async def test_a_store_that_knows_no_owners_keeps_its_users_turns_apart() -> None:
    telling = Telling()
    server = ScriptedServer(telling, StoreOfUsers())
    result = await ada_begins(server)  # type: ignore[arg-type]
    await drain(await server.create("Hi", BOB))
    assert await server.ask("turns.stop", BOB, thread_id=INBOX) == {"stopped": []}
    with pytest.raises(TurnNotFoundError):
        await server.send("turns.resume", BOB, thread_id=INBOX, after=f"{result.turn_id}:1")
    await ada_ends(telling, result)


class TeamServer(ScriptedServer):
    def turn_owner(self, context: Any) -> str | None:
        return context["team"]


async def test_users_who_share_threads_share_turns_where_the_application_says_so() -> None:
    ada, bob, eve = (
        {"user_id": name, "team": team} for name, team in (("ada", "a"), ("bob", "a"), ("eve", "e"))
    )
    server = TeamServer(half, StoreOfUsers())
    result = await server.create("Hi", ada, metadata=RESUMABLE)
    await read_frames(result.json_events, 5)
    await drain_later(await server.create("Hi", eve, metadata=RESUMABLE))
    resumed = await server.send("turns.resume", bob, thread_id=INBOX)
    assert resumed.turn_id == result.turn_id
    assert await server.ask("turns.stop", bob, thread_id=INBOX) == {"stopped": [result.turn_id]}
    assert len((await server.ask("turns.stop", eve, thread_id=INBOX))["stopped"]) == 1
    await resumed.aclose()


async def drain_later(result: Any) -> None:
    await read_frames(result.json_events, 5)


class CrashedLog(MemoryStreamLog):
    """Hands out one turn of a worker that died."""

    def __init__(self, turn: InterruptedTurn) -> None:
        super().__init__()
        self.turn: InterruptedTurn | None = turn
        self.settled: list[str] = []

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        turn, self.turn = self.turn, None
        return [] if turn is None else [turn]

    async def settle(self, turn_id: str, events: Any = ()) -> None:
        self.settled.append(turn_id)

    async def take_over(self, turn: InterruptedTurn, **rest: Any) -> Any:
        return None


async def test_a_turn_that_waits_for_its_owners_request_is_not_anothers() -> None:
    thread = (
        b'{"type":"thread.item.added","item":{"id":"msg_1","type":"assistant_message","thread_id":"inbox",'
    )
    thread += (
        b'"created_at":"2026-01-01T00:00:00Z","content":[{"type":"output_text","text":"%s",'
        % secret(ADA).encode()
    )
    thread += b'"annotations":[]}]}}'
    info = TurnInfo("turn_dead", INBOX, owner="ada")
    log = CrashedLog(InterruptedTurn(info, [LogEntry(1, thread)]))
    server = ScriptedServer(quiet, StoreOfUsers(), stream_log=log)
    for context in (ADA, BOB):
        await drain(await server.create("Hi", context))
    assert await server.recover() == 0
    await server.ask("threads.get_by_id", BOB, thread_id=INBOX)
    assert log.settled == []
    assert texts(await server.items(INBOX, BOB)) == []
    await server.ask("threads.get_by_id", ADA, thread_id=INBOX)
    assert log.settled == ["turn_dead"]
    assert texts(await server.items(INBOX, ADA)) == [secret(ADA)]


async def quiet(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    for event in ():
        yield event


async def test_attachments_and_items_with_the_same_ids_are_each_owners_own(
    place: Place,
) -> None:
    server = place.maker()(again)
    store: Store[Any] = server._chatkit_store()
    for context in (ADA, BOB):
        await drain(await server.create("Hi", context))
        attachment = FileAttachment(id="atc_1", name=secret(context), mime_type="text/plain")
        await store.save_attachment(attachment, context)
        await store.add_thread_item(INBOX, ThreadItemDoneEvent(item=tool(context)).item, context)
    for context in (ADA, BOB):
        assert (await store.load_attachment("atc_1", context)).name == secret(context)
        item: Any = await store.load_item(INBOX, "tc_1", context)
        assert item.name == secret(context)
    await store.delete_attachment("atc_1", BOB)
    await store.delete_thread_item(INBOX, "tc_1", BOB)
    await store.delete_thread(INBOX, BOB)
    assert (await store.load_attachment("atc_1", ADA)).name == secret(ADA)
    assert texts(await server.items(INBOX, ADA)) == [f"{secret(ADA)}, again"]
    with pytest.raises(NotFoundError):
        await store.load_attachment("atc_1", BOB)
    await server.close()


def tool(context: Any) -> Any:
    return ClientToolCallItem(id="tc_1", thread_id=INBOX, call_id="c", name=secret(context), arguments={})
