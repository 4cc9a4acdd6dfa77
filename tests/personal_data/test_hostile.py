"""Exports that were changed to get at others, owners with unusual names, and what must not be lost by them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatkit.counters import SQLiteCounter
from chatkit.errors import (
    ErasureRunningError,
    ExportError,
    InvalidRequestError,
    NotFoundError,
    StoreUnavailableError,
)
from chatkit.files import FileMetadata, LocalFileStore
from chatkit.hosted import Session
from chatkit.hosted.models import Configuration, Workflow
from chatkit.hosted.postgres import PostgresSessions
from chatkit.personal_data import PersonalData, RetentionRule
from chatkit.personal_data.importing import Importer
from chatkit.personal_data.retention import rule_for
from chatkit.store import MemoryStore, OwnerContext, PostgresStore, SQLiteStore
from chatkit.testing._store_samples import message, user_message
from chatkit.types import FileAttachment, ThreadMetadata, UserMessageItem
from tests.personal_data.worlds import World


def written(folder: Path, lines: list[dict[str, Any]], owner: Any = "eve", **about: Any) -> Path:
    """Writes an export as anyone can."""
    (folder / "files").mkdir(parents=True)
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    (folder / "data.jsonl").write_bytes(text)
    counts: dict[str, int] = {}
    for line in lines:
        counts[line["kind"]] = counts.get(line["kind"], 0) + 1
    head = {"format": 1, "owner": owner, "counts": counts, "sha256": hashlib.sha256(text).hexdigest()}
    (folder / "export.json").write_text(json.dumps({**head, **about}))
    return folder


def attachment_line(attachment_id: str, **rest: Any) -> dict[str, Any]:
    record = FileAttachment(id=attachment_id, name="a.txt", mime_type="text/plain", thread_id="thr")
    return {"kind": "attachment", "attachment": record.model_dump(mode="json"), "size": 3, **rest}


def thread_line(thread_id: str = "thr") -> dict[str, Any]:
    return {"kind": "thread", "thread": ThreadMetadata(id=thread_id).model_dump(mode="json")}


def item_line(thread_id: str, *attachment_ids: str) -> dict[str, Any]:
    named = [FileAttachment(id=name, name="a.txt", mime_type="text/plain") for name in attachment_ids]
    item = user_message("m").model_copy(update={"attachments": named})
    return {"kind": "item", "thread_id": thread_id, "item": item.model_dump(mode="json")}


async def with_a_file(data: PersonalData, owner: str) -> str:
    """Keeps a thread with a file of an owner."""
    context, files = OwnerContext(owner), data.managed_files
    assert files is not None
    await data.store.save_thread(ThreadMetadata(id="thr"), context)
    metadata = FileMetadata(content_type="text/plain", name="a.txt", size=3)
    await files.upload("atc_secret", b"abc", metadata)  # type: ignore[attr-defined]
    record = FileAttachment(id="atc_secret", name="a.txt", mime_type="text/plain", thread_id="thr")
    await data.store.save_attachment(record, context)
    await files.claim("atc_secret")
    return "atc_secret"


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "postgres":
        return PostgresStore[Any](request.getfixturevalue("postgres_database"))
    return SQLiteStore[Any](tmp_path / "chat.db") if request.param == "sqlite" else MemoryStore[Any]()


async def test_an_export_that_names_another_owners_file_does_not_get_it(store: Any, tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path / "files", base_url="http://chat.test", secret="secret of the tests")
    data = PersonalData(store, files)
    secret = await with_a_file(data, "ada")
    folder = written(tmp_path / "hostile", [attachment_line(secret), thread_line(), item_line("thr", secret)])
    for _ in range(2):
        await data.import_(folder)
        eve = OwnerContext("eve")
        with pytest.raises(NotFoundError):
            await data.store.load_attachment(secret, eve)
        (item,) = (await data.store.load_thread_items("thr", None, 9, "asc", eve)).data
        assert isinstance(item, UserMessageItem)
        (named,) = item.attachments
        assert named.id != secret
        assert (await data.store.load_attachment(named.id, eve)).id == named.id
        assert secret not in await data.store.attachment_ids("thr", eve)
    # Nor does it delete it.
    await data.erase("eve", vacuum="none")
    assert await files.read(secret) == b"abc"
    # Its own stay as they are.
    await data.export("ada", tmp_path / "ada")
    assert (await data.import_(tmp_path / "ada")).present["attachment"] == 1
    assert (await data.store.load_attachment(secret, OwnerContext("ada"))).id == secret
    await data.close()
    await store.close()


async def test_a_file_whose_record_is_refused_does_not_stay(tmp_path: Path) -> None:
    source = SQLiteStore[Any](tmp_path / "source.db")
    from_there = PersonalData(source, LocalFileStore(tmp_path / "from", base_url="http://a", secret="s"))
    await with_a_file(from_there, "ada")
    await from_there.export("ada", tmp_path / "ada")
    await source.close()

    later = 0.0
    files = LocalFileStore(
        tmp_path / "to", base_url="http://a", secret="s", clock=lambda: time.time() + later
    )
    store = SQLiteStore[Any](tmp_path / "chat.db")
    data = PersonalData(store, files)
    importer = Importer(data, tmp_path / "ada", None)
    await importer.check()
    # Begun by another process at this moment.
    await data.main.begin_erasure("ada", "erasure_1")
    with pytest.raises(ErasureRunningError):
        await importer.run()
    assert await files.read("atc_secret") == b"abc"
    later = 3 * 86_400.0
    assert await files.sweep_orphans() == 1
    await store.close()


KEPT = {"path": "files/000001", "sha256": hashlib.sha256(b"abc").hexdigest(), "size": 3}
USED: dict[str, Any] = {
    "kind": "usage",
    "turn_id": "turn_1",
    "step": "1",
    "thread_id": "thr",
    "group": None,
    "model": "m",
    "input_tokens": 1,
    "cached_tokens": 0,
    "output_tokens": 1,
    "reasoning_tokens": 0,
    "cost": "0.1",
    "created_at": "2026-01-01T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (attachment_line("atc_1", file={**KEPT, "path": "files/a\x00b"}), "cannot be read"),
        (attachment_line("atc_1", file={**KEPT, "path": "files/\ud800"}), "cannot be read"),
        (attachment_line("atc_1", file={**KEPT, "path": "files/.."}), "which no export has"),
        (attachment_line("atc_1", file={**KEPT, "path": "files//etc/passwd"}), "which no export has"),
        (attachment_line("atc_1", file={**KEPT, "path": "/etc/passwd"}), "which no export has"),
        (attachment_line("atc_1", file={**KEPT, "path": 7}), "which no export has"),
        (attachment_line("atc_1", file={**KEPT, "path": "files/pipe"}), "cannot be read: it is no file"),
        (attachment_line("atc_1", file={**KEPT, "size": 2**70}), "is not as it was written"),
        (attachment_line("atc_1", file={"path": "files/000001"}), "without its digest"),
        (attachment_line("atc_1", file="files/000001"), "without its digest"),
        (attachment_line("atc_1", size=-(2**40)), "cannot read"),
        (attachment_line("atc_1", size=2**70), "cannot read"),
        (attachment_line("atc_1", group={}), "cannot read"),
        ({**USED, "input_tokens": -1}, "cannot read"),
        ({**USED, "output_tokens": 2**70}, "cannot read"),
        ({**USED, "cost": "NaN"}, "cannot read"),
        ({**USED, "cost": "1e999999999"}, "cannot read"),
        ({**USED, "group": ["acme"]}, "cannot read"),
        (item_line("thr_of_ada"), "does not follow its thread"),
    ],
)
async def test_what_cannot_be_imported_is_said_before_anything_is_written(
    tmp_path: Path, line: dict[str, Any], says: str
) -> None:
    folder = written(tmp_path / "hostile", [thread_line(), line])
    (folder / "files" / "000001").write_bytes(b"abc")
    os.mkfifo(folder / "files" / "pipe")
    store = SQLiteStore[Any](tmp_path / "chat.db")
    data = PersonalData(store, LocalFileStore(tmp_path / "new"))
    with pytest.raises(ExportError, match=says):
        await data.import_(folder)
    assert await data.count("eve") == {}
    await store.close()


@pytest.mark.parametrize(
    "manifest",
    ["[" * 200_000, '{"format": Infinity}', '{"format": 1, "owner": null, "counts": {}, "sha256": ""}', "7"],
)
async def test_a_manifest_that_says_nothing_is_damaged(tmp_path: Path, manifest: str) -> None:
    folder = written(tmp_path / "hostile", [])
    (folder / "export.json").write_text(manifest)
    with pytest.raises(ExportError, match=r"export\.json is damaged"):
        await PersonalData(MemoryStore[Any]()).import_(folder)


async def test_a_line_of_brackets_is_damaged(tmp_path: Path) -> None:
    folder = written(tmp_path / "hostile", [])
    text = b"[" * 200_000
    (folder / "data.jsonl").write_bytes(text)
    about = {"format": 1, "owner": "eve", "counts": {}, "sha256": hashlib.sha256(text).hexdigest()}
    (folder / "export.json").write_text(json.dumps(about))
    with pytest.raises(ExportError, match=r"line 1 of data\.jsonl cannot be read"):
        await PersonalData(MemoryStore[Any]()).import_(folder)


async def test_nobody_has_an_empty_name(tmp_path: Path) -> None:
    """What a log keeps for a store that knows no owners stands under it."""
    data = PersonalData(MemoryStore[Any]())
    folder = written(tmp_path / "hostile", [thread_line()], owner="")
    for work in (data.erase(""), data.export("", tmp_path / "out"), data.import_(folder)):
        with pytest.raises(InvalidRequestError, match="Name the owner"):
            await work


async def test_an_export_deletes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    store = MemoryStore[Any]()
    await store.save_thread(ThreadMetadata(id="thr"), OwnerContext("ada"))
    data = PersonalData(store)
    mine = tmp_path / "ada.partial"
    mine.mkdir()
    (mine / "thesis.txt").write_text("my only copy")
    with pytest.raises(ExportError, match=r"ada\.partial exists: another export"):
        await data.export("ada", tmp_path / "ada")
    assert (mine / "thesis.txt").read_text() == "my only copy"
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(ExportError, match="link exists"):
        await data.export("ada", tmp_path / "link")
    with pytest.raises(ExportError, match="cannot be written: File name too long"):
        await data.export("ada", tmp_path / ("a" * 300))
    await data.export("ada", tmp_path / "new" / "ada")
    assert (tmp_path / "new" / "ada").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["team[1]", "who?", "a]b", "[!a]", "[", "*", "a\nb", "%_\\"])
def test_an_asterisk_alone_stands_for_any_text(name: str) -> None:
    """``team[1]=forever`` keeps the threads of that team."""
    rule = RetentionRule(None, name)
    assert rule_for([rule, RetentionRule(1.0)], name) == rule
    others = {"team1", "whoa", "b", "acb"} if name != "*" else set[str]()
    assert [other for other in others if rule_for([rule], other)] == []


async def test_a_time_longer_than_any_keeps_all(tmp_path: Path) -> None:
    for store in (MemoryStore[Any](), SQLiteStore[Any](tmp_path / "chat.db")):
        await store.save_thread(
            ThreadMetadata(id="thr", created_at=datetime(1970, 1, 2, tzinfo=UTC)), OwnerContext("ada")
        )
        rules = [RetentionRule.parse("9999y"), RetentionRule.parse("999999999y")]
        for rule in rules:
            report = await PersonalData(store).retain([rule], usage_seconds=rule.seconds)
            assert (report.threads, report.usage) == ({}, 0)
        await store.close()


async def test_an_erasure_that_the_other_one_has_ended_is_found(world: World) -> None:
    """Of two at once, over a log in another database."""
    async with world.data() as data:
        for place in data.places[:1]:
            begun = await place.begin_erasure("ada", "erasure_1")
            await place.end_erasure(begun.id, "ended")
            assert (await place.begin_erasure("ada", "erasure_1")).id == "erasure_1"
            assert (await place.begin_erasure("ada", "erasure_2")).id == "erasure_2"
            await place.end_erasure("erasure_2", "ended")


NAMES = [
    "ada",
    "ada\x00",
    "ada\x00x",
    "x:owner:ada",
    "ad",
    "%",
    "_da",
    "é:ada",
    "🦓" * 2_000,
    "'",
    '"',
    "a/b",
]


async def test_counts_of_owners_with_unusual_names_are_their_own(tmp_path: Path) -> None:
    store = SQLiteStore[Any](tmp_path / "chat.db")
    counter = SQLiteCounter(store.database)
    for name in NAMES:
        await counter.take(f"quota:messages:60:owner:{name}", 1, window=3600.0)
        await counter.take(f"running:owner:{name}", 1, window=3600.0)
    data = PersonalData(store)
    for name in NAMES:
        assert await data.count(name) == {"counts": 2}, name
    await data.main.begin_erasure("ada", "erasure_1")
    for name in NAMES:
        for key in (f"quota:tokens:60:owner:{name}", f"running:owner:{name}"):
            if name == "ada":
                with pytest.raises(ErasureRunningError):
                    await counter.take(key, 1, window=3600.0)
            else:
                await counter.take(key, 1, window=3600.0)
    # Of a group, or another part, whose name ends so.
    await counter.take("quota:tokens:60:group:x:owner:ada", 1, window=3600.0)
    await store.close()


async def test_a_session_may_have_a_nul_character_in_its_state(postgres_database: str) -> None:
    store = PostgresStore[Any](postgres_database)
    sessions = PostgresSessions(store.database)
    state = Workflow(id="wf", state_variables={"text": "a\x00b \\u0000"})
    session = Session(
        id="cksess_1",
        tenant="acme",
        user="ada",
        workflow=state,
        configuration=Configuration(),
        requests_per_minute=10,
        created_at=1_700_000_000,
        expires_at=4_000_000_000,
    )
    await sessions.add(session)
    assert await sessions.find(session.id) == session
    data = PersonalData(store)
    assert await data.count("acme/ada/wf") == {"hosted_sessions": 1}
    assert await data.count("acme/bob/wf") == {}
    await data.main.begin_erasure("acme/ada/wf", "erasure_1")
    with pytest.raises(ErasureRunningError):
        await sessions.add(session.model_copy(update={"id": "cksess_other"}))
    await sessions.close()
    await store.close()


async def test_a_number_that_an_earlier_version_gave_to_another_owners_text_is_searched_as_theirs(
    tmp_path: Path,
) -> None:
    store = SQLiteStore[Any](tmp_path / "chat.db")
    ada, bob = OwnerContext("ada"), OwnerContext("bob")
    await store.save_thread(ThreadMetadata(id="thr", title="zebra"), ada)
    await store.add_thread_item("thr", message("m"), ada)

    def as_before(connection: Any) -> None:
        """Deletes and adds without a look at the index, as workers of the version before do."""
        kept = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("threads", "items")}
        connection.execute("DELETE FROM threads")
        for seq, _, *rest in kept["threads"]:
            marks = ", ".join("?" * (len(rest) + 2))
            connection.execute(f"INSERT INTO threads VALUES ({marks})", (seq, "bob", *rest))
        for row in kept["items"]:
            connection.execute(f"INSERT INTO items VALUES ({', '.join('?' * len(row))})", row)

    await store.database.write(as_before)
    await store.save_thread(ThreadMetadata(id="other"), ada)
    page = await store.search_threads("zebra", 9, None, bob)
    assert [found.thread.id for found in page.data] == ["thr"]
    assert (await store.search_threads("zebra", 9, None, ada)).data == []
    await store.close()


async def test_a_file_that_cannot_be_read_or_deleted_is_named(tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path / "files", base_url="http://chat.test", secret="secret of the tests")
    store = SQLiteStore[Any](tmp_path / "chat.db")
    data = PersonalData(store, files)
    await with_a_file(data, "ada")
    (content,) = [
        path for path in (tmp_path / "files").rglob("*") if path.is_file() and path.read_bytes() == b"abc"
    ]
    content.unlink()
    content.mkdir()
    with pytest.raises(StoreUnavailableError, match="The file of attachment atc_secret cannot be read"):
        await data.export("ada", tmp_path / "ada")
    # No note can be written on what is deleted, as on a disk that is full.
    pending = tmp_path / "files" / "pending"
    pending.rename(tmp_path / "aside")
    pending.write_text("")
    for work in (data.erase("ada"), data.retain([RetentionRule(1e-6)])):
        with pytest.raises(StoreUnavailableError, match="atc_secret cannot be deleted"):
            await work
    pending.unlink()
    assert (await data.erase("ada")).erased["attachments"] == 1
    await store.close()
