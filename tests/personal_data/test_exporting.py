"""An export has all that is kept of a person, and an import puts it into any other place, as often as one likes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import ErasureRunningError, ExportError, NotFoundError
from chatkit.files import FileMetadata, LocalFileStore
from chatkit.personal_data import PersonalData, importing
from chatkit.store import MemoryStore, OwnerContext, SQLiteStore
from chatkit.testing._store_samples import item_of_every_kind
from chatkit.types import FileAttachment, ThreadMetadata, UserMessageItem
from tests.files.page import PNG
from tests.personal_data.sample import ADA, BOB, fill, word
from tests.personal_data.worlds import World


def lines_of(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "data.jsonl").read_text("utf-8").split("\n") if line]
    return [line for line in found if not kinds or line["kind"] in kinds]


MODELS = ("thread", "item", "attachment", "usage")


def portable(folder: Path) -> list[dict[str, Any]]:
    """Returns what an import takes, without where files are in the folder."""
    return [{**line, "file": (line.get("file") or {}).get("sha256")} for line in lines_of(folder, *MODELS)]


@pytest.fixture
def other(tmp_path: Path, postgres_database: str, world: World, postgres_url: str) -> World:
    """Returns a deployment of another kind: in PostgreSQL with a bucket, or in SQLite with a folder."""
    folder = tmp_path / "other"
    folder.mkdir()
    if world.postgres:
        return World(folder)
    return World(folder, postgres_database, bucket=world.bucket is None)


async def test_what_is_exported_can_be_imported_elsewhere_and_is_the_same(
    world: World, other: World, tmp_path: Path
) -> None:
    async with world.server() as (server, sessions):
        first, second = await fill(server, ADA, sessions)
        await fill(server, BOB, sessions)
        for item in item_of_every_kind(first):
            await server._chatkit_store().add_thread_item(first, item, OwnerContext(ADA))
        running = await server.begin(ADA, second)
        async with world.data() as data:
            report = await data.export(ADA, tmp_path / "first")
        server.gate.set()
        async for _ in running.json_events:
            pass
    lines = lines_of(tmp_path / "first")
    assert lines[0]["kind"] == "export"
    assert (lines[0]["format"], lines[0]["owner"]) == (1, ADA)
    assert lines[-1] == {"kind": "end", "counts": report.counts}
    text = (tmp_path / "first" / "data.jsonl").read_text("utf-8")
    assert word(BOB) not in text
    assert report.files == 3
    assert report.left_out == []
    tables = {line["table"] for line in lines_of(tmp_path / "first", "row")}
    log = {"redis turn", "redis key", "redis count", "redis session"}
    assert (log if world.redis else {"stream_keys", "counts", "hosted_sessions"}) <= tables
    assert {"accepted_turns"} <= tables
    # Once into another kind of place, once more, and back from there.
    async with other.data() as data:
        added = await data.import_(tmp_path / "first")
        assert added.added == {kind: len(lines_of(tmp_path / "first", kind)) for kind in MODELS}
        assert set(added.left_out) == tables
        again = await data.import_(tmp_path / "first")
        assert (again.added, again.present) == ({}, added.added)
        await data.export(ADA, tmp_path / "second")
    assert portable(tmp_path / "second") == portable(tmp_path / "first")
    # A file that no message came for is swept there as well; the others are claimed.
    async with other.data() as data:
        files: Any = data.managed_files
        names = {
            line["attachment"]["name"]: line["attachment"]["id"]
            for line in lines_of(tmp_path / "first", "attachment")
        }
        assert b"".join([chunk async for chunk in files.chunks(names[f"{word(ADA)}.png"])]) == PNG


async def test_an_import_under_another_owner_has_files_of_its_own(world: World, tmp_path: Path) -> None:
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
        async with world.data() as data:
            await data.export(ADA, tmp_path / "export")
            report = await data.import_(tmp_path / "export", owner=BOB)
            again = await data.import_(tmp_path / "export", owner=BOB)
            assert (again.added, again.present) == ({}, report.added)
            assert report.owner == BOB
            mine = (await data.store.load_threads(10, None, "asc", OwnerContext(BOB))).data
            assert len(mine) == 2
            items = (await data.store.load_thread_items(mine[0].id, None, 10, "asc", OwnerContext(BOB))).data
            (message,) = [item for item in items if isinstance(item, UserMessageItem)]
            old = {line["attachment"]["id"] for line in lines_of(tmp_path / "export", "attachment")}
            assert message.attachments
            for attachment in message.attachments:
                assert attachment.id not in old
                assert (await data.store.load_attachment(attachment.id, OwnerContext(BOB))).name
            await data.erase(ADA)
            files: Any = data.managed_files
            texts = [attachment for attachment in message.attachments if attachment.name.endswith(".txt")]
            assert await files.read(texts[0].id) == f"File of {word(ADA)}".encode()


async def exported(tmp_path: Path) -> Path:
    """Returns an export of two threads and a file."""
    store = SQLiteStore[Any](tmp_path / "chat.db")
    files = LocalFileStore(tmp_path / "files", base_url="http://chat.test", secret="secret of the tests")
    data = PersonalData(store, files)
    context = OwnerContext("ada")
    for number in range(2):
        thread = ThreadMetadata(id=f"thr_{number}", title="A\u2028B \ud800 \x00")
        await store.save_thread(thread, context)
        for item in item_of_every_kind(thread.id):
            await store.add_thread_item(thread.id, item, context)
    metadata = FileMetadata(content_type="text/plain", name="a.txt", size=3)
    await files.upload("atc_1", b"abc", metadata)

    record = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain", thread_id="thr_0")
    await store.save_attachment(record, context)
    await data.export("ada", tmp_path / "export")
    await store.close()
    return tmp_path / "export"


def cut(folder: Path) -> None:
    path = folder / "data.jsonl"
    path.write_bytes(path.read_bytes()[:-100])


def changed(folder: Path) -> None:
    path = folder / "data.jsonl"
    path.write_bytes(path.read_bytes().replace(b"thr_1", b"thr_2", 1))


def without_manifest(folder: Path) -> None:
    (folder / "export.json").unlink()


def later(folder: Path) -> None:
    about = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps({**about, "format": 2}))


def broken_manifest(folder: Path) -> None:
    (folder / "export.json").write_text('{"format": 1')


def without_file(folder: Path) -> None:
    next((folder / "files").iterdir()).unlink()


def changed_file(folder: Path) -> None:
    next((folder / "files").iterdir()).write_bytes(b"abd")


def signed_again(folder: Path, line: dict[str, Any]) -> None:
    """Changes what an export says and its digest with it, as a program that wrote something wrong does."""

    path, about = folder / "data.jsonl", json.loads((folder / "export.json").read_text())
    path.write_bytes(path.read_bytes() + json.dumps(line).encode() + b"\n")
    about["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    about["counts"][line["kind"]] = about["counts"].get(line["kind"], 0) + 1
    (folder / "export.json").write_text(json.dumps(about))


def outside(folder: Path) -> None:
    kept = {"path": "files/../../chat.db", "sha256": "", "size": 1}
    signed_again(folder, {"kind": "attachment", "attachment": {}, "file": kept})


def no_item(folder: Path) -> None:
    signed_again(folder, {"kind": "item", "thread_id": "thr_0", "item": {"type": "nothing"}})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "is not as it was written"),
        (changed, "is not as it was written"),
        (without_manifest, "no export, or not a complete one"),
        (later, "has format 2"),
        (broken_manifest, "export.json is damaged"),
        (without_file, "cannot be read"),
        (changed_file, "is not as it was written"),
        (outside, "which no export has"),
        (no_item, "cannot read"),
    ],
)
async def test_a_damaged_export_is_refused_and_nothing_is_written(
    tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    folder = await exported(tmp_path)
    damage(folder)
    store = SQLiteStore[Any](tmp_path / "new.db")
    with pytest.raises(ExportError, match=says):
        await PersonalData(store, LocalFileStore(tmp_path / "new")).import_(folder)
    assert (await store.load_threads(10, None, "asc", OwnerContext("ada"))).data == []
    assert not (tmp_path / "new").exists()
    await store.close()


async def test_an_import_that_is_killed_anywhere_can_be_done_again_without_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await exported(tmp_path)
    store = SQLiteStore[Any](tmp_path / "new.db")
    data = PersonalData(store, LocalFileStore(tmp_path / "new"))
    whole = importing.Importer._item
    left = 0

    class Killed(BaseException):
        pass

    async def dies(self: Any, line: Any) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return await whole(self, line)

    monkeypatch.setattr(importing.Importer, "_item", dies)
    for left in (3, 20, 40):  # noqa: B007 -- counted down by what it interrupts
        with pytest.raises(Killed):
            await data.import_(folder)
    monkeypatch.undo()
    report = await data.import_(folder)
    assert report.present["item"] + report.added["item"] == len(lines_of(folder, "item"))
    assert report.present["item"] == 40
    await data.export("ada", tmp_path / "again")
    assert portable(tmp_path / "again") == portable(folder)
    await store.close()


async def test_an_export_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exported(tmp_path)
    store = SQLiteStore[Any](tmp_path / "chat.db")
    data = PersonalData(store, LocalFileStore(tmp_path / "files"))
    with pytest.raises(ExportError, match="exists"):
        await data.export("ada", tmp_path / "export")
    with pytest.raises(NotFoundError, match="Nothing is kept of 'eve'"):
        await data.export("eve", tmp_path / "eve")
    with pytest.raises(ExportError, match="cannot be written"):
        await data.export("ada", tmp_path / "chat.db" / "inside")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError, match="cannot be written: No space left on device"):
        await data.export("ada", tmp_path / "full")
    assert {path.name for path in tmp_path.iterdir()} == {"chat.db", "export", "files"} | {
        path.name for path in tmp_path.glob("chat.db-*")
    }
    await store.close()


async def test_nothing_is_imported_for_an_owner_who_is_being_erased(tmp_path: Path) -> None:
    folder = await exported(tmp_path)
    store = SQLiteStore[Any](tmp_path / "new.db")
    data = PersonalData(store)
    await data.main.begin_erasure("ada", "erasure_1")
    with pytest.raises(ErasureRunningError):
        await data.import_(folder)
    await store.close()


async def test_a_store_that_encrypts_is_exported_as_plain_text(tmp_path: Path) -> None:
    class Encrypting(SQLiteStore[Any]):
        async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
            await super().save_thread(
                thread.model_copy(update={"title": (thread.title or "")[::-1]}), context
            )

        async def load_threads(self, *arguments: Any, **options: Any) -> Any:
            page = await super().load_threads(*arguments, **options)
            page.data = [t.model_copy(update={"title": (t.title or "")[::-1]}) for t in page.data]
            return page

    store = Encrypting(tmp_path / "chat.db")
    await store.save_thread(ThreadMetadata(id="thr", title="plain"), OwnerContext("ada"))
    data = PersonalData(store)
    await data.export("ada", tmp_path / "export")
    assert [line["thread"]["title"] for line in lines_of(tmp_path / "export", "thread")] == ["plain"]
    other = PersonalData(MemoryStore[Any]())
    await other.import_(tmp_path / "export")
    page = await other.store.load_threads(10, None, "asc", OwnerContext("ada"))
    assert [thread.title for thread in page.data] == ["plain"]
    await store.close()


async def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    store = SQLiteStore[Any](tmp_path / "chat.db")
    files = LocalFileStore(tmp_path / "files", base_url="http://chat.test", secret="secret of the tests")
    await store.save_thread(ThreadMetadata(id="thr"), OwnerContext("ada"))

    size = 8 * 1024 * 1024
    metadata = FileMetadata(content_type="application/octet-stream", name="a", size=size)
    await files.upload("atc_1", bytes(size), metadata)
    record = FileAttachment(id="atc_1", name="a", mime_type="application/octet-stream", thread_id="thr")
    await store.save_attachment(record, OwnerContext("ada"))
    largest = 0
    given = files.chunks

    async def measured(file_id: str) -> AsyncIterator[bytes]:
        nonlocal largest
        async for chunk in given(file_id):
            largest = max(largest, len(chunk))
            yield chunk

    files.chunks = measured  # type: ignore[method-assign]
    report = await PersonalData(store, files).export("ada", tmp_path / "export")
    assert report.files == 1
    assert (tmp_path / "export/files/000001").stat().st_size == size
    assert 0 < largest <= size // 8
    await store.close()
