"""Turns that a crash cut off are finalised: at the start, or by the owner's next request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import Database
from chatkit.errors import NotFoundError, StoreUnavailableError
from chatkit.ids import utc_now
from chatkit.server.wire import added_event, done_event, item_json, thread_json
from chatkit.store import MemoryStore
from chatkit.store.base import Fence, current_fence
from chatkit.streams import SQLiteStreamLog
from chatkit.streams.base import EndState, InterruptedTurn, KeyClaim, LogEntry, ThreadKey, TurnInfo
from chatkit.streams.memory import MemoryStreamLog
from chatkit.streams.worker import Worker
from chatkit.types import CustomTask, HiddenContextItem, Workflow, WorkflowItem, to_wire
from tests.server.recorded.plain_store import PlainStore
from tests.server.support import (
    ADA,
    BOB,
    LIMIT,
    ScriptedServer,
    decode,
    delta,
    done,
    drain,
    message,
    silent,
    texts,
)

DEAD = KeyClaim("turn_dead", "", "", fresh=False)


class CrashedLog(MemoryStreamLog):
    """Hands out turns of a worker that died."""

    def __init__(self) -> None:
        super().__init__()
        self.left_behind: list[InterruptedTurn] = []
        self.settled: list[str] = []

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        return [turn for turn in self.left_behind if turn.info.id not in self.settled]

    async def settle(self, turn_id: str, events: Any = ()) -> None:
        self.settled.append(turn_id)

    async def take_over(self, turn: InterruptedTurn, **rest: Any) -> Any:
        return None


class SharedLog(CrashedLog):
    """Lets claimed turns go on here."""

    async def take_over(self, turn: InterruptedTurn, **rest: Any) -> Any:
        writer = await MemoryStreamLog.take_over(self, turn, **rest)
        self.settled.append(turn.info.id)
        return writer


class OwnedStore(PlainStore):
    """Checks the owner by the context, and knows no owners itself."""

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        if context != ADA:
            raise NotFoundError
        return await super().load_thread(thread_id, context)


def workflow() -> Any:
    task = CustomTask(title="a", status_indicator="loading")
    return WorkflowItem(id="wf", workflow=Workflow(type="custom", tasks=[task]))


async def crashed(
    store: Any, *, shared: bool = False, kind: type[ScriptedServer] = ScriptedServer, **options: Any
) -> tuple[Any, Any, str]:
    log = SharedLog() if shared else CrashedLog()
    server = kind(silent, store, stream_log=log, **options)
    thread_id = await server.new_thread()

    def own(item: Any) -> Any:
        return item.model_copy(update={"thread_id": thread_id})

    update = {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": " text"}
    event = delta("x").model_copy(update={"delta": None})
    head = to_wire(event)[:-1]
    update_json = json.dumps(update).encode()
    entries = [
        b'{"type":"stream_options","stream_options":{"allow_cancel":true}}',
        done_event(item_json(own(message("Whole", "msg_0")))),
        added_event(item_json(own(message("Partial")))),
        head + b',"update":' + update_json + b"}",
        added_event(item_json(own(message(" ", "msg_empty")))),
        added_event(item_json(own(workflow()))),
        b'{"type": "of a later version"}',
    ]
    page = await server._chatkit_store().load_thread_items(thread_id, None, 1, "desc", ADA)
    info = TurnInfo(
        "turn_dead",
        thread_id,
        owner="ada",
        resumable=shared,
        user_item_id=page.data[0].id,
        context='{"user_id": "ada"}' if shared else None,
    )
    await server._chatkit_store().begin_turn(thread_id, info.id, ADA)
    log.left_behind.append(InterruptedTurn(info, [LogEntry(n, data) for n, data in enumerate(entries, 1)]))
    return server, log, thread_id


async def assert_finalised(server: ScriptedServer, log: CrashedLog, thread_id: str) -> None:
    items = await server.items(thread_id)
    assert texts(items)[:1] == ["Partial text"]
    assert [item.id for item in items][1:3] == ["msg_1", "wf"]
    assert items[2].workflow.tasks[0].status_indicator == "none"
    assert log.settled == ["turn_dead"]


async def test_a_store_that_takes_owners_needs_no_request(store: Any) -> None:
    server, log, thread_id = await crashed(store)
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)
    assert await server.recover() == 0


async def test_a_turn_has_ended_for_the_store_before_its_readers_hear_of_it() -> None:
    ends: list[EndState | None] = []

    class Store(MemoryStore[Any]):
        async def finish_turn(self, turn_id: str, *rest: Any, **more: Any) -> None:
            if turn_id == DEAD.turn_id:
                ends.append(await log.ended(DEAD))
            await super().finish_turn(turn_id, *rest, **more)

    server, log, _ = await crashed(Store(), shared=True)
    assert await server.recover() == 1
    # A message that is sent then is refused as long as a turn runs in the thread, or waits for it.
    assert ends == [None]
    assert await log.ended(DEAD) is EndState.INTERRUPTED


async def test_the_application_makes_a_context() -> None:
    class Server(ScriptedServer):
        def recovery_context(self, owner: str | None, thread_id: str) -> Any:
            return {"user_id": owner}

    server, log, thread_id = await crashed(OwnedStore())
    server.__class__ = Server
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("turns.stop", {}),
        ("threads.add_user_message", {"input": {"content": []}}),
    ],
)
async def test_the_owners_next_request_finalises_and_no_other(kind: str, params: Any) -> None:
    server, log, thread_id = await crashed(OwnedStore())
    assert await server.recover() == 0
    assert await server.recover() == 0
    with pytest.raises(NotFoundError):
        await server.send(kind, BOB, thread_id=thread_id, **params)
    assert log.settled == []
    await server.ask(kind, thread_id=thread_id, **params)
    await assert_finalised(server, log, thread_id)


async def test_a_thread_with_a_turn_that_waits_for_its_owner_can_be_deleted(tmp_path: Path) -> None:
    path, here = tmp_path / "chat.db", Worker.current()
    server = ScriptedServer(silent, OwnedStore(), stream_log=SQLiteStreamLog(Database(path)))
    thread_id = await server.new_thread()
    other = SQLiteStreamLog(Database(path), worker=lambda: Worker(here.place, 2**22 + 1, here.started))
    info = TurnInfo("turn_dead", thread_id, owner="ada", resumable=True)
    writer = await other.open(info, snapshot=lambda _: [], on_stop=lambda: None)
    writer.append(added_event(item_json(message("Partial").model_copy(update={"thread_id": thread_id}))))
    await writer.flush()
    await other.close()
    assert await server.recover() == 0
    assert await server.ask("threads.delete", thread_id=thread_id) == {}
    assert await server._chatkit_turns().log.active(ThreadKey("ada", thread_id)) == []
    await server.close()


async def test_what_waits_for_an_owner_is_not_kept_for_longer_than_it_is_claimed(tmp_path: Path) -> None:
    path, here = tmp_path / "chat.db", Worker.current()
    log = SQLiteStreamLog(Database(path), lease=0.3)
    server = ScriptedServer(silent, OwnedStore(), stream_log=log)
    thread_id = await server.new_thread()
    dead = SQLiteStreamLog(
        Database(path), lease=0.3, worker=lambda: Worker(here.place, 2**22 + 1, here.started)
    )
    info = TurnInfo("turn_dead", thread_id, owner="ada", resumable=True)
    await dead.open(info, snapshot=lambda _: [], on_stop=lambda: None)
    await dead.close()
    recovery = server._chatkit_turns().recovery
    async with asyncio.timeout(LIMIT):
        while not recovery._orphans:
            await server.recover()
            await asyncio.sleep(0.01)
    # Another worker deletes the thread.
    other = SQLiteStreamLog(Database(path), lease=0.3)
    await other.forget_thread(ThreadKey("ada", thread_id))
    async with asyncio.timeout(LIMIT):
        while recovery._orphans:
            await server.recover()
            await asyncio.sleep(0.01)
    await other.close()
    await server.close()


async def test_a_thread_that_is_gone_is_settled(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    server, log, thread_id = await crashed(store)
    await server._chatkit_store().delete_thread(thread_id, ADA)
    assert await server.recover() == 1
    assert log.settled == ["turn_dead"]


async def resumed(server: ScriptedServer, thread_id: str, after: int) -> list[Any]:
    return decode(
        await drain(await server.send("turns.resume", thread_id=thread_id, after=f"turn_dead:{after}"))
    )


async def test_readers_elsewhere_hear_how_the_items_ended_and_why(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True)
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)
    told = await resumed(server, thread_id, 7)
    assert [(event["type"], event.get("item", event).get("id", event.get("item_id"))) for event in told] == [
        ("thread.item.removed", "msg_empty"),
        ("thread.item.done", "msg_1"),
        ("thread.item.done", "wf"),
        ("error", None),
    ]
    assert told[1]["item"]["content"][0]["text"] == "Partial text"
    assert (told[3]["code"], told[3]["allow_retry"], told[3]["reason"]) == (
        "stream.error",
        True,
        "interrupted",
    )
    # A reader of the dead process may have got more of it than could be saved.
    ahead = await resumed(server, thread_id, 10)
    assert [event["type"] for event in ahead] == [event["type"] for event in told]
    # Whoever has nothing gets the state, with what was done before the crash.
    everything = [event for event in await resumed(server, thread_id, 0) if event.get("item")]
    assert {event["type"] for event in everything} == {"thread.item.done"}
    assert {"msg_1", "wf"} < {event["item"]["id"] for event in everything}


class Rerunning(ScriptedServer):
    """Says that its handler may run twice."""

    rerun_on_crash = 2

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, rerun_on_crash=2, **options)

    def dump_context(self, context: Any) -> Any:
        return context

    async def load_context(self, data: Any) -> Any:
        return data


async def test_a_turn_is_run_again_from_its_message_for_the_readers_that_it_has(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=Rerunning)
    await server._chatkit_store().add_thread_item(thread_id, message("Whole", "msg_0"), ADA)
    asked: list[Any] = []

    async def again(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        asked.append((question.id, context))
        yield done("Whole at last", "msg_2")

    server.script = again
    assert await server.recover() == 1
    told = await resumed(server, thread_id, 7)
    gone = [event["item_id"] for event in told[:-1]]
    assert sorted(gone) == ["msg_0", "msg_1", "msg_empty", "wf"]
    assert told[-1]["item"]["content"][0]["text"] == "Whole at last"
    assert asked == [(log.left_behind[0].info.user_item_id, ADA)]
    assert [item.id for item in await server.items(thread_id)][1:] == ["msg_2"]


async def test_what_the_dead_worker_had_stored_and_not_told_does_not_stay_beside_the_next_attempt(
    store: Any,
) -> None:
    server, _, thread_id = await crashed(store, shared=True, kind=Rerunning)
    await server._chatkit_store().add_thread_item(
        thread_id, message("Partial text, and the end", "msg_1"), ADA
    )

    async def again(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Whole at last", "msg_2")

    server.script = again
    assert await server.recover() == 1
    await resumed(server, thread_id, 7)
    assert texts(await server.items(thread_id)) == ["Whole at last"]


@pytest.mark.parametrize("alone", [True, False])
async def test_what_was_stored_and_never_told_goes_too_if_it_can_only_be_the_turns_own(
    store: Any, alone: bool
) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=Rerunning)
    full = server._chatkit_store()
    await full.add_thread_item(thread_id, message("Stored, and never told", "msg_last"), ADA)
    await full.add_thread_item(
        thread_id, HiddenContextItem(id="hidden", thread_id=thread_id, content="Clicked"), ADA
    )
    if not alone:
        other = TurnInfo("turn_action", thread_id, owner="ada")
        await log.open(other, snapshot=lambda _: [], on_stop=lambda: None)

    async def again(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Whole at last", "msg_2")

    server.script = again
    assert await server.recover() == 1
    events = await resumed(server, thread_id, 7)
    removed = [event["item_id"] for event in events if event["type"] == "thread.item.removed"]
    assert ("msg_last" in removed) == alone
    told = [event["item"]["id"] for event in events if event.get("item")]
    expected = ["msg_2"] if alone else ["msg_last", "msg_2"]
    assert told == expected
    items = [item.id for item in await server.items(thread_id) if item.type == "assistant_message"]
    assert items == expected
    assert (await full.load_item(thread_id, "hidden", ADA)).content == "Clicked"


@pytest.mark.parametrize("kind", [ScriptedServer, Rerunning])
async def test_a_turn_that_only_its_log_takes_for_interrupted_is_as_it_ended(store: Any, kind: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=kind)
    full = server._chatkit_store()
    if await full.begin_turn(thread_id, "other", ADA) == 0:
        pytest.skip("a store that does not fence cannot know")
    whole = message("Partial text, and the end", "msg_1")
    await full.add_thread_item(thread_id, whole, ADA)
    token = await full.begin_turn(thread_id, "turn_dead", ADA)
    await full.complete_turn("turn_dead", token, ADA)

    async def again(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        raise AssertionError("it has been answered")
        yield

    server.script = again
    assert await server.recover() == 1
    stored = await server.items(thread_id)
    assert texts(stored) == ["Partial text, and the end"]
    assert [item.id for item in stored][1:] == ["msg_1"], "what it took back stays away"
    told = await resumed(server, thread_id, 7)
    assert [event["item"]["id"] for event in told if event["type"] == "thread.item.done"] == ["msg_1"]
    assert not [event for event in told if event["type"] == "error"]
    assert await log.ended(DEAD) is EndState.COMPLETED
    assert await full.has_completed("turn_dead", ADA)


async def test_a_turn_that_ended_in_another_way_is_not_told_as_completed(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True)
    full = server._chatkit_store()
    token = await full.begin_turn(thread_id, "turn_dead", ADA)
    await full.end_turn("turn_dead", token, ADA)
    await full.add_thread_item(thread_id, message("Partial text", "msg_1"), ADA)
    assert await server.recover() == 1
    assert (await resumed(server, thread_id, 7))[-1]["reason"] == "interrupted"
    assert await log.ended(DEAD) is EndState.INTERRUPTED


async def test_readers_hear_of_what_was_stored_in_the_last_moment(store: Any) -> None:
    server, _, thread_id = await crashed(store, shared=True)
    full = server._chatkit_store()
    await full.add_thread_item(thread_id, message("Stored, and never told", "msg_last"), ADA)
    hidden = HiddenContextItem(id="hidden", thread_id=thread_id, content="secret")
    await full.add_thread_item(thread_id, hidden, ADA)
    newer = (await server.items(thread_id))[0].model_copy(update={"id": "msg_newer", "created_at": utc_now()})
    await full.add_thread_item(thread_id, newer, ADA)
    await full.add_thread_item(thread_id, message("Of the newer message", "msg_other"), ADA)
    assert await server.recover() == 1
    told = await resumed(server, thread_id, 7)
    shown = [event["item"]["id"] for event in told if event["type"] == "thread.item.done"]
    assert sorted(shown) == ["msg_1", "msg_last", "wf"]


@pytest.mark.parametrize("kind", [ScriptedServer, Rerunning])
@pytest.mark.parametrize("saved", [0, 1, 2, 3])
async def test_readers_hear_how_the_turn_opened_though_its_worker_died_before_it_could_be_saved(
    store: Any, kind: Any, saved: int
) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=kind)
    full = server._chatkit_store()
    question = (await server.items(thread_id))[0]
    thread = thread_json(await full.load_thread(thread_id, ADA))
    opening = [b'{"type":"thread.created","thread":' + thread + b"}", done_event(item_json(question))]
    opening.append(b'{"type":"stream_options","stream_options":{"allow_cancel":true}}')
    entries = [LogEntry(number, data) for number, data in enumerate(opening[:saved], 1)]
    log.left_behind[0] = replace(log.left_behind[0], entries=entries)

    async def again(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Whole at last", "msg_2")

    server.script = again
    assert await server.recover() == 1
    told = await resumed(server, thread_id, 0)
    kinds = [event["type"] for event in told]
    assert kinds.count("thread.created") == 1
    assert kinds.count("stream_options") == (kind is Rerunning or saved == 3)
    assert next(event for event in told if event["type"] == "thread.created")["thread"]["id"] == thread_id
    shown = [event["item"]["id"] for event in told if event.get("item")]
    assert shown == ([question.id, "msg_2"] if kind is Rerunning else [question.id])
    # Nobody hears twice what the log had.
    behind = {event["type"] for event in await resumed(server, thread_id, saved)}
    assert ("thread.created" in behind) == (saved == 0)
    assert ("stream_options" in behind) == (kind is Rerunning and saved < 3)


async def test_a_turn_that_was_to_stop_is_not_run_again(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=Rerunning)
    log.left_behind[0] = replace(log.left_behind[0], stop=True)
    await finalised_without_rerun(server, log, thread_id)


@pytest.mark.parametrize("kind", [ScriptedServer, Rerunning])
async def test_a_claim_that_ran_out_meanwhile_is_left_to_others(store: Any, kind: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=kind)
    log.holds_claim = lambda turn_id: False
    token = await server._chatkit_store().begin_turn(thread_id, "turn_dead", ADA)
    assert await server.recover() == 0
    # Whoever has the turn now may write.
    current_fence.set(Fence("turn_dead", token))
    await server._chatkit_store().put_thread_item(thread_id, message("Mine", "msg_mine"), ADA)
    assert texts(await server.items(thread_id)) == ["Mine"]
    assert log.settled == []


async def test_a_store_that_is_away_as_a_turn_begins_again_costs_no_text(store: Any) -> None:
    server, log, _ = await crashed(store, shared=True, kind=Rerunning)
    full, left = server._chatkit_store(), []

    async def away(*args: Any) -> int:
        raise StoreUnavailableError

    async def take_over(turn: InterruptedTurn, **rest: Any) -> Any:
        writer = await MemoryStreamLog.take_over(log, turn, **rest)
        assert writer is not None

        async def hand_over() -> bool:
            left.append(turn.info.id)
            return True

        writer.hand_over = hand_over
        return writer

    log.take_over = take_over
    full.begin_turn = away
    assert await server.recover() == 0
    assert left == ["turn_dead"], "the next one to claim it runs it again"
    assert log.settled == []


async def finalised_without_rerun(server: Any, log: Any, thread_id: str) -> None:
    async def never(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        pytest.fail("The handler ran again.")
        yield

    server.script = never
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)


async def test_a_turn_is_run_again_so_often_and_no_more(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=Rerunning)
    turn = log.left_behind[0]
    log.left_behind[0] = replace(turn, info=replace(turn.info, attempt=3))
    await finalised_without_rerun(server, log, thread_id)


async def test_a_turn_whose_context_cannot_be_made_again_is_finalised(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetful(Rerunning):
        async def load_context(self, data: Any) -> Any:
            raise PermissionError

    server, log, thread_id = await crashed(store, shared=True, kind=Forgetful)
    await finalised_without_rerun(server, log, thread_id)
    assert "could not be run again" in caplog.text


async def test_a_turn_that_a_newer_message_follows_is_not_run_again(store: Any) -> None:
    server, log, thread_id = await crashed(store, shared=True, kind=Rerunning)
    user = (await server.items(thread_id))[0]
    await server._chatkit_store().add_thread_item(thread_id, user.model_copy(update={"id": "msg_newer"}), ADA)
    server.script = silent
    assert await server.recover() == 1
    assert log.settled == ["turn_dead"]
    assert [item.id for item in await server.items(thread_id)][1:] == ["msg_newer", "msg_1", "wf"]


async def test_a_server_that_ends_leaves_turns_of_others_alone(store: Any) -> None:
    server, log, _ = await crashed(store, shared=True, kind=Rerunning)
    await server.shutdown()
    assert await server.recover() == 0
    assert log.settled == []


@pytest.mark.parametrize(
    ("options", "metadata", "saved"),
    [
        ({}, {"resumable": True}, '{"user_id": "ada"}'),
        ({"on_disconnect": "continue"}, None, '{"user_id": "ada"}'),
        ({}, None, None),
    ],
)
async def test_the_context_is_saved_of_turns_that_outlive_their_readers(
    options: Any, metadata: Any, saved: str | None
) -> None:
    log = MemoryStreamLog()
    server = Rerunning(silent, stream_log=log, **options)
    seen: list[TurnInfo] = []

    async def look(thread: Any, question: Any, context: Any) -> AsyncIterator[Any]:
        seen.extend(await log.active(ThreadKey("ada", thread.id)))
        yield done("Hello!")

    server.script = look
    await drain(await server.create(metadata=metadata))
    assert [info.context for info in seen] == [saved]
