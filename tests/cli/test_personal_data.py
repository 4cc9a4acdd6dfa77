"""``chatkit export``, ``import``, ``erase`` and ``retention``, as commands, while a server runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.audit import audit_log_of
from chatkit.cli import main
from chatkit.ids import utc_now
from chatkit.personal_data import PersonalData, erasing
from chatkit.store import OwnerContext, SQLiteStore
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata
from tests.cli.processes import environment, run, serving, started
from tests.cli.test_serve import hello, titles
from tests.personal_data.test_retention import old_thread
from tests.support.scale import scaled

REASON = ("--reason", "R-17")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "KNOWN_SECONDS", 0.0)
    for name in ("CHATKIT_DB", "CHATKIT_FILES", "CHATKIT_STREAM_LOG", "CHATKIT_RETENTION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def db(tmp_path: Path) -> str:
    """Returns a database in which ada and bob have a thread each, and ada has a record of a file."""

    async def fill() -> None:
        store = SQLiteStore[Any](path)
        for owner in ("ada", "bob"):
            await store.save_thread(ThreadMetadata(id="thr", title=f"of {owner}"), OwnerContext(owner))
            await store.add_thread_item("thr", message("m"), OwnerContext(owner))
        await store.close()

    path = str(tmp_path / "chat.db")
    asyncio.run(fill())
    return path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_person_is_exported_erased_and_imported_again(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "ada")
    assert main(["export", "--db", db, "--owner", "ada", "--to", folder, *REASON]) == 0
    out = said(capsys)
    assert out == f"{folder}: 1 item, 1 thread, 0 files.\n"
    assert main(["erase", "--db", db, "--owner", "ada", *REASON]) == 1
    assert "Kept of ada: 1 audit_keys, 1 items, 1 threads." in (out := said(capsys))
    assert "Give --yes" in out
    receipt = tmp_path / "receipt.json"
    options = ["--yes", "--receipt", str(receipt), *REASON]
    assert main(["erase", "--db", db, "--owner", "ada", *options]) == 0
    out = said(capsys)
    kept = json.loads(receipt.read_text())
    assert kept["erased"] == {"audit_keys": 1, "items": 1, "threads": 1}
    assert (kept["owner"], kept["reason"]) == ("ada", "R-17")
    assert receipt.stat().st_mode & 0o077 == 0
    assert {"backups", "the model's provider"} <= {left["what"] for left in kept["out_of_reach"]}
    assert kept["id"] in out
    # Again, when nothing is left; and without whose it was.
    assert main(["erase", "--db", db, "--owner", "ada", "--yes", *REASON]) == 1
    assert f"Nothing is kept of 'ada'. The last erasure, {kept['id']}, ended" in capsys.readouterr().err
    assert main(["erase", "--db", db, "--show", kept["id"], "--json"]) == 0
    assert json.loads(said(capsys))["erased"] == kept["erased"]
    assert main(["import", folder, "--db", db]) == 0
    assert said(capsys) == f"ada in {db}: 1 item, 1 thread added.\n"
    assert main(["import", folder, "--db", db, "--owner", "eve"]) == 0
    assert "eve in" in said(capsys)


def test_each_leaves_an_entry_and_none_that_names_who_was_erased(db: str, tmp_path: Path) -> None:
    assert main(["export", "--db", db, "--owner", "ada", "--to", str(tmp_path / "ada"), *REASON]) == 0
    assert main(["import", str(tmp_path / "ada"), "--db", db, "--owner", "eve"]) == 0
    assert main(["erase", "--db", db, "--owner", "ada", "--yes", *REASON]) == 0

    async def look() -> None:
        store = SQLiteStore[Any](db)
        log: Any = audit_log_of(store)
        entries = await log.entries()
        kinds = [entry.kind for entry in entries]
        assert kinds == ["data.exported", "data.imported", "data.erased", "data.erased"]
        assert [entry.reason for entry in entries] == ["R-17", "", "R-17", "R-17"]
        assert entries[0].owner == entries[2].owner != entries[1].owner
        assert entries[3].owner is None
        assert entries[3].details["erased"]["threads"] == 1
        assert await log.pseudonym("ada") is None
        assert await log.pseudonym("eve") == entries[1].owner
        await store.close()

    asyncio.run(look())


@pytest.mark.parametrize("command", ["export", "erase"])
def test_the_data_of_another_person_needs_a_reason(
    command: str, db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--to", str(tmp_path / "ada")] if command == "export" else ["--yes"]
    assert main([command, "--db", db, "--owner", "ada", *rest]) == 1
    assert "Give a reason" in capsys.readouterr().err
    assert not (tmp_path / "ada").exists()
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT count(*) FROM threads WHERE owner = 'ada'").fetchone() == (1,)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "--owner", "eve", "--to", "eve", *REASON], "Nothing is kept of 'eve'."),
        (["erase", "--owner", "eve", "--yes", *REASON], "Nothing is kept of 'eve'."),
        (["export", "--owner", "ada", "--to", ".", *REASON], "exists"),
        (["import", "nowhere"], "is no export"),
        (["import", "."], "is no export"),
        (["erase"], "Say whose data"),
        (["erase", "--show", "erasure_1"], "No erasure 'erasure_1' has ended here."),
        (["retention"], "Say how long"),
    ],
)
def test_what_is_asked_for_wrongly(
    arguments: list[str],
    says: str,
    db: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--db", db]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.db")
    for command in (["erase", "--owner", "ada", "--yes"], ["retention", "--keep", "1d"]):
        assert main([*command, "--db", missing, *REASON]) == 1
        assert capsys.readouterr().err == f"chatkit {command[0]}: There is no database {missing}.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_left_alone(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("UPDATE usable_since SET version = 999")
    assert main(["erase", "--db", db, "--owner", "ada", "--yes", *REASON]) == 1
    assert "has schema version 999" in capsys.readouterr().err


def test_files_that_are_somewhere_else_are_not_left_behind(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def add() -> None:
        store = SQLiteStore[Any](db)
        record = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain", thread_id="thr")
        await store.save_attachment(record, OwnerContext("ada"))
        await store.close()

    asyncio.run(add())
    for command in (["export", "--to", str(tmp_path / "ada")], ["erase", "--yes"]):
        assert main([*command, "--db", db, "--owner", "ada", *REASON]) == 1
        error = capsys.readouterr().err
        assert f"There are 1 attachments, and no folder {tmp_path / 'chat-files'}." in error
    assert main(["erase", "--db", db, "--owner", "ada", "--yes", "--files", "off", *REASON]) == 0


def test_old_threads_are_deleted(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def add() -> None:
        store = SQLiteStore[Any](db)
        await old_thread(store, "ada", "old", 400)
        await store.close()

    asyncio.run(add())
    assert main(["retention", "--db", db, "--keep", "365d", "--dry-run"]) == 0
    assert said(capsys).startswith("ada: 1 threads would be deleted.\n")
    assert main(["retention", "--db", db, "--keep", "365d", "--usage", "2y"]) == 0
    assert said(capsys) == "ada: 1 threads deleted.\n1 threads deleted, 0 records of usage.\n"
    with pytest.raises(SystemExit):
        main(["retention", "--db", db, "--keep", "a year"])
    assert "A rule of retention is written 365d" in capsys.readouterr().err


def test_a_server_erases_expires_and_goes_on(tmp_path: Path) -> None:
    """One command beside a server that runs: its user is erased, refused meanwhile, and comes back as somebody new."""
    with serving("--port", "0", "--retention", "365d", folder=tmp_path) as server:
        hello(server.url)
        assert titles(server.url) == ["help"]
        done = run("erase", "--owner", "local", "--yes", "--json", *REASON, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        receipt = json.loads(done.stdout)
        assert receipt["erased"]["threads"] == 1
        assert receipt["problems"] == []
        until = time.monotonic() + scaled(10)
        while True:
            answer = httpx2.post(server.url, json={"type": "threads.list", "params": {}}, timeout=scaled(10))
            if answer.status_code == 200 or time.monotonic() > until:
                break
            # It may not have heard of the end so far.
            assert answer.json()["error"]["code"] == "being_erased"
        assert answer.json()["data"] == []
        hello(server.url)
        assert titles(server.url) == ["help"]


async def test_a_command_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    db = tmp_path / "chatkit.db"
    store = SQLiteStore[Any](db)
    await store.save_thread(ThreadMetadata(id="thr"), OwnerContext("ada"))
    for number in range(40):
        await store.add_thread_item("thr", message(f"m{number}"), OwnerContext("ada"))
    with started("erase", "--owner", "ada", "--yes", *REASON, folder=tmp_path, env=environment()) as process:
        until = time.monotonic() + scaled(30)
        data = PersonalData(store)
        # It waits for two seconds until every worker has heard that the owner is refused.
        while await data.main.find_erasure(owner="ada") is None:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        process.kill()
        process.communicate(timeout=scaled(10))
    state = await data.main.find_erasure(owner="ada")
    assert state is not None
    receipt = await data.erase("ada")
    assert receipt.id == state.id
    assert receipt.erased["items"] == 40
    await store.close()
    assert b"m39" not in db.read_bytes()
    assert utc_now() - receipt.ended_at < timedelta(minutes=5)
