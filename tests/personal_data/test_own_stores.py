"""Over a store of the application's own all goes by its port, and what that cannot do is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.counters import MemoryCounter
from chatkit.errors import ConfigurationError, NotFoundError, UnsupportedOperationError
from chatkit.files import FileMetadata, LocalFileStore
from chatkit.hosted import MemorySessions
from chatkit.personal_data import PersonalData, RetentionRule
from chatkit.store import MemoryStore, OwnerContext, SQLiteStore, Store
from chatkit.streams import MemoryStreamLog
from chatkit.testing._store_samples import item_of_every_kind
from chatkit.types import FileAttachment, Page, ThreadMetadata, UserMessageItem, UserMessageTextContent
from tests.dialects.reference.test_store import PlainStore as TenMethods
from tests.personal_data.sample import ADA, BOB, BusyServer, threads_of
from tests.personal_data.sample import fill as fill_all
from tests.personal_data.test_exporting import lines_of, portable
from tests.server.recorded.plain_store import PlainStore
from tests.server.support import ScriptedServer, drain


def of_tenant(name: str) -> Any:
    async def call(self: Any, *arguments: Any) -> Any:
        store = self.of.setdefault(arguments[-1]["user_id"], PlainStore())
        return await getattr(store, name)(*arguments)

    return call


class Tenants(Store[dict[str, str]]):
    """As an application of openai-chatkit writes it: a store for each user, found by the context it was written for."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    for _name in sorted(Store.__abstractmethods__):
        locals()[_name] = of_tenant(_name)


def context_of(owner: str) -> dict[str, str]:
    return {"user_id": owner}


async def fill(store: Any, context: Any, files: Any = None) -> None:
    for number in range(2):
        thread = ThreadMetadata(id=store.generate_thread_id(context), title=f"Thread {number}")
        await store.save_thread(thread, context)
        for item in item_of_every_kind(thread.id):
            await store.add_thread_item(thread.id, item, context)
        record = FileAttachment(id=f"atc_{number}", name="a.txt", mime_type="text/plain", thread_id=thread.id)
        await store.save_attachment(record, context)
        said = UserMessageItem(
            id=f"msg_{number}",
            thread_id=thread.id,
            created_at=thread.created_at,
            content=[UserMessageTextContent(type="input_text", text="Hi")],
            attachments=[record],
        )
        await store.add_thread_item(thread.id, said, context)
        if files is not None:
            metadata = FileMetadata(content_type="text/plain", name="a.txt", size=3)
            await files.upload(record.id, b"abc", metadata)


async def test_a_store_of_the_applications_own(tmp_path: Path) -> None:
    store = Tenants()
    files = LocalFileStore(tmp_path / "files", base_url="http://chat.test", secret="secret of the tests")
    await fill(PersonalData(store, context=context_of).store, context_of("ada"), files)
    await fill(PersonalData(store, context=context_of).store, context_of("bob"))
    data = PersonalData(store, files, stream_log=MemoryStreamLog(), context=context_of)
    report = await data.export("ada", tmp_path / "ada")
    assert report.files == 2
    assert any("Usage, turns and keys" in line for line in report.left_out)
    other = SQLiteStore[Any](tmp_path / "chat.db")
    moved = PersonalData(
        other, LocalFileStore(tmp_path / "other", base_url="http://chat.test", secret="another secret")
    )
    await moved.import_(tmp_path / "ada")
    await moved.export("ada", tmp_path / "again")
    assert [{**line["item"]} for line in lines_of(tmp_path / "again", "item")] == [
        line["item"] for line in lines_of(tmp_path / "ada", "item")
    ]
    await other.close()
    receipt = await data.erase("ada")
    assert receipt.erased["threads"] == 2
    assert receipt.erased["attachments"] == receipt.erased["files"] == 2
    assert "the application's store" in {left.what for left in receipt.out_of_reach}
    assert len(store.of["ada"].threads) == 0
    assert len(store.of["bob"].threads) == 2
    with pytest.raises(NotFoundError, match="Nothing is kept of 'ada'"):
        await data.erase("ada")
    # Back from the database.
    await PersonalData(store, files, context=context_of).import_(tmp_path / "again")
    assert len(store.of["ada"].threads) == 2
    with pytest.raises(UnsupportedOperationError, match="cannot list the threads of all owners"):
        await data.retain([RetentionRule(1.0)])


