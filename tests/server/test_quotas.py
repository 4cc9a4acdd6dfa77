"""Quotas: what an owner, or a group, may ask for in a window of time, counted over all workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.counters import Counter, MemoryCounter, RedisCounter, SQLiteCounter
from chatkit.errors import (
    ConfigurationError,
    QuotaExceededError,
    StoreUnavailableError,
    TooManyTurnsError,
)
from chatkit.files import LocalFileStore
from chatkit.ids import new_id
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server.turns.renewal import LEASE_SECONDS
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.types import AttachmentCreateParams
from tests.server.support import ADA, ScriptedServer, all_texts, answer, done, drain, user_input
from tests.stateful.plain_store import PlainStore
from tests.support.postgres import new_database

BOB = {"user_id": "bob"}


async def hello(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("Hello.", "msg_" + message.id)


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def made(*quotas: Quota, store: Any = None, counter: Counter | None = None, **options: Any) -> ScriptedServer:
    return ScriptedServer(
        hello, store or MemoryStore(), limits=Limits(quotas=quotas), counter=counter, **options
    )


async def refused(
    server: ScriptedServer, kind: str, context: Any = None, /, **params: Any
) -> QuotaExceededError:
    with pytest.raises(QuotaExceededError) as raised:
        await server.ask(kind, context, **params)
    return raised.value


async def test_messages_of_an_owner_and_when_there_may_be_more() -> None:
    now = Now()
    server = made(Quota("messages", 2, 60), counter=MemoryCounter(now))
    thread_id = (await server.create()).thread_id
    now.seconds += 20
    await server.ask("threads.add_user_message", thread_id=thread_id, input=user_input("again"))
    error = await refused(server, "threads.add_user_message", thread_id=thread_id, input=user_input("more"))
    assert str(error) == "You may send 2 messages in a minute. Try again in 40 seconds."
    assert (error.status, error.code, error.headers) == (429, "quota_exceeded", {"Retry-After": "40"})
    item = (await server.items(thread_id))[0]
    await refused(server, "threads.retry_after_item", thread_id=thread_id, item_id=item.id)
    assert all_texts(await server.items(thread_id)) == ["Hi", "Hello.", "again", "Hello."], "nothing was done"
    # Others have their own, and what is no message is not counted.
    await drain((await server.create("Hi", BOB)).json_events)
    await server.ask("threads.get_by_id", thread_id=thread_id)
    now.seconds += 40
    await drain((await server.create()).json_events)


async def test_a_message_that_is_refused_for_another_reason_is_not_counted() -> None:
    server = made(Quota("messages", 1))
    for _ in range(3):
        with pytest.raises(Exception, match="no thread"):
            await server.ask("threads.add_user_message", thread_id="thr_none", input=user_input("x"))
    await drain((await server.create()).json_events)


@pytest.mark.parametrize("apart", [False, True])
async def test_a_message_that_is_sent_again_counts_once(apart: bool) -> None:
    class Apart(MemoryStore[Any]):
        """Writes one by one, for it has its own way to add an item."""

        async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
            await super().add_thread_item(thread_id, item, context)

    server = made(Quota("messages", 1), store=Apart() if apart else MemoryStore())
    for _ in range(3):
        result = await server.create("Hi", metadata={"idempotency_key": "one", "resumable": True})
        assert "Hello." in b"".join(await drain(result.json_events)).decode()
    with pytest.raises(QuotaExceededError):
        await server.create("Hi", metadata={"idempotency_key": "two"})
    # The key is free: the message may be sent again when there is room.
    server.limits = Limits(quotas=(Quota("messages", 2),))
    await drain((await server.create("Hi", metadata={"idempotency_key": "two"})).json_events)


async def test_requests_count_whatever_comes_of_them() -> None:
    server = made(Quota("requests", 3, 3600))
    await server.ask("threads.list")
    for _ in range(2):
        with pytest.raises(Exception, match="no thread"):
            await server.ask("threads.get_by_id", thread_id="thr_none")
    error = await refused(server, "threads.list")
    assert str(error) == "You may send 3 requests in an hour. Try again in 60 minutes."
    await server.ask("threads.list", BOB)


async def test_files_and_their_bytes(tmp_path: Path) -> None:
    server = made(
        Quota("uploads", 2, 86_400),
        Quota("upload_bytes", 1_000, 86_400),
        attachment_store=LocalFileStore(tmp_path, base_url="http://127.0.0.1/files"),
    )

    async def announce(size: int) -> Any:
        return await server.ask("attachments.create", name="a.txt", size=size, mime_type="text/plain")

    with pytest.raises(
        QuotaExceededError, match=r"You may attach 1,000 bytes of files in a day, and this is more."
    ):
        await announce(1_001)
    await announce(600)
    with pytest.raises(QuotaExceededError, match=r"1,000 bytes of files in a day. Try again in 24 hours"):
        await announce(401)
    await announce(400)
    with pytest.raises(QuotaExceededError, match="You may attach 2 files in a day"):
        await announce(0)


async def test_a_group_shares_its_quotas() -> None:
    class Teams(ScriptedServer):
        def quota_group(self, context: Any) -> str | None:
            return context.get("team")

    limits = Limits(quotas=(Quota("messages", 2), Quota("messages", 3, by="group")))
    server = Teams(hello, MemoryStore(), limits=limits)
    ada, bob = {**ADA, "team": "red"}, {**BOB, "team": "red"}
    for context in (ada, bob, bob):
        await drain((await server.create("Hi", context)).json_events)
    with pytest.raises(QuotaExceededError, match="Your group may send 3 messages in a minute"):
        await server.create("Hi", ada)
    # The group's refusal took nothing of ada's own.
    await drain((await server.create("Hi", ADA)).json_events)
    with pytest.raises(QuotaExceededError, match="You may send 2 messages"):
        await server.create("Hi", ADA)


class Away(MemoryCounter):
    async def take(self, *_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("The counter is away.")


async def test_nothing_is_done_while_the_counter_is_away() -> None:
    server = made(Quota("messages", 5), counter=Away())
    with pytest.raises(StoreUnavailableError):
        await server.create()
    page = await answer(await server.send("threads.list"))
    assert page["data"] == []


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[ScriptedServer]]:
    """Three workers that share a counter: that of their database, or one that is given."""
    quota = Quota("messages", 50, 3600)
    if request.param == "sqlite":
        yield [made(quota, store=SQLiteStore(str(tmp_path / "chat.db"))) for _ in range(3)]
    elif request.param == "postgres":
        with new_database(request.getfixturevalue("postgres_url")) as url:
            yield [made(quota, store=PostgresStore(url)) for _ in range(3)]
    else:
        url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
        yield [made(quota, counter=RedisCounter(url, prefix=prefix)) for _ in range(3)]


async def test_a_race_over_three_workers_exceeds_nothing(workers: list[ScriptedServer]) -> None:
    async def send(number: int) -> bool:
        try:
            await drain((await workers[number % 3].create(f"message {number}")).json_events)
        except QuotaExceededError:
            return False
        return True

    taken = await asyncio.gather(*(send(number) for number in range(150)))
    assert sum(taken) == 50
    for server in workers:
        assert server.counter is not None
        assert server.counter.shared
        await server.close()


def test_workers_that_would_count_apart_are_refused(tmp_path: Path) -> None:
    server = made(Quota("messages", 5), store=SQLiteStore(str(tmp_path / "chat.db")))
    server.check_workers(3)
    server.counter = MemoryCounter()
    with pytest.raises(ConfigurationError, match="3 workers would count the quotas each on its own"):
        server.check_workers(3)
    server.limits = None
    server.check_workers(3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"what": "message", "most": 1}, "Did you mean 'messages'"),
        ({"what": "messages", "most": -1}, "whole number from 0"),
        ({"what": "messages", "most": 1, "seconds": 0}, "above 0"),
        ({"what": "messages", "most": 1, "by": "team"}, "one of 'owner', 'group'"),
    ],
)
def test_what_is_no_quota(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Quota(**options)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("messages=20/minute", Quota("messages", 20, 60)),
        (" upload_bytes=5000000/day ", Quota("upload_bytes", 5_000_000, 86_400)),
        ("requests=0/90", Quota("requests", 0, 90)),
        ("running_turns=3", Quota("running_turns", 3)),
    ],
)
def test_a_quota_as_text(text: str, quota: Quota) -> None:
    assert Quota.parse(text) == quota


@pytest.mark.parametrize(
    "text",
    [
        "",
        "messages",
        "messages=20",
        "20/minute",
        "messages=-1/minute",
        "messages=1/week",
        "running_turns=1/day",
    ],
)
def test_what_is_no_quota_as_text(text: str) -> None:
    with pytest.raises(ConfigurationError, match="A quota is written such as messages=20/minute"):
        Quota.parse(text)


def test_limits_take_quotas_only() -> None:
    wrong: Any = ("20/minute",)
    with pytest.raises(ConfigurationError, match="quotas"):
        Limits(quotas=wrong)


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        (1, "a second"),
        (60, "a minute"),
        (3600, "an hour"),
        (604_800, "7 days"),
        (90, "90 seconds"),
        (0.5, "0.5 seconds"),
    ],
)
def test_windows_in_words(seconds: float, span: str) -> None:
    assert Quota("messages", 1, seconds).span == span


def test_the_counter_is_the_stores(tmp_path: Path) -> None:
    assert isinstance(SQLiteStore(str(tmp_path / "chat.db")).quota_counter(), SQLiteCounter)


class Held:
    """Answers that wait until they are let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Hello.", "msg_" + message.id)
        if message.content[0].text == "wait":
            await self.gate.wait()


