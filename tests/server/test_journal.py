"""A turn goes on where its worker left it: what was done is not done again, and never twice without a word."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chatkit.errors import (
    ConfigurationError,
    CustomStreamError,
    InvalidResultError,
    StepFailedError,
    StoreUnavailableError,
    UnsureStepError,
)
from chatkit.ids import new_id
from chatkit.server import journal, record_usage
from chatkit.server.turns import journal as turn_journal
from chatkit.server.turns.journal import keeps_journals
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.streams import MemoryStreamLog, PostgresStreamLog
from chatkit.usage import Usage
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    texts,
    writes_apart,
)
from tests.stateful.plain_store import PlainStore

Handler = Callable[["Trip"], Awaitable[str]]


class Server(ScriptedServer):
    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data


class Trip:
    """A turn of several attempts: the handler answers with what it returns, and each attempt but the last is cut off.

    Attributes:
        ran: What has run, in order.
        keys: The idempotency keys that ``run`` was given.
        attempt: From 1.
    """

    def __init__(self, handler: Handler, attempts: int = 2) -> None:
        self.handler = handler
        self.attempts = attempts
        self.ran: list[str] = []
        self.keys: list[str] = []
        self.attempt = 0
        self.stuck = asyncio.Event()

    async def halt(self, attempt: int = 1) -> None:
        """Waits for the end of the worker, in that attempt."""
        if self.attempt == attempt:
            self.stuck.set()
            await asyncio.Event().wait()

    def runs(
        self, name: str, result: Any = None, *, until: Callable[[], Awaitable[None]] | None = None
    ) -> Any:
        async def run(key: str = "") -> Any:
            self.ran.append(name)
            self.keys += [key] if key else []
            if until is not None:
                await until()
            if isinstance(result, Exception):
                raise result
            return name if result is None else result

        return run

    async def step(self, name: str, arguments: Any = None, **rest: Any) -> Any:
        effect = rest.pop("effect", "once")
        return await journal.step("tool", name, arguments, self.runs(name, **rest), effect=effect)

    async def _respond(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        self.attempt += 1
        yield done(await self.handler(self), new_id("message"))

    def server(self, store: Any, **options: Any) -> Server:
        if isinstance(store, PostgresStore):
            options["stream_log"] = PostgresStreamLog(store.database, lease=0.5)
        return Server(self._respond, store, rerun_on_crash=self.attempts - 1, **options)

    async def go(self, make_store: Callable[[], Store[Any]]) -> list[Any]:
        """Runs the turn, and returns the events that a reader of all attempts gets."""
        server = self.server(make_store())
        result = await server.create(metadata={"resumable": True})
        thread_id, frames = result.thread_id, list[bytes]()
        for _ in range(self.attempts - 1):
            async with asyncio.timeout(LIMIT):
                await self.stuck.wait()
                self.stuck.clear()
                await server.close()
                server = self.server(make_store())
                while not await server.recover():
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(LIMIT):
            if self.attempts > 1:
                result = await server.send("turns.resume", thread_id=thread_id)
            frames = await drain(result.json_events)
            self.texts = texts(await server.items(thread_id))
        self.end = json.loads(frames[-1].rpartition(b"data: ")[2])["status"]
        self.events = decode(frames)
        await server.close()
        return self.events

    @property
    def error(self) -> str:
        return next(event["message"] for event in self.events if event["type"] == "error")


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], Store[Any]]:
    return lambda: SQLiteStore(tmp_path / "chat.db")


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store[Any]]:
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "chat.db")
    url = request.getfixturevalue("postgres_database")
    return lambda: PostgresStore(url)


async def rows(store: Any, turn_id: str = "%") -> int:
    found: Any = await store.database.read(
        lambda connection: connection.execute("SELECT count(*) FROM turn_steps").fetchone()
    )
    return found[0]


async def test_what_was_recorded_is_not_run_again(stores: Any) -> None:
    async def handler(trip: Trip) -> str:
        first = await trip.step(
            "look", {"b": 1, "a": [2, None]}, result={"of": ["x", (1, 2)]}, effect="repeatable"
        )
        second = await trip.step("pay", first)
        await trip.halt()
        return f"{first} {second} {await trip.step('tell')}"

    trip = Trip(handler)
    await trip.go(stores)
    assert trip.ran == ["look", "pay", "tell"]
    assert trip.texts == ["{'of': ['x', [1, 2]]} pay tell"]
    assert trip.end == "completed"


async def test_a_step_with_one_effect_that_was_cut_off_is_not_repeated_and_that_is_told(
    stores: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(trip: Trip) -> str:
        await trip.step("look", effect="repeatable")
        # Nothing that a handler makes of the error lets the turn go on.
        for _ in range(2):
            with suppress(UnsureStepError):
                await trip.step("pay", {"cents": 5}, until=trip.halt)
        return "Paid, I suppose"

    trip = Trip(handler)
    await trip.go(stores)
    assert trip.ran == ["look", "pay"]
    assert trip.end == "failed"
    assert trip.error == str(UnsureStepError("pay"))
    assert "its step pay was begun by a worker that died" in caplog.text


async def test_repeatable_and_keyed_steps_that_were_cut_off_run_again_the_latter_under_their_key(
    stores: Any,
) -> None:
    async def handler(trip: Trip) -> str:
        await trip.step("order", 1, effect="keyed")
        await trip.step("order", 1, effect="keyed", until=trip.halt)
        return await trip.step("look", effect="repeatable", until=lambda: trip.halt(2))

    trip = Trip(handler, attempts=3)
    await trip.go(stores)
    assert trip.ran == ["order", "order", "order", "look", "look"]
    first, second, again = trip.keys
    assert second == again != first
    assert trip.texts == ["look"]


async def test_steps_that_run_side_by_side_are_told_apart_whatever_their_order(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        names = ["a", "b", "b", "c"] if trip.attempt == 1 else ["c", "b", "a", "b"]
        found = await asyncio.gather(*(trip.step("get", name, result=name, effect="once") for name in names))
        await trip.halt()
        return "".join(sorted(found)) + await trip.step("end")

    trip = Trip(handler)
    await trip.go(files)
    assert trip.ran == ["get"] * 4 + ["end"]
    assert trip.texts == ["abbcend"]


async def test_another_way_uses_nothing_that_was_recorded_and_says_so(
    files: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(trip: Trip) -> str:
        for name in ("a", "b", "c"):
            arguments = "other" if (name, trip.attempt) == ("b", 2) else None
            await trip.step(name, arguments, effect="repeatable")
            if name == "c":
                await trip.halt()
        await trip.halt(2)
        return await trip.step("end")

    trip = Trip(handler, attempts=3)
    trip.attempts = 3
    await trip.go(files)
    # The third attempt is that of the first again: what the second one recorded is of another way.
    assert trip.ran == [*"abc", *"bc", *"bc", "end"]
    assert "took another way than before its worker died: 2 recorded steps are not used (b, c)" in caplog.text
    assert trip.end == "completed"


@pytest.mark.parametrize("later", [False, True])
async def test_another_way_does_not_lead_to_the_same_effect_twice(files: Any, later: bool) -> None:
    async def handler(trip: Trip) -> str:
        if later:
            await trip.step("model", trip.attempt, effect="repeatable")
        await trip.step("pay", {"at": trip.attempt})
        await trip.halt()
        return "Paid"

    trip = Trip(handler)
    await trip.go(files)
    assert trip.ran.count("pay") == 1
    assert trip.end == "failed"
    assert '"pay"' in trip.error


async def test_an_error_is_a_result(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        try:
            await trip.step("pay", result=ValueError("declined"))
        except StepFailedError as error:
            causes.append(error.__cause__)
            await trip.halt()
            return f"{error.name}, {error.type_name}: {error.message}"
        return "never"

    causes: list[Any] = []
    trip = Trip(handler)
    await trip.go(files)
    assert [type(cause) for cause in causes] == [ValueError, type(None)]
    assert trip.ran == ["pay"]
    assert trip.texts == ["pay, builtins.ValueError: declined"]


async def test_an_error_for_the_user_reaches_the_user(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        return await trip.step("pay", result=CustomStreamError("Declined."))

    trip = Trip(handler, attempts=1)
    await trip.go(files)
    assert trip.error == "Declined."


@pytest.mark.parametrize("what", ["arguments", "result", "nan", "deep"])
async def test_what_is_no_json_is_named(files: Any, what: str, caplog: pytest.LogCaptureFixture) -> None:
    endless: list[Any] = []
    endless.append(endless)

    async def handler(trip: Trip) -> str:
        value: Any = {"arguments": None, "result": {1j}, "nan": float("nan"), "deep": endless}[what]
        with pytest.raises(InvalidResultError, match=r"of (the|a) step pay must be JSON") as caught:
            await trip.step("pay", {2j} if what == "arguments" else None, result=value)
        assert isinstance(caught.value, TypeError)
        return "No"

    trip = Trip(handler, attempts=1)
    await trip.go(files)
    assert trip.end == "completed"


async def test_a_result_that_is_too_large_is_not_kept_and_that_is_logged_once(
    files: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turn_journal, "_MOST_BYTES_OF_STEP", 100)
    monkeypatch.setattr(turn_journal, "_MOST_BYTES_OF_TURN", 150)

    async def handler(trip: Trip) -> str:
        await trip.step("read", result="x" * 101, effect="repeatable")
        await trip.step("small", result="x" * 90)
        await trip.step("other", result="x" * 90, effect="keyed")
        await trip.halt()
        await trip.step("pay", result="x" * 200)
        await trip.halt(2)
        return "never"

    trip = Trip(handler, attempts=3)
    await trip.go(files)
    # What has one effect and no result that is kept is not repeated. Each attempt warns.
    assert trip.ran == ["read", "small", "other", "read", "other", "pay", "read", "other"]
    assert '"pay"' in trip.error
    assert len([record for record in caplog.records if "too large for the journal" in record.message]) == 3


async def test_a_step_inside_a_step_is_a_part_of_it(files: Any) -> None:
    keys: list[Any] = []

    async def handler(trip: Trip) -> str:
        async def outer() -> str:
            keys.append([journal.idempotency_key()])
            for _ in range(2):
                keys[-1].append(await journal.step("http", "post", 1, lambda key: key, effect="keyed"))
            return await trip.step("inner", until=trip.halt)

        assert journal.idempotency_key() is None
        return await journal.step("tool", "outer", None, outer, effect="repeatable")

    trip = Trip(handler)
    await trip.go(files)
    assert trip.ran == ["inner", "inner"]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3
    assert trip.texts == ["inner"]


async def test_steps_are_recorded_only_where_the_turn_may_run_again(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        await trip.step("pay")
        counts.append(await rows(store))
        return "Paid"

    counts: list[int] = []
    trip, store = Trip(handler), files()
    server = trip.server(store)
    await drain(await server.create(metadata={"resumable": True}))
    await drain(await server.create())
    server.rerun_on_crash = 0
    await drain(await server.create(metadata={"resumable": True}))
    # And it goes with its turn.
    assert [*counts, await rows(store)] == [1, 0, 0, 0]
    await server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def counted(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a store, and the statements that it has made so far."""
    found: list[str] = []
    if request.param == "sqlite":
        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> Any:
            connection = connect(*arguments, **options)
            connection.set_trace_callback(found.append)
            return connection

        monkeypatch.setattr(sqlite3, "connect", connected)
        return SQLiteStore[Any](tmp_path / "chat.db"), found

    def counting(method: Any) -> Any:
        def call(self: Any, statement: str, *arguments: Any, **options: Any) -> Any:
            found.append(statement)
            return method(self, statement, *arguments, **options)

        return call

    for name in ("execute", "fetch", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, counting(getattr(asyncpg.Connection, name)))
    return PostgresStore[Any](request.getfixturevalue("postgres_database")), found


