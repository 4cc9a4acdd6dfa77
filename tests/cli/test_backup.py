"""``chatkit backup`` and ``chatkit restore`` on databases that are in use, and ``chatkit migrate --check``."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from chatkit.cli.backup import backup, restore
from chatkit.cli.options import CommandError
from tests.cli.processes import run, serving
from tests.cli.test_serve import hello, titles
from tests.support.scale import scaled


def attach(url: str, content: bytes) -> str:
    """Uploads a file, sends it with a message, and returns the address of its content."""
    params = {"name": "a.txt", "size": len(content), "mime_type": "text/plain"}
    with httpx2.Client(timeout=scaled(20)) as client:
        made = client.post(url, json={"type": "attachments.create", "params": params}).json()
        where = made["upload_descriptor"]
        client.request(
            where["method"], where["url"], content=content, headers=where["headers"]
        ).raise_for_status()
        given = {
            "content": [{"type": "input_text", "text": "help"}],
            "attachments": [made["id"]],
            "inference_options": {},
        }
        client.post(url, json={"type": "threads.create", "params": {"input": given}}).raise_for_status()
    return str(made["id"])


def test_a_copy_that_is_made_while_messages_come_is_whole_and_serves(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with serving("--port", "0", folder=here) as server:
        attachment = attach(server.url, b"what the file says")
        hello(server.url)
        over = threading.Event()

        def talk() -> None:
            while not over.is_set():
                hello(server.url)

        talking = [threading.Thread(target=talk) for _ in range(3)]
        for thread in talking:
            thread.start()
        try:
            done = run("backup", str(tmp_path / "copy"), folder=here)
        finally:
            over.set()
            for thread in talking:
                thread.join(scaled(30))
        assert (done.stderr, done.returncode) == ("", 0)
        assert "1 files of attachments" in done.stdout
        count = len(titles(server.url))
    about = json.loads((tmp_path / "copy" / "backup.json").read_text())
    assert about["files"] == 1
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    done = run("restore", str(tmp_path / "copy"), folder=there)
    assert (done.stderr, done.returncode) == ("", 0)
    assert (there / "chatkit.db").stat().st_mode & 0o777 == 0o600
    with serving("--port", "0", folder=there) as server:
        # Those of before, and of the messages that came meanwhile, a beginning.
        assert 2 <= len(titles(server.url)) <= count
        listed = httpx2.post(
            server.url, json={"type": "threads.list", "params": {"limit": 100, "order": "asc"}}
        ).json()
        body = {"type": "threads.get_by_id", "params": {"thread_id": listed["data"][0]["id"]}}
        items = httpx2.post(server.url, json=body).json()["items"]["data"]
        [kept] = next(item for item in items if item["type"] == "user_message")["attachments"]
        assert kept["id"] == attachment
        files = [path for path in (there / "chatkit-files").rglob("data") if path.is_file()]
        assert [path.read_bytes() for path in files] == [b"what the file says"]
    with closing(sqlite3.connect(there / "chatkit.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the working folder, with a database of one table, its files, and a backup of both."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("chat.db")) as database:
        database.execute("CREATE TABLE t (text)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
        database.commit()
    place = Path("chat-files/files/ab/abcd")
    place.mkdir(parents=True)
    (place / "data").write_bytes(b"content")
    Path("chat-files/incoming").mkdir()
    Path("chat-files/incoming/half").write_bytes(b"half")
    assert backup("chat.db", None, "copy") == 0
    return tmp_path


def test_nothing_that_is_there_is_written_over(copied: Path) -> None:
    with pytest.raises(CommandError, match="copy exists"):
        backup("chat.db", None, "copy")
    with pytest.raises(CommandError, match=r"chat\.db exists"):
        restore("copy", "chat.db", None)
    with pytest.raises(CommandError, match="chat-files exists"):
        restore("copy", "other.db", "chat-files")
    assert not (copied / "other.db").exists()
    assert not (copied / "copy/files/incoming").exists(), "what was not taken so far"


def test_what_is_no_backup_or_is_damaged_is_not_restored(copied: Path) -> None:
    with pytest.raises(CommandError, match="is no backup"):
        restore("chat-files", "new.db", None)
    data = bytearray((copied / "copy/chat.db").read_bytes())
    data[8192:9000] = b"\xff" * 808
    (copied / "copy/chat.db").write_bytes(data)
    with pytest.raises(CommandError, match="cannot be copied, or is damaged"):
        restore("copy", "new.db", None)
    assert not list(copied.glob("new*"))


def test_a_copy_that_cannot_be_made_leaves_nothing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(CommandError, match="No space left on device"):
        backup("chat.db", None, "another")
    assert not list(copied.glob("another*"))
    with pytest.raises(CommandError, match="There is no database"):
        backup("none.db", None, "third")


def test_files_may_be_left_out(copied: Path) -> None:
    assert backup("chat.db", "off", "without") == 0
    assert not (copied / "without/files").exists()
    assert restore("without", "new.db", None) == 0
    assert restore("copy", "newer.db", "off") == 0
    assert not (copied / "newer-files").exists()


def test_a_server_and_a_bucket_have_their_own_tools(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = "postgresql://user:secret@host/name"
    with pytest.raises(CommandError, match="pg_dump"):
        backup(server, None, "another")
    with pytest.raises(CommandError, match="pg_restore"):
        restore("copy", server, None)
    assert backup("chat.db", "s3://bucket", "fourth") == 0
    assert "The bucket is not copied" in capsys.readouterr().out


def test_whether_there_is_something_to_migrate(tmp_path: Path) -> None:
    done = run("migrate", "--check", folder=tmp_path)
    assert done.returncode == 1
    assert "has no schema so far" in done.stdout
    assert not (tmp_path / "chatkit.db").exists()
    assert run("migrate", folder=tmp_path).returncode == 0
    done = run("migrate", "--check", folder=tmp_path)
    assert done.returncode == 0
    with closing(sqlite3.connect(tmp_path / "chatkit.db")) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version - 1}")
    done = run("migrate", "--check", folder=tmp_path)
    assert done.returncode == 1
    assert (
        f"is at schema version {version - 1}; 'chatkit migrate' brings it to version {version}" in done.stdout
    )