def holding(*quotas: Quota, held: Held, **options: Any) -> ScriptedServer:
    return ScriptedServer(
        held, options.pop("store", None) or MemoryStore(), limits=Limits(quotas=quotas), **options
    )


async def test_answers_of_an_owner_that_are_written_at_once() -> None:
    held = Held()
    server = holding(Quota("running_turns", 2), held=held)
    running = [await server.create("wait") for _ in range(2)]
    with pytest.raises(TooManyTurnsError) as raised:
        await server.create("one more")
    assert str(raised.value) == (
        "You may have 2 answers written at once. Wait until one has ended, or stop one first."
    )
    assert (raised.value.status, raised.value.headers) == (429, {"Retry-After": "5"})
    assert len((await server.store.load_threads(9, None, "asc", ADA)).data) == 2
    await drain((await server.create("Hi", BOB)).json_events)
    await server.ask("turns.stop", thread_id=running[0].thread_id)
    await drain((await server.create("one more")).json_events)
    held.gate.set()
    for result in running:
        await drain(result.json_events)
    for _ in range(3):
        await drain((await server.create("again")).json_events)
    await server.close()


async def test_a_turn_that_could_not_begin_leaves_its_place() -> None:
    server = holding(Quota("running_turns", 1), held=Held())
    for _ in range(3):
        with pytest.raises(Exception, match="no thread"):
            await server.ask("threads.add_user_message", thread_id="thr_none", input=user_input("x"))
    await drain((await server.create("Hi")).json_events)