async def test_a_step_costs_a_write_before_it_and_one_after_it_a_model_one_and_a_turn_without_none(
    counted: Any,
) -> None:
    store, found = counted

    async def handler(trip: Trip) -> str:
        if kind == "tool":
            await trip.step("pay")
        elif kind == "model":
            await journal.step("model", "m", None, lambda: "said", effect="repeatable")
        return "Hello"

    server = Server(Trip(handler)._respond, store, stream_log=MemoryStreamLog())
    costs: dict[str, int] = {}
    for kind, reruns in (("off", 0), ("none", 1), ("model", 1), ("tool", 1)):
        server.rerun_on_crash = reruns
        counts: list[int] = []
        for _ in range(5):
            # The first makes connections, and some look for what is to be swept.
            found.clear()
            await drain(await server.create(metadata={"resumable": True}))
            counts.append(len(found))
        costs[kind] = min(counts)
    # A write is one statement, its transaction's begin and its commit.
    assert costs["none"] == costs["off"]
    assert costs["model"] == costs["none"] + 3
    assert costs["tool"] == costs["none"] + 6
    await server.close()


async def test_readers_see_what_the_next_attempt_comes_to_in_place_and_the_rest_goes(tmp_path: Path) -> None:
    attempt, stuck = 0, asyncio.Event()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal attempt
        attempt += 1
        first, second = new_id("message"), new_id("message")
        yield done(f"First of {attempt}", first)
        yield added("", second)
        yield delta(f"Second of {attempt}", second)
        if attempt == 1:
            yield done("Third", new_id("message"))
            yield done("Chosen", "chosen")
            await journal.step("tool", "pay", None, lambda: None)
            stuck.set()
            await asyncio.Event().wait()

    def server() -> Server:
        return Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=1)

    worker = server()
    result = await worker.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        await stuck.wait()
        await worker.close()
        before = await drain(result.json_events)
        cursor = before[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
        worker = server()
        while not await worker.recover():
            await asyncio.sleep(0.01)
        result = await worker.send("turns.resume", thread_id=result.thread_id, after=cursor)
        after = decode(await drain(result.json_events))
        fresh = decode(await drain(await worker.send("turns.resume", thread_id=result.thread_id)))
    ids = [event["item"]["id"] for event in decode(before) if "item" in event][1:]
    told = [(event["type"].removeprefix("thread.item."), _id_of(event)) for event in after]
    assert told == [
        # Its id was not made for it: it may mean something to the application.
        ("removed", "chosen"),
        ("replaced", ids[0]),
        ("replaced", ids[1]),
        ("updated", ids[1]),
        ("removed", ids[2]),
        ("done", ids[1]),
    ]
    items = await worker.items(result.thread_id)
    assert [item.id for item in items][1:] == ids[:2]
    assert texts(items) == ["First of 2", "Second of 2"]
    # A reader that comes only now sees these, once each.
    assert [event["item"]["id"] for event in fresh if event["type"] == "thread.item.done"][1:] == ids[:2]
    await worker.close()


@pytest.mark.parametrize("fails", [True, False])
async def test_what_was_told_as_done_is_not_lost_in_the_middle_of_the_next_attempt(
    tmp_path: Path, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    attempt, stuck = 0, asyncio.Event()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal attempt
        attempt += 1
        item_id = new_id("message")
        if attempt == 1:
            yield done("The whole answer", item_id)
        else:
            yield added("", item_id)
            yield delta("The wh", item_id)
            if fails:
                raise ValueError("Broken")
        stuck.set()
        await asyncio.Event().wait()

    worker = Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=2)
    result = await worker.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        for reruns in (2, 0)[: 1 if fails else 2]:
            await stuck.wait()
            stuck.clear()
            await worker.close()
            worker = Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=reruns)
            while not await worker.recover():
                await asyncio.sleep(0.01)
        frames = await drain(await worker.send("turns.resume", thread_id=result.thread_id))
    assert (b'"failed"' if fails else b'"interrupted"') in frames[-1]
    assert texts(await worker.items(result.thread_id)) == ["The whole answer"]
    told = [
        event["item"] for event in decode(frames) if event.get("item", {}).get("type") == "assistant_message"
    ]
    assert {item["id"] for item in told} == {(await worker.items(result.thread_id))[1].id}
    assert all(item["content"][0]["text"] == "The whole answer" for item in told)
    await worker.close()


