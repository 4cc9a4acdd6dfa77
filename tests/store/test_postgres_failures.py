"""What can fail about a PostgreSQL database: restarts, limits, wrong settings, values that it does not take."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from chatkit.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    StoreUnavailableError,
)
from chatkit.store import PostgresStore, Store
from chatkit.testing._store_samples import message
from chatkit.types import ThreadMetadata
from tests.support.postgres import PostgresServer, database_url, new_database, on_server, postgres_server
from tests.support.scale import lasting, scaled
from tests.support.transaction_pooler import transaction_pooler

CONTEXT = {"user_id": "alice"}


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Returns a server that the test may stop."""
    with postgres_server() as made:
        yield made


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(postgres_database)
    yield made
    await made.close()


async def ids_of(store: Store[Any], thread_id: str = "thr") -> list[str]:
    return [item.id for item in (await store.load_thread_items(thread_id, None, 9999, "asc", CONTEXT)).data]


async def backends(store: PostgresStore) -> list[int]:
    """Returns the process ids of the store's sessions but the one that answers."""
    rows = await store.database.read(
        lambda transaction: transaction.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )
    return [row[0] for row in rows]


async def test_idle_connections_survive_a_restart_of_the_server(server: PostgresServer) -> None:
    store = PostgresStore(server.url)
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    await asyncio.gather(*(store.add_thread_item("thr", message(f"m{n}"), CONTEXT) for n in range(10)))
    await asyncio.to_thread(server.restart)
    # All at once: each of the pooled connections is dead.
    await asyncio.gather(
        *(store.load_thread("thr", CONTEXT) for _ in range(10)),
        *(store.add_thread_item("thr", message(f"n{n}"), CONTEXT) for n in range(10)),
    )
    assert len(await ids_of(store)) == 20
    await store.close()


async def test_writers_during_restarts_lose_nothing_that_was_acknowledged(server: PostgresServer) -> None:
    store = PostgresStore(server.url, reconnect_timeout=30)
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    acknowledged: list[str] = []
    uncertain: list[str] = []
    reasons: list[str] = []
    over = False

    async def write(name: str) -> None:
        n = 0
        while not over:
            item_id = f"{name}{n}"
            try:
                await store.add_thread_item("thr", message(item_id), CONTEXT)
            except StoreUnavailableError as error:
                uncertain.append(item_id)
                reasons.append(str(error))
            else:
                acknowledged.append(item_id)
            n += 1

    writers = [asyncio.create_task(write(name)) for name in "abcd"]
    for how in (signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT):
        progress = len(acknowledged) + 20
        async with asyncio.timeout(scaled(30)):
            while len(acknowledged) < progress:
                await asyncio.sleep(0.01)
                assert not any(task.done() for task in writers)
        await asyncio.to_thread(server.restart, how)
    over = True
    await asyncio.gather(*writers)
    assert [reason for reason in reasons if "may be stored or not" not in reason] == []
    found = await ids_of(store)
    assert set(acknowledged) <= set(found) <= set(acknowledged) | set(uncertain)
    assert len(found) == len(set(found))
    for name in "abcd":
        own = [int(item_id[1:]) for item_id in found if item_id[0] == name]
        assert own == sorted(own)
    await store.close()


async def test_a_server_that_stays_away_is_reported_and_found_again(server: PostgresServer) -> None:
    store = PostgresStore(server.url, reconnect_timeout=0.3)
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    server.stop()
    expected = rf"postgres at 127\.0\.0\.1:{server.port} cannot be reached: check that it runs"
    for attempt in (
        store.load_thread("thr", CONTEXT),
        store.add_thread_item("thr", message("a"), CONTEXT),
        store.check(),
    ):
        with pytest.raises(StoreUnavailableError, match=expected) as failure:
            await attempt
        assert "the%20tests" not in str(failure.value)
        assert failure.value.status == 503
    server.start()
    await store.check()
    await store.add_thread_item("thr", message("a"), CONTEXT)
    assert await ids_of(store) == ["a"]
    await store.close()


async def test_a_server_that_was_never_there_is_reported_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = PostgresStore(f"postgresql://user:secret@127.0.0.1:{port}/chat", reconnect_timeout=60)
    async with asyncio.timeout(scaled(5)):
        with pytest.raises(StoreUnavailableError, match=rf"chat at 127\.0\.0\.1:{port} cannot be reached"):
            await store.load_thread("thr", CONTEXT)
    await store.close()


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/chat"
        for limits in ({"connect_timeout": 0.2}, {"acquire_timeout": 0.2}):
            store = PostgresStore(url, **limits)
            async with asyncio.timeout(scaled(5)):
                with pytest.raises(StoreUnavailableError, match="the server does not answer"):
                    await store.load_thread("thr", CONTEXT)
            await store.close()


