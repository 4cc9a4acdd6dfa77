"""What an operator is told of a store: owners, threads and open turns, without what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from chatkit.errors import NotFoundError
from chatkit.store import Acceptance, OwnerContext, PostgresStore, SQLiteStore, TurnWrites
from chatkit.testing._store_samples import message, user_message
from chatkit.types import FileAttachment, ThreadMetadata

OurStore: TypeAlias = "SQLiteStore[Any] | PostgresStore[Any]"
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OurStore]:
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "chatkit.db")
    url = request.getfixturevalue("postgres_database")
    return lambda: PostgresStore(url)


@pytest.fixture
async def store(make_store: Callable[[], OurStore]) -> AsyncIterator[OurStore]:
    made = make_store()
    yield made
    await made.close()


async def fill(store: OurStore, owner: str, *threads: str, items: int = 0) -> None:
    context = OwnerContext(owner)
    for thread_id in threads:
        await store.save_thread(ThreadMetadata(id=thread_id, title="a secret"), context)
        for number in range(items):
            await store.add_thread_item(thread_id, message(f"{thread_id}_{number}"), context)


async def test_owners_are_told_with_what_they_have(store: OurStore) -> None:
    assert await store.survey_owners(10) == []
    await fill(store, "bob", "thr_b")
    await fill(store, "ada", "thr_1", "thr_2", items=3)
    await store.add_thread_item("thr_1", message("newest", created_at=LATER), OwnerContext("ada"))
    await store.save_attachment(FileAttachment(id="atc", name="a", mime_type="a/b"), OwnerContext("cyd"))
    quotas: list[Any] = []
    attachment = FileAttachment(id="atc_2", name="a", mime_type="a/b")
    await store.add_attachment(attachment, 500, None, quotas, OwnerContext("ada"))
    ada, bob, cyd = await store.survey_owners(10)
    assert (ada.owner, ada.threads, ada.items, ada.files, ada.file_bytes) == ("ada", 2, 7, 1, 500)
    assert (bob.owner, bob.threads, bob.items, bob.files, bob.file_bytes) == ("bob", 1, 0, 0, 0)
    assert (cyd.owner, cyd.threads, cyd.items, cyd.files, cyd.last_active_at) == ("cyd", 0, 0, 1, None)
    assert ada.last_active_at == LATER
    assert bob.last_active_at is not None
    assert abs((bob.last_active_at - datetime.now(UTC)).total_seconds()) < 300
    assert await store.survey_owners(2) == [ada, bob]
    assert await store.survey_owners(2, "bob") == [cyd]
    assert "secret" not in repr([ada, bob, cyd])


async def test_threads_of_an_owner_are_told_newest_first(store: OurStore) -> None:
    await fill(store, "bob", "thr_1")
    await fill(store, "ada", "thr_1", "thr_2", "thr_3", items=1)
    await store.add_thread_item("thr_1", message("newest", created_at=LATER), OwnerContext("ada"))
    attachment = FileAttachment(id="atc", name="a", mime_type="a/b", thread_id="thr_2")
    await store.save_attachment(attachment, OwnerContext("ada"))
    found = await store.survey_owner("ada", 10)
    assert [(thread.id, thread.items, thread.files) for thread in found] == [
        ("thr_3", 1, 0),
        ("thr_2", 1, 1),
        ("thr_1", 2, 0),
    ]
    assert found[2].updated_at == LATER
    assert found[0].created_at <= found[0].updated_at
    assert await store.survey_owner("ada", 2) == found[:2]
    assert await store.survey_owner("ada", 2, "thr_2") == found[2:]
    assert await store.survey_owner("nobody", 2) == []
    assert "secret" not in repr(found)
    with pytest.raises(NotFoundError):
        await store.survey_owner("ada", 2, "thr_of_another")


async def test_whose_a_thread_is(store: OurStore) -> None:
    await fill(store, "bob", "thr_1")
    await fill(store, "ada", "thr_1", "thr_2")
    assert await store.owners_of_thread("thr_1") == ["ada", "bob"]
    assert await store.owners_of_thread("thr_2") == ["ada"]
    assert await store.owners_of_thread("thr_3") == []


async def test_turns_that_have_not_ended_are_told(store: OurStore) -> None:
    turns: dict[str, int] = {}
    for owner, thread_id, names in (
        ("bob", "thr_b", ["turn_3"]),
        ("ada", "thr_a", ["turn_1", "turn_2", "turn_4"]),
    ):
        await fill(store, owner, thread_id)
        for name in names:
            writes = TurnWrites(message=user_message(f"msg_{name}"))
            acceptance = Acceptance(name, thread_id, 60.0, writes, f"msg_{name}", policy="enqueue")
            turns[name] = (await store.accept_turn(acceptance, OwnerContext(owner))).token
    await store.open_turn("turn_1", turns["turn_1"], OwnerContext("ada"))
    await store.finish_turn("turn_4", turns["turn_4"], "stopped", OwnerContext("ada"))
    found = await store.survey_turns(10)
    assert [(turn.owner, turn.turn_id, turn.thread_id, turn.status, turn.opened) for turn in found] == [
        ("ada", "turn_1", "thr_a", "begun", True),
        ("ada", "turn_2", "thr_a", "waiting", False),
        ("bob", "turn_3", "thr_b", "begun", False),
    ]
    assert not any(turn.claimed for turn in found)
    assert all(0 < (turn.lease_until - datetime.now(UTC)).total_seconds() <= 60 for turn in found)
    assert await store.survey_turns(1) == found[:1]
    assert await store.survey_turns(5, found[0]) == found[1:]
