"""An erasure leaves nothing of a person that a scan of all bytes finds, wherever it is cut off."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chatkit._postgres import snapshots
from chatkit.errors import ErasureRunningError, NotFoundError
from chatkit.ids import new_id
from chatkit.personal_data.erasing import Erasure
from tests.personal_data.sample import ADA, BOB, LIMIT, attach, fill, threads_of, word
from tests.personal_data.worlds import World
from tests.support.s3 import s3_server


def traces(owner: str) -> list[bytes]:
    _, user, _ = owner.split("/")
    return [word(owner).encode(), user.encode(), owner.encode()]


async def test_a_scan_finds_nothing_of_the_person_and_all_of_the_others(world: World) -> None:
    async with world.server() as (server, sessions):
        threads = await fill(server, ADA, sessions)
        await fill(server, BOB, sessions)
        # Deleted by the server in its own way, so that bytes of it may be anywhere.
        await server.send(ADA, "threads.delete", thread_id=threads[0])
        pending = await attach(server, ADA, "half.txt", b"half")
        if world.bucket is not None:
            client, bucket, key = world.s3, s3_server().bucket, f"{world.bucket}{pending}"
            begun = client.create_multipart_upload(Bucket=bucket, Key=key)
            part = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"], "PartNumber": 1}
            client.upload_part(**part, Body=f"part of {word(ADA)}".encode())
    before = await world.everything()
    assert all(trace in before for trace in traces(ADA))
    async with world.data() as data:
        kept = await data.count(ADA)
        receipt = await data.erase(ADA, vacuum="full")
    after = await world.everything()
    assert [trace for trace in traces(ADA) if trace in after] == []
    assert all(trace in after for trace in traces(BOB))
    if world.postgres:
        pages = await world.everything(pages=True)
        assert [trace for trace in traces(ADA) if trace in pages] == []
        assert word(BOB).encode() in pages
    if world.bucket is not None:
        uploads = world.s3.list_multipart_uploads(Bucket=s3_server().bucket, Prefix=world.bucket)
        assert not uploads.get("Uploads")
    assert receipt.problems == []
    erased = dict(receipt.erased)
    assert erased.pop("audit_keys") == 1
    assert erased.pop("files") == kept["attachments"] == 2
    assert erased == {name: number for name, number in kept.items() if name != "audit_keys"}
    assert {"backups", "the model's provider", "logs"} <= {left.what for left in receipt.out_of_reach}
    assert json.loads(receipt.json())["erased"] == receipt.erased
    assert receipt.id in receipt.text()
    async with world.data() as data:
        assert await data.count(ADA) == {}
        with pytest.raises(NotFoundError, match="Nothing is kept of"):
            await data.erase(ADA)


@asynccontextmanager
async def old_snapshot(world: World) -> AsyncIterator[Any]:
    """Opens a transaction that goes on to see what is in the database now, as a long report does."""
    connection: Any = await asyncpg.connect(world.db)
    try:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Of no table of ours: those are locked while they are written anew.
        await connection.fetch("SELECT 1")
        yield connection
    finally:
        await connection.close()


async def until_it_waits(world: World) -> None:
    looking: Any = await asyncpg.connect(world.db)
    asks = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_prepared_xacts%' AND pid <> pg_backend_pid()"
    async with asyncio.timeout(LIMIT):
        while await looking.fetchval(asks) is None:
            await asyncio.sleep(0.02)
    await looking.close()


async def test_rows_that_others_still_see_are_told_and_go_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not world.postgres:
        pytest.skip("Another transaction keeps deleted rows in PostgreSQL only.")
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
        await fill(server, BOB, sessions)
    async with world.data() as data, old_snapshot(world):
        monkeypatch.setattr(snapshots, "PATIENCE", 0.0)
        receipt = await data.erase(ADA, vacuum="full")
        index, files = receipt.problems
        assert re.search("search index still has words .* waits for the transaction of process", index)
        assert re.search("still seen by the transaction of process .*: end that, and erase again", files)
        assert word(ADA).encode() in await world.everything(pages=True)
    async with world.data() as data:
        assert (await data.erase(ADA, vacuum="full")).problems == []
    pages = await world.everything(pages=True)
    assert [trace for trace in traces(ADA) if trace in pages] == []
    assert word(BOB).encode() in pages


async def test_sessions_that_cannot_be_looked_at_are_told_where_they_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not world.postgres:
        pytest.skip("Sessions of other roles are hidden in PostgreSQL only.")
    monkeypatch.setattr(snapshots, "PATIENCE", 0.0)
    looking: Any = await asyncpg.connect(world.db)
    beside: Any = await asyncpg.connect(world.db)
    try:
        await looking.execute("BEGIN")
        await looking.execute(f"CREATE ROLE {(role := new_id('role'))}")
        await looking.execute(f"SET LOCAL ROLE {role}")
        told = await snapshots.wait_for_earlier(looking, unknown=True)
        assert "which this role may not see (GRANT pg_read_all_stats)" in told
        assert await snapshots.wait_for_earlier(looking, unknown=False) == ""
        await looking.execute("ROLLBACK")
    finally:
        await beside.close()
        await looking.close()


async def test_tables_are_written_anew_after_the_last_transaction_that_sees_what_was_deleted(
    world: World,
) -> None:
    if not world.postgres:
        pytest.skip("Another transaction keeps deleted rows in PostgreSQL only.")
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
    async with world.data() as data:
        async with old_snapshot(world):
            erasing = asyncio.create_task(data.erase(ADA, vacuum="full"))
            await until_it_waits(world)
            assert not erasing.done()
        assert (await erasing).problems == []
    assert word(ADA).encode() not in await world.everything(pages=True)


STEPS = ("refused", "stopped", "file", "rows", "erased", "cleaned", "ended")


async def interrupted(world: World, name: str) -> str:
    """Erases up to a step and goes no further, as if it were killed then; returns the erasure."""
    async with world.data() as data:
        erasure = Erasure(data, ADA, "", "usual", 60.0)
        steps = erasure.steps()
        async for step in steps:
            if step == name or (name == "rows" and step in {"sqlite", "postgres", "redis"}):
                break
        else:
            raise AssertionError(f"There is no step {name}.")
        await steps.aclose()
    return erasure.id


async def test_an_erasure_that_is_killed_after_any_step_is_gone_on_with(world: World) -> None:
    async with world.server() as (server, sessions):
        await fill(server, BOB, sessions)
        for name in STEPS:
            await fill(server, ADA, None if name == "stopped" else sessions)
            async with world.data() as data:
                kept = await data.count(ADA)
            killed = await interrupted(world, name)
            async with world.data() as data:
                if name == "ended":
                    with pytest.raises(NotFoundError, match=f"The last erasure, {killed}, ended"):
                        await data.erase(ADA)
                    receipt = await data.find_receipt(killed)
                else:
                    receipt = await data.erase(ADA)
            erased = dict(receipt.erased)
            assert erased.pop("files") == kept["attachments"] == 3, name
            # One for each that recorded its beginning.
            assert erased.pop("audit_keys") >= 1, name
            assert erased == kept, name
            after = await world.everything()
            assert [trace for trace in traces(ADA) if trace in after] == [], name
    after = await world.everything()
    assert all(trace in after for trace in traces(BOB))


async def test_running_turns_are_stopped_and_requests_are_refused(world: World) -> None:
    async with world.server() as (server, sessions):
        threads = await fill(server, ADA, sessions)
        others = await fill(server, BOB, sessions)
        running = await server.begin(ADA, threads[1])
        of_bob = await server.begin(BOB, others[1])
        async with world.data() as data:
            erasure = Erasure(data, ADA, "", "usual", 60.0)
            steps = erasure.steps()
            assert await anext(steps) == "refused"
            # The database refuses at once, whatever a worker has heard so far.
            with pytest.raises(ErasureRunningError):
                await server.chat(ADA, 7)
            assert await anext(steps) == "stopped"
            with pytest.raises(ErasureRunningError):
                await server.send(ADA, "threads.list")
            await server.chat(BOB, 8)
            async for _ in steps:
                pass
        told = [frame async for frame in running.json_events]
        assert b"Done." not in b"".join(told)
        server.gate.set()
        async with asyncio.timeout(LIMIT):
            rest = b"".join([frame async for frame in of_bob.json_events])
        assert b"Done." in rest
        async with world.data() as data:
            assert await threads_of(data.store, ADA) == []
            assert len(await threads_of(data.store, BOB)) == 3
        # The person may come back, and begins anew.
        await server.chat(ADA, 9)
        assert len(await threads_of(server._chatkit_store(), ADA)) == 1


async def test_what_is_counted_of_a_session_is_found_though_an_erasure_is_killed_between(
    tmp_path: Path, redis_url: str
) -> None:
    """By the session alone it is known whose the count is, so that is deleted last."""
    world = World(tmp_path, redis=redis_url)
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
    async with world.data() as data:
        (place,) = (place for place in data.places if place.kind == "redis")
        kept = (await place.count(ADA))["redis count"]
        counted = 0
        while True:
            before = counted
            # Each time no more than the first key, as if it were killed then.
            async with aclosing(place.erase(ADA, "erasure_1")) as erasing:
                async for _ in erasing:
                    break
            counted = (await place.begin_erasure(ADA, "erasure_1")).counts.get("redis count", 0)
            if counted == before and not await place.count(ADA):
                break
    assert counted == kept
    assert not [key for key in await world.keys() if key.startswith(("session:", "count:session:"))]