async def test_a_session_ended_by_an_administrator_is_replaced(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    calls = 0

    async def work(transaction: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            with suppress(asyncpg.PostgresError):
                await transaction.value("SELECT pg_terminate_backend(pg_backend_pid())")
        return await transaction.value("SELECT count(*) FROM chatkit.threads")

    assert await store.database.write(work) == 1
    assert calls == 2


async def test_a_connection_that_is_lost_twice_is_an_error(store: PostgresStore) -> None:
    await store.check()
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await store.database.write(lambda transaction: transaction.value(end))
    await store.check()


async def ends_in_commits(store: PostgresStore) -> Any:
    """Returns work whose session ends in its commit, the first time that it is done."""
    # The check of a deferred constraint runs in the commit.
    await store.database.write(
        lambda transaction: transaction._connection.execute("""
            CREATE TABLE fatal (a INTEGER);
            CREATE SEQUENCE attempts;
            CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('attempts') = 1 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    PERFORM pg_sleep(5);
                END IF;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON fatal DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION end_session();
        """)
    )
    return lambda transaction: transaction.value("INSERT INTO fatal VALUES (1)")


async def test_a_connection_lost_during_the_commit_is_not_tried_again(store: PostgresStore) -> None:
    work = await ends_in_commits(store)
    with pytest.raises(StoreUnavailableError, match="during a commit: the last write may be stored or not"):
        await store.database.write(work)
    attempts = await store.database.read(lambda t: t.value("SELECT last_value FROM attempts"))
    assert attempts == 1


async def test_what_may_be_done_twice_survives_a_connection_lost_during_the_commit(
    store: PostgresStore,
) -> None:
    work = await ends_in_commits(store)
    await store.database.write(work, repeatable=True)
    assert await store.database.read(lambda t: t.value("SELECT count(*) FROM fatal")) == 1


@pytest.mark.parametrize("carried_out", [True, False])
async def test_an_item_is_added_once_although_its_commit_was_not_answered(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    execute, lost = asyncpg.Connection.execute, False

    async def lose_the_first_answer(self: Any, query: str, *rest: Any, **more: Any) -> Any:
        nonlocal lost
        if query != "COMMIT" or lost:
            return await execute(self, query, *rest, **more)
        lost = True
        if carried_out:
            await execute(self, query)
        self.terminate()
        raise ConnectionResetError

    monkeypatch.setattr(asyncpg.Connection, "execute", lose_the_first_answer)
    await store.add_thread_item("thr", message("a"), CONTEXT)
    assert lost
    assert await ids_of(store) == ["a"]
    with pytest.raises(ConflictError):
        await store.add_thread_item("thr", message("a"), CONTEXT)


async def test_a_network_that_resets_connections_again_and_again_is_waited_for(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    attempts = 0

    async def work(transaction: Any) -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            transaction._connection.terminate()
        return await transaction.value("SELECT 'done'")

    assert await store.database.write(work) == "done"
    assert attempts == 4


async def test_a_statement_takes_no_longer_than_allowed(postgres_database: str) -> None:
    for cache in (100, 0):
        store = PostgresStore(postgres_database, statement_timeout=0.2, statement_cache_size=cache)
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        blocker = await asyncpg.connect(postgres_database)
        async with asyncio.timeout(scaled(10)), blocker.transaction():
            await blocker.execute("SELECT FROM chatkit.threads FOR UPDATE")
            with pytest.raises(StoreUnavailableError, match=r"statement timeout of 0\.2 s: end what holds"):
                await store.add_thread_item("thr", message("a"), CONTEXT)
            assert (await store.load_thread("thr", CONTEXT)).id == "thr"
        await blocker.close()
        await store.add_thread_item("thr", message(f"a{cache}"), CONTEXT)
        await store.close()


async def test_a_process_that_stands_still_in_a_transaction_soon_loses_its_locks(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit._postgres.pools._FROZEN_SECONDS", lasting(1.0), raising=False)
    frozen, alive = PostgresStore(postgres_database), PostgresStore(postgres_database)
    await frozen.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    locked, goes_on = asyncio.Event(), asyncio.Event()

    async def stand_still(transaction: Any) -> int:
        await transaction.value("SELECT 1 FROM chatkit.threads FOR UPDATE")
        locked.set()
        await goes_on.wait()
        return await transaction.value("SELECT 2")

    async with asyncio.timeout(scaled(10)):
        standing = asyncio.create_task(frozen.database.write(stand_still))
        await locked.wait()
        await alive.add_thread_item("thr", message("a"), CONTEXT)
        goes_on.set()
        # Nothing was written, and it is done again over another connection.
        assert await standing == 2
    await frozen.close()
    await alive.close()


async def test_a_server_that_falls_silent_is_given_up(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit._postgres.pools._NETWORK_SECONDS", 0.1)
    store = PostgresStore(postgres_database, statement_timeout=0.2)
    await store.check()

    async def silent(transaction: Any) -> None:
        # The server's own limit is off: as if its answer never came.
        await transaction.value("SELECT set_config('statement_timeout', '0', true)")
        await transaction.value("SELECT pg_sleep(60)")

    async with asyncio.timeout(scaled(10)):
        with pytest.raises(StoreUnavailableError, match="statement timeout"):
            await store.database.write(silent)
        await store.check()
    await store.close()


async def test_when_all_connections_are_in_use_others_wait_and_then_fail(postgres_database: str) -> None:
    store = PostgresStore(postgres_database, max_connections=2, acquire_timeout=0.5)
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    release = asyncio.Event()

    async def hold(transaction: Any) -> None:
        await transaction.value("SELECT 1")
        held.release()
        await release.wait()

    held = asyncio.Semaphore(0)
    holders = [asyncio.create_task(store.database.write(hold)) for _ in range(2)]
    async with asyncio.timeout(scaled(10)):
        for _ in holders:
            await held.acquire()
        with pytest.raises(StoreUnavailableError, match=r"within 0\.5 s.* all 2 are in use.*max_connections"):
            await store.load_thread("thr", CONTEXT)
        waiting = [asyncio.create_task(store.load_thread("thr", CONTEXT)) for _ in range(20)]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*holders, *waiting)
        # The server ends a closed connection's process when it gets to it.
        while len(await backends(store)) > 1:
            await asyncio.sleep(0.05)
    await store.close()


async def test_a_full_server_is_reported(server: PostgresServer) -> None:
    connections = [await asyncpg.connect(server.url)]
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            connections.append(await asyncpg.connect(server.url))
    store = PostgresStore(server.url)
    with pytest.raises(StoreUnavailableError, match="no more connections: lower max_connections"):
        await store.check()
    for connection in connections:
        await connection.close()
    await store.check()
    await store.close()


async def test_a_read_only_server_is_reported(postgres_database: str) -> None:
    first = PostgresStore(postgres_database)
    await first.check()
    await first.close()
    admin = await asyncpg.connect(postgres_database)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.close()
    store = PostgresStore(postgres_database)
    await store.check()
    with pytest.raises(StoreUnavailableError, match="read-only: connect to the primary"):
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    await store.close()


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"//[^@]*@", "//postgres:wrong@", "password authentication failed"),
        (r"//[^@]*@", "//nobody:wrong@", "password authentication failed"),
        (r"/[^/]*$", "/no_such_database", 'database "no_such_database" does not exist'),
        (r"^", "mysql+", "invalid DSN: scheme is expected to be"),
    ],
)
async def test_a_wrong_connection_string(
    postgres_url: str, pattern: str, replacement: str, expected: str
) -> None:
    url = re.sub(pattern, replacement, postgres_url, count=1)
    store = PostgresStore(url)
    with pytest.raises(ConfigurationError, match=expected) as refused:
        await store.check()
    assert "Correct the connection string" in str(refused.value)
    assert "wrong" not in str(refused.value)
    assert "the%20tests" not in str(refused.value)
    await store.close()


async def test_ids_that_postgresql_does_not_take(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    for bad in ("a\0b", "\ud800", "\udfff x"):
        for attempt in (
            store.load_thread(bad, CONTEXT),
            store.load_item("thr", bad, CONTEXT),
            store.load_threads(5, bad, "asc", CONTEXT),
            store.load_thread("thr", {"user_id": bad}),
            store.load_attachment(bad, CONTEXT),
        ):
            with pytest.raises(InvalidRequestError, match="NUL character or broken Unicode"):
                await attempt
    with pytest.raises(InvalidRequestError, match="NUL"):
        await store.add_thread_item("thr", message("a\0b"), CONTEXT)
    with pytest.raises(NotFoundError):
        await store.load_item("thr", "x" * 100_000, CONTEXT)
    unindexable = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(5000))
    with pytest.raises(InvalidRequestError, match="too long"):
        await store.add_thread_item("thr", message(unindexable), CONTEXT)
    assert await ids_of(store) == []
    await store.add_thread_item("thr", message("surrogate", "a\ud800"), CONTEXT)
    assert (await store.load_item("thr", "surrogate", CONTEXT)).content[0].text == "a\ufffd"


async def test_an_emptied_database_is_filled_again(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    await store.database.write(lambda transaction: transaction.value("DROP SCHEMA chatkit CASCADE"))
    with pytest.raises(NotFoundError):
        await store.load_thread("thr", CONTEXT)
    await store.database.write(lambda transaction: transaction.value("DROP SCHEMA chatkit CASCADE"))
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    assert (await store.load_thread("thr", CONTEXT)).id == "thr"


async def test_statements_prepared_before_a_migration_are_prepared_anew(store: PostgresStore) -> None:
    await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
    token = await store.begin_turn("thr", "turn", CONTEXT)
    await store.database.write(
        lambda transaction: transaction.value("ALTER TABLE chatkit.turns ALTER COLUMN token TYPE INTEGER")
    )
    assert await store.begin_turn("thr", "turn", CONTEXT) > token


async def test_deadlocks_are_resolved_by_a_second_attempt(store: PostgresStore) -> None:
    await store.check()
    both_locked = asyncio.Barrier(2)
    calls = 0

    async def lock(transaction: Any, first: int, second: int) -> None:
        nonlocal calls
        calls += 1
        await transaction.value(f"SELECT pg_advisory_xact_lock({first})")
        if calls <= 2:
            await both_locked.wait()
        await transaction.value(f"SELECT pg_advisory_xact_lock({second})")

    async with asyncio.timeout(scaled(20)):
        await asyncio.gather(
            store.database.write(lambda transaction: lock(transaction, 1, 2)),
            store.database.write(lambda transaction: lock(transaction, 2, 1)),
        )
    assert calls == 3


async def test_behind_a_pooler_in_transaction_mode(server: PostgresServer) -> None:
    async with transaction_pooler(server.port) as pooler:
        url = server.url.replace(f":{server.port}/", f":{pooler.port}/")
        # Their sessions go round among the others.
        idle = [await asyncpg.connect(url) for _ in range(4)]
        store = PostgresStore(url, statement_cache_size=0, max_connections=4, statement_timeout=0.5)

        async def use(name: str) -> None:
            await store.save_thread(ThreadMetadata(id=name), CONTEXT)
            for n in range(10):
                await store.add_thread_item(name, message(f"m{n}"), CONTEXT)
                assert len(await ids_of(store, name)) == n + 1
            with pytest.raises(ConflictError):
                await store.add_thread_item(name, message("m1"), CONTEXT)
            await store.delete_items_after(name, "m4", CONTEXT)

        await asyncio.gather(*(use(f"thr{n}") for n in range(8)))
        assert pooler.switches > 100, "a pooler that keeps sessions would prove nothing"
        for attempt in (store.database.read, store.database.write):
            with pytest.raises(StoreUnavailableError, match="statement timeout"):
                await attempt(lambda transaction: transaction.value("SELECT pg_sleep(5)"))
        await store.close()

        for limit in (30.0, None):
            wrong = PostgresStore(url, max_connections=4, statement_timeout=limit)
            with pytest.raises(ConfigurationError, match="statement_cache_size=0"):
                await asyncio.gather(
                    *(wrong.save_thread(ThreadMetadata(id=f"t{n}"), CONTEXT) for n in range(40))
                )
            await wrong.close()
        for connection in idle:
            await connection.close()


def test_a_database_that_is_made_later_is_found(postgres_url: str) -> None:
    async def scenario(store: PostgresStore) -> None:
        await store.check()
        await store.close()

    with new_database(postgres_url) as url:
        later = url + "_later"
        store = PostgresStore(later)
        with pytest.raises(ConfigurationError, match="does not exist"):
            asyncio.run(scenario(store))
        name = later.rpartition("/")[2]
        on_server(url, lambda connection: connection.execute(f"CREATE DATABASE {name} TEMPLATE template0"))
        try:
            asyncio.run(scenario(store))
        finally:
            drop = f"DROP DATABASE {name} WITH (FORCE)"
            on_server(database_url(url, "postgres"), lambda connection: connection.execute(drop))