async def test_a_message_that_ends_an_answer_makes_room_for_its_own() -> None:
    server = holding(Quota("running_turns", 1), held=Held(), concurrency="interrupt")
    first = await server.create("wait", metadata={"resumable": True})
    with pytest.raises(TooManyTurnsError):
        await server.create("another thread")
    await server.ask("threads.add_user_message", thread_id=first.thread_id, input=user_input("instead"))
    await drain((await server.create("another thread")).json_events)
    await server.close()


async def test_a_group_shares_its_places() -> None:
    class Teams(ScriptedServer):
        def quota_group(self, context: Any) -> str | None:
            return "red"

    held = Held()
    server = Teams(held, MemoryStore(), limits=Limits(quotas=(Quota("running_turns", 1, by="group"),)))
    result = await server.create("wait")
    with pytest.raises(TooManyTurnsError, match="Your group may have 1 answer written at once"):
        await server.create("Hi", BOB)
    held.gate.set()
    await drain(result.json_events)


async def test_answers_at_once_over_three_workers_are_no_more_than_may(workers: list[ScriptedServer]) -> None:
    held, limits = Held(), Limits(quotas=(Quota("running_turns", 5),))
    for server in workers:
        server.script, server.limits = held, limits

    async def send(number: int) -> Any:
        try:
            return await workers[number % 3].create("wait")
        except TooManyTurnsError:
            return None

    results = [each for each in await asyncio.gather(*(send(number) for number in range(20))) if each]
    assert len(results) == 5
    held.gate.set()
    for result in results:
        await drain(result.json_events)
    # All places are free again.
    assert all(await asyncio.gather(*(send(number) for number in range(5))))
    for server in workers:
        await server.close()