async def test_what_was_told_as_done_is_not_lost_where_the_next_attempt_cannot_begin(tmp_path: Path) -> None:
    stuck = asyncio.Event()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("First", new_id("message"))
        yield done("Second", new_id("message"))
        third = new_id("message")
        yield added("", third)
        yield delta("The th", third)
        stuck.set()
        await asyncio.Event().wait()

    class Failing(SQLiteStore[Any]):
        deleted = 0

        async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
            self.deleted += 1
            if self.deleted == 2:
                raise StoreUnavailableError("The database cannot be reached.")
            await super().delete_thread_item(thread_id, item_id, context)

    worker = Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=1)
    result = await worker.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        await stuck.wait()
        await worker.close()
        worker = Server(respond, Failing(tmp_path / "chat.db"), rerun_on_crash=1)
        while not await worker.recover():
            await asyncio.sleep(0.01)
        frames = await drain(await worker.send("turns.resume", thread_id=result.thread_id))
    assert b'"failed"' in frames[-1]
    items = await worker.items(result.thread_id)
    assert texts(items) == ["First", "Second", "The th"]
    told = [event["item"]["id"] for event in decode(frames) if event["type"] == "thread.item.done"]
    assert told == [item.id for item in items]
    await worker.close()


@pytest.mark.parametrize("stops", [True, False])
async def test_items_stay_in_their_order_however_the_next_attempt_ends(tmp_path: Path, stops: bool) -> None:
    attempt, stuck = 0, asyncio.Event()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        nonlocal attempt
        attempt += 1
        first, second = new_id("message"), new_id("message")
        if attempt == 1:
            yield done("First", first)
            yield added("", second)
            yield delta("Second", second)
            yield done("Third", new_id("message"))
        elif stops:
            yield added("", first)
            yield delta("Fir", first)
        stuck.set()
        await asyncio.Event().wait()

    worker = Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=2)
    result = await worker.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        for reruns in (2, 0)[: 1 if stops else 2]:
            await stuck.wait()
            stuck.clear()
            await worker.close()
            worker = Server(respond, SQLiteStore(tmp_path / "chat.db"), rerun_on_crash=reruns)
            while not await worker.recover():
                await asyncio.sleep(0.01)
        if stops:
            await stuck.wait()
            await worker.ask("turns.stop", thread_id=result.thread_id)
        frames = await drain(await worker.send("turns.resume", thread_id=result.thread_id))
    items = await worker.items(result.thread_id)
    assert texts(items) == ["First", "Second", "Third"]
    told = [
        event["item"]["id"]
        for event in decode(frames)
        if event["type"] in {"thread.item.done", "thread.item.replaced"}
    ]
    # But for what a stop tells the model.
    assert told == [item.id for item in items if item.type != "sdk_hidden_context"]
    await worker.close()


