"""``chatkit admin`` and ``chatkit audit``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.audit import Actor, AuditEvent, Head, SQLiteAuditLog
from chatkit.cli import main
from chatkit.cli.tables import age, cell, plain_line
from chatkit.ids import utc_now
from chatkit.store import OwnerContext, SQLiteStore
from chatkit.streams import EndState, PostgresStreamLog, RedisStreamLog, StreamLog
from chatkit.testing._log_base import open_turn, turn
from chatkit.testing._store_samples import item_of_every_kind, message
from chatkit.types import ThreadMetadata
from chatkit.usage import Usage, UsageRecord
from tests.cli.processes import run, serving
from tests.support.scale import scaled

EVIL = "bob\n\x1b[2J  \u202egnp.exe\t\\"


@pytest.fixture
def db(tmp_path: Path) -> str:
    async def fill() -> None:
        store = SQLiteStore[Any](path)
        for owner in ("ada", EVIL, "漢字"):
            context = OwnerContext(owner)
            for number in range(3):
                thread_id = f"thr_{owner[0]}{number}"
                kept = {"chatkit.feedback": {"msg_1": "negative"}}
                thread = ThreadMetadata(id=thread_id, title="the \x1b[31mdiagnosis", metadata=kept)
                await store.save_thread(thread, context)
                await store.add_thread_item(thread_id, message("msg_1", "the\n\x1b[1millness"), context)
        await store.close()

    path = str(tmp_path / "chatkit.db")
    asyncio.run(fill())
    return path


def lines(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[str]:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    printed = captured.out if code == 0 else captured.err
    assert all(character.isprintable() or character == "\n" for character in printed)
    return printed.splitlines()


def test_owners_are_printed_safely_and_by_the_page(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    head, ada, evil, last = lines(capsys, "admin", "owners", "--db", db)
    assert head.split() == ["owner", "threads", "items", "files", "bytes", "last", "active"]
    assert ada.split()[:5] == ["ada", "3", "3", "0", "0"]
    assert evil.startswith(r"bob\n\x1b[2J  \u202egnp.exe\t\\ ")
    assert last.startswith("漢字")
    # Wide characters take two columns, so that the numbers are below one another.
    assert ada.index(" 3 ") == last.index(" 3 ") + 2
    assert lines(capsys, "admin", "owners", "--db", db, "--limit", "1")[1:] == [
        lines_of_one(ada),
        "There are more: --after ada, or --all.",
    ]
    printed = lines(capsys, "admin", "owners", "--db", db, "--limit", "1", "--after", "ada", "--json")
    assert json.loads(printed[0])["owner"] == EVIL
    assert printed[0].isascii()
    assert len(lines(capsys, "admin", "owners", "--db", db, "--all", "--json")) == 3


def lines_of_one(line: str) -> str:
    """Returns a line as it is in a table of its own: the columns are as wide as their heads."""
    owner, threads, items, files, size, *active = line.split()
    return f"{owner:5}  {threads:>7}  {items:>5}  {files:>5}  {size:>5}  {' '.join(active)}"


def test_threads_are_printed_without_their_titles(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = lines(capsys, "admin", "threads", "ada", "--db", db)
    assert head.split() == ["thread", "created", "last", "active", "items", "files"]
    assert [row.split()[0] for row in rows] == ["thr_a2", "thr_a1", "thr_a0"]
    assert "diagnosis" not in "".join(rows)
    rows = lines(capsys, "admin", "threads", EVIL, "--db", db, "--limit", "2", "--json")
    assert [json.loads(row)["id"] for row in rows] == ["thr_b2", "thr_b1"]
    rows = lines(capsys, "admin", "threads", EVIL, "--db", db, "--after", "thr_b1", "--json")
    assert [json.loads(row)["id"] for row in rows] == ["thr_b0"]
    assert lines(capsys, "admin", "threads", "nobody", "--db", db) == ["Nothing."]


def test_content_needs_a_reason_and_is_recorded(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    (refused,) = lines(capsys, "admin", "show", "thr_a0", "--db", db, code=1)
    assert refused.startswith("chatkit admin: Give a reason")
    assert lines(capsys, "audit", "list", "--db", db) == ["No entries."]
    printed = lines(capsys, "admin", "show", "thr_a0", "--db", db, "--reason", "ticket 7", "--as", "Eve")
    assert printed[0].startswith("thread thr_a0 of ada, made ")
    assert printed[1] == r"title: the \x1b[31mdiagnosis"
    assert printed[-2:] == ["    the", r"    \x1b[1millness"]
    head, entry = lines(capsys, "audit", "list", "--db", db)
    assert head.split() == ["number", "time", "kind", "actor", "owner", "subject", "reason", "details"]
    assert "content.read" in entry
    assert "(Eve)" in entry
    assert "  thr_a0   ticket 7  " in entry
    assert "ada" not in entry.replace("thr_a0", "")
    (entry,) = lines(capsys, "audit", "list", "--db", db, "--json", "--owner", "ada")
    assert json.loads(entry)["actor"]["note"] == "Eve"
    (unknown,) = lines(capsys, "audit", "list", "--db", db, "--owner", "漢字", code=1)
    assert "No entry can be told to be about that owner" in unknown


def test_content_as_json_and_of_every_kind(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        store = SQLiteStore[Any](db)
        for item in item_of_every_kind("thr_a1"):
            await store.put_thread_item("thr_a1", item, OwnerContext("ada"))
        await store.close()

    asyncio.run(fill())
    asked = ["admin", "show", "thr_a1", "--db", db, "--reason", "ticket 7"]
    thread, *items = [json.loads(line) for line in lines(capsys, *asked, "--json")]
    assert thread["owner"] == "ada"
    assert thread["thread"]["id"] == "thr_a1"
    printed = lines(capsys, *asked)
    assert len([line for line in printed if line[:2] == "20"]) == len(items)
    assert len(items) > 15


def test_where_the_audit_log_is_may_be_said(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = str(tmp_path / "audit.db")
    asked = ["admin", "show", "thr_a0", "--db", db, "--reason", "ticket 7", "--audit-db", elsewhere]
    assert lines(capsys, *asked, code=1) == [f"chatkit admin: There is no database {elsewhere}."]
    asyncio.run(_make(elsewhere))
    lines(capsys, *asked)
    assert lines(capsys, "audit", "list", "--db", db) == ["No entries."]
    assert len(lines(capsys, "audit", "list", "--audit-db", elsewhere)) == 2


async def _make(path: str) -> None:
    store = SQLiteStore[Any](path)
    await store.check()
    await store.close()


def test_feedback_and_usage(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = lines(capsys, "admin", "feedback", "--db", db, "--owner", "ada", "--limit", "2")
    assert head.split() == ["owner", "thread", "item", "feedback"]
    assert rows[0].split() == ["ada", "thr_a2", "msg_1", "negative"]
    assert rows[-1] == "There are more: --all."
    assert len(lines(capsys, "admin", "feedback", "--db", db, "--json", "--all")) == 9

    async def fill() -> None:
        store = SQLiteStore[Any](db)
        for number, (tokens, days) in enumerate([(4000, 0), (1000, 2), (3000, 0)]):
            record = UsageRecord(
                f"turn_{number}",
                "1",
                "thr",
                None,
                Usage("m", tokens),
                Decimal(1),
                utc_now() - timedelta(days=days),
            )
            await store.add_usage(record, OwnerContext("ada"))
        await store.close()

    asyncio.run(fill())
    assert lines(capsys, "admin", "usage", "--db", db)[-1].split()[:3] == ["all", "3", "8,000"]
    assert [json.loads(line)["calls"] for line in lines(capsys, "admin", "usage", "--db", db, "--json")] == [
        1,
        2,
    ]
    head, first, between, last = lines(capsys, "admin", "usage", "--db", db, "--plot")
    assert head.split() == ["day", "tokens", "cost"]
    assert [line.count("#") for line in (first, between, last)] == [6, 0, 40]
    assert first.split()[-2:] == ["1,000", "1.000000"]
    assert between.split()[-2:] == ["0", "0.000000"]


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.db"
    for command in (["admin", "owners"], ["audit", "verify"], ["audit", "head"]):
        assert "There is no database" in lines(capsys, *command, "--db", str(missing), code=1)[0]
    assert not missing.exists()


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    """Returns a database with five entries."""

    async def fill() -> None:
        for number in range(5):
            await operator_reads(path, f"ticket {number}")

    path = str(tmp_path / "recorded.db")
    asyncio.run(fill())
    return path


async def operator_reads(path: str, reason: str) -> None:
    log = SQLiteAuditLog(path)
    await log.record(AuditEvent(kind="content.read", actor=Actor("local", "eve"), owner="ada", reason=reason))
    await log.close()


def tamper(path: str, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("DROP TRIGGER audit_is_not_deleted")
        for statement in statements:
            connection.execute(statement)


def test_a_log_is_verified_with_and_without_heads(
    recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (head,) = lines(capsys, "audit", "head", "--db", recorded)
    assert Head.find(head)[0].number == 5
    counted, fits, missing = lines(capsys, "audit", "verify", "--db", recorded)
    assert counted == f"5 entries, 1 to 5; head {head}"
    assert fits.startswith("Each entry continues the one before")
    assert missing.startswith("Not compared with a head that was published elsewhere.")
    heads = tmp_path / "heads.jsonl"
    heads.write_text(f'some log\n{{"head": "{head}"}}\n')
    for option in (["--head", head], ["--heads", str(heads)]):
        printed = lines(capsys, "audit", "verify", "--db", recorded, *option)
        assert printed[-1] == "Published heads vouch for all entries up to 5."
    asyncio.run(operator_reads(recorded, "later"))
    printed = lines(capsys, "audit", "verify", "--db", recorded, "--head", head)
    assert printed[-1].startswith(
        "Published heads vouch for entries up to 5. Of later ones it cannot be found"
    )
    tamper(recorded, "DELETE FROM audit WHERE number > 3")
    assert lines(capsys, "audit", "verify", "--db", recorded)[1].startswith("Each entry continues")
    assert main(["audit", "verify", "--db", recorded, "--head", head]) == 1
    assert "cut: The log ends with entry 3" in capsys.readouterr().out
    assert main(["audit", "verify", "--db", recorded, "--head", head, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["count"], found["faults"][0]["kind"]) == (False, 3, "cut")


def test_a_changed_entry_is_found(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    tamper(recorded, "UPDATE audit SET data = replace(data, 'ticket 2', 'ticket 9')")
    assert main(["audit", "verify", "--db", recorded]) == 1
    assert "changed: Entry 3 was changed: it has another hash." in capsys.readouterr().out


def test_heads_that_are_none_are_told(
    recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("nothing\n")
    for option, told in (
        (["--head", "5:abc"], "A head is NUMBER:HASH"),
        (["--heads", str(empty)], "has no head of an audit log in it"),
        (["--heads", str(tmp_path / "none")], "cannot be read"),
    ):
        assert told in lines(capsys, "audit", "verify", "--db", recorded, *option, code=1)[0]


def test_entries_are_listed_by_what_they_are_about(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    def numbers(*options: str) -> list[int]:
        printed = lines(capsys, "audit", "list", "--db", recorded, "--json", *options)
        return [json.loads(line)["number"] for line in printed]

    assert numbers() == numbers("--all") == [1, 2, 3, 4, 5]
    assert numbers("--limit", "2") == [4, 5]
    assert numbers("--kind", "content.read", "--actor", "eve", "--owner", "ada", "--limit", "1") == [5]
    assert numbers("--actor", "mallory") == []
    assert numbers("--until", "2020-01-01") == []
    assert numbers("--since", "2020-01-01T10:00+02:00") == [1, 2, 3, 4, 5]
    with pytest.raises(SystemExit):
        main(["audit", "list", "--since", "yesterday"])


def test_old_entries_are_trimmed_with_a_reason(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Give a reason" in lines(capsys, "audit", "trim", "--db", recorded, "--days", "9", code=1)[0]
    asked = ["audit", "trim", "--db", recorded, "--days", "9", "--reason", "kept for nine days"]
    assert lines(capsys, *asked) == ["0 entries were deleted, which were older than 9 days."]
    assert len(lines(capsys, "audit", "list", "--db", recorded)) == 6


APPLICATION = """
import asyncio
from chatkit import ChatKitServer