async def test_what_a_dead_worker_had_running_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Now()
    counter = MemoryCounter(now)
    held, quota = Held(), Quota("running_turns", 1)
    dead = holding(quota, held=held, counter=counter)
    await dead.create("wait")
    server = holding(quota, held=held, counter=counter)
    now.seconds += LEASE_SECONDS - 1
    with pytest.raises(TooManyTurnsError):
        await server.create("Hi")
    now.seconds += 1
    await drain((await server.create("Hi")).json_events)
    held.gate.set()
    await dead.close()


async def test_files_that_are_kept_and_files_without_a_message(tmp_path: Path) -> None:
    server = made(
        Quota("stored_bytes", 1_000),
        Quota("unclaimed_files", 2),
        attachment_store=LocalFileStore(tmp_path, base_url="http://127.0.0.1/files"),
    )

    async def upload(size: int) -> str:
        source = tmp_path / "source"
        source.write_bytes(b"a" * size)
        params = AttachmentCreateParams(name="a.txt", size=size, mime_type="text/plain")
        return json.loads((await server.upload_attachment(params, source, ADA)).json)["id"]

    async def announce(size: int) -> Any:
        return await server.ask("attachments.create", name="a.txt", size=size, mime_type="text/plain")

    with pytest.raises(
        QuotaExceededError, match=r"You may keep 1,000 bytes of files\. Delete some first, or"
    ):
        await upload(1_001)
    first, second = await upload(400), await upload(500)
    for refused in (announce(1), upload(1)):
        with pytest.raises(QuotaExceededError, match="You may have 2 files that no message was sent with"):
            await refused
    # What was refused has left no file.
    sizes = {path.stat().st_size for path in (tmp_path / "files").rglob("*") if path.is_file()}
    assert sizes & {1, 400, 500, 1_001} == {400, 500}
    await drain(
        (await server.send("threads.create", input=user_input("Hi", attachments=[first]))).json_events
    )
    with pytest.raises(QuotaExceededError, match="You may keep"):
        await announce(101)
    await server.ask("attachments.delete", attachment_id=second)
    await announce(600)


async def test_a_copy_of_a_file_for_another_thread_has_to_fit(tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path, base_url="http://127.0.0.1/files")
    server = made(Quota("stored_bytes", 150), attachment_store=files)
    source = tmp_path / "source"
    source.write_bytes(b"a" * 100)
    params = AttachmentCreateParams(name="a.txt", size=100, mime_type="text/plain")
    file_id = json.loads((await server.upload_attachment(params, source, ADA)).json)["id"]
    await drain(
        (await server.send("threads.create", input=user_input("Hi", attachments=[file_id]))).json_events
    )
    with pytest.raises(QuotaExceededError, match="You may keep 150 bytes"):
        await server.send("threads.create", input=user_input("Hi again", attachments=[file_id]))
    server.limits = Limits(quotas=(Quota("stored_bytes", 200),))
    await drain(
        (await server.send("threads.create", input=user_input("Hi again", attachments=[file_id]))).json_events
    )


def test_a_store_that_does_not_know_the_files_is_told_before_it_serves() -> None:
    store: Any = PlainStore()
    server = made(Quota("unclaimed_files", 5), store=store)
    with pytest.raises(ConfigurationError, match="The quota of unclaimed_files needs a store that knows"):
        server.check_workers(1)