async def test_a_store_that_tells_nobody_apart_is_asked_nothing(tmp_path: Path) -> None:
    store = PlainStore()
    await fill(store, {})
    with pytest.raises(ConfigurationError, match="does not say whose a context is"):
        PersonalData(store)
    assert len(store.threads) == 2


async def test_the_references_store_of_ten_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the tests, long enough")
    server = ScriptedServer(store=TenMethods())
    for owner in ("ada", "bob"):
        await drain(await server.create("Hi", {"user_id": owner}))
    data = server.personal_data()
    await data.export("ada", tmp_path / "ada")
    receipt = await data.erase("ada")
    assert receipt.erased == {"threads": 1, "items": 2}
    assert len(await threads_of(data.store, "bob")) == 1
    other = PersonalData(MemoryStore[Any]())
    await other.import_(tmp_path / "ada")
    await other.export("ada", tmp_path / "again")
    assert [line["item"]["content"] for line in lines_of(tmp_path / "again", "item")] == [
        line["item"]["content"] for line in lines_of(tmp_path / "ada", "item")
    ]
    await server.close()


async def test_a_class_that_deletes_threads_in_its_own_way_is_asked_to(tmp_path: Path) -> None:
    deleted: list[str] = []

    class Indexed(SQLiteStore[Any]):
        async def delete_thread(self, thread_id: str, context: Any) -> None:
            deleted.append(thread_id)
            await super().delete_thread(thread_id, context)

    store = Indexed(tmp_path / "chat.db")
    await fill(store, OwnerContext("ada"))
    data = PersonalData(store)
    kept = await data.count("ada")
    receipt = await data.erase("ada")
    assert len(deleted) == 2
    assert {name: receipt.erased[name] for name in kept} == kept
    await store.close()


async def test_counts_and_sessions_in_memory(tmp_path: Path) -> None:
    server, sessions = BusyServer(MemoryStore[Any](), counter=MemoryCounter()), MemorySessions()
    server.attachment_store = LocalFileStore(tmp_path, base_url="http://chat.test", secret="of the tests")
    for owner in (ADA, BOB):
        await fill_all(server, owner, sessions)
    receipt = await server.personal_data(beside=[sessions]).erase(ADA)
    assert {"hosted_sessions": 1, "counts": 4}.items() <= receipt.erased.items()
    assert await sessions.find("cksess_adalovelace") is None
    assert await sessions.find("cksess_bobbuilder") is not None
    counter: Any = server.counter
    assert (await counter.take(f"quota:messages:60:owner:{ADA}", 0, window=60.0)).total == 0
    assert (await counter.take(f"quota:messages:60:owner:{BOB}", 0, window=60.0)).total == 3
    await server.close()


async def test_a_server_in_memory(tmp_path: Path) -> None:
    server = ScriptedServer(store=MemoryStore[Any]())
    for owner in ("ada", "bob"):
        await drain(
            await server.create("Hi", {"user_id": owner}, {"resumable": True, "idempotency_key": "k"})
        )
    data = server.personal_data()
    await data.export("ada", tmp_path / "ada")
    assert len(portable(tmp_path / "ada")) == 3
    receipt = await data.erase("ada")
    assert receipt.erased == {"threads": 1, "items": 2, "accepted_turns": 1}
    (left,) = await threads_of(server.store, "bob")
    page = await server.ask("threads.list", {"user_id": "ada"})
    assert page["data"] == []
    log: Any = server._chatkit_turns().log
    assert log.kept_bytes_of("ada") == 0 < log.kept_bytes_of("bob")
    # As somebody new, with the same key.
    again = await server.create("Hi", {"user_id": "ada"}, {"resumable": True, "idempotency_key": "k"})
    await drain(again)
    assert again.thread_id != left.id
    assert isinstance(await server.store.load_threads(1, None, "asc", OwnerContext("ada")), Page)
    await server.close()