class Server(ChatKitServer):
    async def respond(self, thread, input, context):
        yield "begun"
        await asyncio.sleep(600)
"""


def test_a_server_is_looked_after_while_it_serves(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    options = ("--port", "0", "--audit", "--audit-head", "heads.jsonl")

    def asked(*arguments: str, code: int = 0) -> Any:
        done = run(*arguments, "--db", "chatkit.db", folder=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    with serving("app:Server", *options, "--db", "chatkit.db", "--files", "off", folder=tmp_path) as server:
        assert "The audit log is kept in the database of the threads." in server.announcement
        content = [{"type": "input_text", "text": "hold"}]
        params = {"input": {"content": content, "attachments": [], "inference_options": {}}}
        body = {"type": "threads.create", "params": params}
        with (
            httpx2.Client(timeout=scaled(20)) as client,
            client.stream("POST", server.url, json=body) as answer,
        ):
            events = answer.iter_lines()
            thread_id = json.loads(next(events).removeprefix("data: "))["thread"]["id"]
            (turn,) = map(json.loads, asked("admin", "running", "--json").splitlines())
            assert (turn["thread"], turn["owner"], turn["attempt"], turn["state"]) == (
                thread_id,
                "local",
                1,
                "running",
            )
            (worker,) = map(json.loads, asked("admin", "workers", "--json").splitlines())
            assert (worker["id"], worker["turns"], worker["dead"]) == (turn["worker"], 1, False)
            assert asked("admin", "stuck") == "Nothing.\n"
            assert "Give a reason" in asked("admin", "stop", turn["turn"], code=1)
            said = asked("admin", "stop", turn["turn"], "--reason", "it does not end")
            assert said == "The turn is stopped.\n"
            # The page's stream ends.
            for _ in events:
                pass
        assert asked("admin", "running") == "Nothing.\n"
        assert "no turn" in asked("admin", "stop", "turn_9", "--reason", "none", code=1)
        delete = {"type": "threads.delete", "params": {"thread_id": thread_id}}
        assert httpx2.post(server.url, json=delete, timeout=scaled(20)).status_code == 200
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(scaled(20))
    kinds = [json.loads(line)["kind"] for line in asked("audit", "list", "--json").splitlines()]
    assert kinds == ["limits.changed", "turn.stopped", "thread.deleted"]
    verified = asked("audit", "verify", "--heads", "heads.jsonl")
    assert "Published heads vouch for all entries up to 3." in verified


def test_turns_in_postgresql_and_redis(
    postgres_database: str, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    db = ("--db", postgres_database)
    for options, make in (
        (db, lambda: PostgresStreamLog(postgres_database)),
        ((*db, "--stream-log", redis_url), lambda: RedisStreamLog(redis_url)),
    ):
        with asyncio.Runner() as runner:
            log: StreamLog = make()
            info = turn("thr_1", owner=EVIL, resumable=True)
            _, writer = runner.run(open_turn(log, info))
            found = [
                json.loads(line) for line in lines(capsys, "admin", "running", *options, "--all", "--json")
            ]
            (held,) = [each for each in found if each["turn"] == info.id]
            assert (held["owner"], held["worker"], held["state"]) == (EVIL, log.holder(), "running")
            assert r"bob\n\x1b[2J  \u202egnp.exe\t\\" in "".join(
                lines(capsys, "admin", "running", *options, "--all")
            )
            workers = [json.loads(line) for line in lines(capsys, "admin", "workers", *options, "--json")]
            assert [worker["turns"] for worker in workers if worker["id"] == log.holder()] == [1]
            runner.run(writer.close(EndState.COMPLETED))
            runner.run(log.close())
    assert lines(capsys, "admin", "owners", *db) == ["Nothing."]
    assert "no thread" in lines(capsys, "admin", "show", "thr_1", "--reason", "SUP-7", *db, code=1)[0]


def test_texts_of_others_in_cells() -> None:
    assert cell("a" * 70) == "a" * 59 + "…"
    assert cell("\x1b" * 70).endswith("…")
    assert len(cell("\x1b" * 70)) == 60
    assert cell("a\ud800b") == r"a\ud800b"
    assert plain_line("a\\b\tc\x07") == "a\\b c\\x07"
    assert [age(seconds) for seconds in (None, -1, 5, 119, 120, 7200, 200_000)] == [
        "-",
        "0 s",
        "5 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
    ]
