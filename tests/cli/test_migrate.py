"""``chatkit migrate`` on real files."""

import sqlite3
from contextlib import closing
from pathlib import Path

from chatkit._migrations import list_migrations, usable_since
from chatkit._sqlite.connection_thread import MIGRATIONS
from tests.cli.processes import run
from tests.support.later_schema import later_migrations

NEWEST = max(int(path.name.partition("_")[0]) for path in MIGRATIONS.glob("0*.sql"))
SINCE = usable_since(list_migrations(MIGRATIONS))
FOR_WHOM = f"Workers that know version {SINCE} or a later one can start on it."


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_creates_then_has_nothing_to_do(tmp_path: Path) -> None:
    first = run("migrate", folder=tmp_path)
    assert (first.returncode, first.stdout) == (
        0,
        f"chatkit.db: created, at schema version {NEWEST}. {FOR_WHOM}\n",
    )
    assert version(tmp_path / "chatkit.db") == NEWEST
    second = run("migrate", folder=tmp_path, CHATKIT_DB="chatkit.db")
    assert second.stdout == f"chatkit.db: is at schema version {NEWEST} already. {FOR_WHOM}\n"


def test_brings_an_older_database_up_to_date(tmp_path: Path) -> None:
    assert run("migrate", "--db", "new.db", folder=tmp_path).returncode == 0
    # What the first migration alone leaves behind, as an older release would have.
    first = min(MIGRATIONS.glob("*.sql")).read_text()
    with closing(sqlite3.connect(tmp_path / "new.db")) as new:
        application_id = new.execute("PRAGMA application_id").fetchone()[0]
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        (tmp_path / "old.db").chmod(0o600)
        old.executescript(first)
        old.execute("PRAGMA user_version = 1")
        old.execute(f"PRAGMA application_id = {application_id}")
        old.commit()
    done = run("migrate", "--db", "old.db", folder=tmp_path)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == f"old.db: migrated from schema version 1 to {NEWEST}. {FOR_WHOM}\n"
    assert version(tmp_path / "old.db") == NEWEST


def test_a_database_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    later = later_migrations(MIGRATIONS, tmp_path) / f"{NEWEST + 1:04}_later.sql"
    assert run("migrate", folder=tmp_path).returncode == 0
    with closing(sqlite3.connect(tmp_path / "chatkit.db")) as newer, newer:
        newer.executescript(later.read_text("utf-8"))
        newer.execute(f"PRAGMA user_version = {NEWEST + 1}")
        newer.execute("UPDATE usable_since SET version = ?", [NEWEST])
    done = run("migrate", folder=tmp_path)
    for_whom = f"Workers that know version {NEWEST} or a later one can start on it."
    assert done.stdout == f"chatkit.db: is at schema version {NEWEST + 1} already. {for_whom}\n", done.stderr
    with closing(sqlite3.connect(tmp_path / "chatkit.db")) as newer, newer:
        newer.execute("UPDATE usable_since SET version = ?", [NEWEST + 1])
    done = run("migrate", folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"this version of the package knows {NEWEST} at most" in done.stderr
    assert version(tmp_path / "chatkit.db") == NEWEST + 1


def test_leaves_other_files_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("These are not a database, but they are long enough to be looked at. " * 20)
    before = text.read_bytes()
    done = run("migrate", "--db", "notes.txt", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert text.read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE threads (mine TEXT)")
        other.commit()
    done = run("migrate", "--db", "other.db", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