async def test_all_steps_that_were_cut_off_side_by_side_are_named(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        forever = asyncio.Event().wait
        steps = (trip.step("pay", until=forever), trip.step("send", until=trip.halt))  # type: ignore[arg-type]
        return str(await asyncio.gather(*steps))

    trip = Trip(handler)
    await trip.go(files)
    assert trip.ran == ["pay", "send"]
    assert '"pay" and "send"' in trip.error


async def test_a_worker_that_allows_more_attempts_than_the_one_before_takes_no_step_again(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        await trip.step("look")
        await trip.halt(1)
        await trip.step("pay")
        current[-1].rerun_on_crash = trip.attempts - 1
        await trip.halt(2)
        return "Paid"

    current: list[Server] = []

    class Deployed(Trip):
        def server(self, store: Any, **options: Any) -> Server:
            current.append(super().server(store, **options))
            current[-1].rerun_on_crash = max(1, self.attempt)
            return current[-1]

    trip = Deployed(handler, 3)
    await trip.go(files)
    assert (trip.end, trip.ran) == ("completed", ["look", "pay"])


async def test_usage_that_steps_record_counts_once_whoever_took_them(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        for name in ("first", "second", "third"):

            async def ask(name: str = name) -> str:
                await record_usage(Usage("small", input_tokens=1))
                return name

            await journal.step("model", name, None, ask, effect="repeatable")
            if name == "second":
                await trip.halt()
        await record_usage(Usage("small", input_tokens=1))
        return "Done"

    trip = Trip(handler)
    await trip.go(files)
    store = files()
    (total,) = await store.sum_usage(datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC), ADA)
    assert (trip.end, total.calls) == ("completed", 4)
    await store.close()


def _id_of(event: Any) -> str:
    return event["item"]["id"] if "item" in event else event["item_id"]


async def test_code_that_no_turn_runs_takes_steps_as_well() -> None:
    assert await journal.step("tool", "pay", None, lambda: (1, 2)) == [1, 2]
    assert str(await journal.step("tool", "pay", None, lambda key: key, effect="keyed")).startswith("step_")
    with pytest.raises(ConfigurationError, match=r"journal\.step\(effect=\.\.\.\)"):
        await journal.step("tool", "pay", None, lambda: 1, effect="twice")  # type: ignore[arg-type]
    with pytest.raises(StepFailedError, match=r"builtins\.KeyError"):
        await journal.step("tool", "pay", None, lambda: {}["x"])


async def test_a_stop_ends_a_step_and_the_turn(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        return await trip.step("pay", until=trip.halt)

    trip = Trip(handler)
    server = trip.server(files())
    result = await server.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        await trip.stuck.wait()
        await server.ask("turns.stop", thread_id=result.thread_id)
    assert b'"status":"stopped"' in (await drain(result.json_events))[-1]
    assert await rows(server.store) == 0
    await server.close()


async def test_a_step_that_ran_out_of_time_is_not_repeated(files: Any) -> None:
    async def handler(trip: Trip) -> str:
        try:
            async with asyncio.timeout(0.01):
                await trip.step("pay", until=asyncio.Event().wait if trip.attempt == 1 else None)
        except TimeoutError:
            await trip.halt()
        return "Paid"

    trip = Trip(handler)
    await trip.go(files)
    assert trip.ran == ["pay"]
    assert '"pay"' in trip.error


async def test_a_worker_that_stood_still_takes_no_step(files: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = files()

    async def handler(trip: Trip) -> str:
        (turn,) = server._chatkit_turns().running_turns()
        await store.begin_turn(turn.info.thread_id, turn.info.id, ADA)
        return await trip.step("pay")

    trip = Trip(handler)
    server = trip.server(store)
    await drain(await server.create(metadata={"resumable": True}))
    assert trip.ran == []
    assert "lost its lease to another worker" in caplog.text
    await server.close()


def test_which_stores_keep_journals(tmp_path: Path) -> None:
    assert keeps_journals(MemoryStore())
    assert keeps_journals(SQLiteStore(tmp_path / "chat.db"))
    # It may encrypt what it is given, and would not be given this.
    assert not keeps_journals(writes_apart(MemoryStore()))
    assert not keeps_journals(PlainStore())


async def test_over_a_store_without_a_journal_handlers_run_again_as_ever(tmp_path: Path) -> None:
    async def handler(trip: Trip) -> str:
        await trip.step("pay")
        await trip.halt()
        return "Paid"

    trip = Trip(handler)
    await trip.go(lambda: writes_apart(SQLiteStore(tmp_path / "chat.db")))
    assert trip.ran == ["pay", "pay"]
    assert trip.end == "completed"


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
