"""``chatkit migrate`` and ``chatkit serve`` on a real PostgreSQL server."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from chatkit._migrations import list_migrations, usable_since
from chatkit._postgres.schema import MIGRATIONS
from tests.cli.processes import run, serving
from tests.cli.test_serve import hello, titles
from tests.support.postgres import on_server

NEWEST = max(int(path.name.partition("_")[0]) for path in MIGRATIONS.glob("0*.sql"))
SINCE = usable_since(list_migrations(MIGRATIONS))
FOR_WHOM = f"Workers that know version {SINCE} or a later one can start on it."


def place(url: str) -> str:
    parts = urlsplit(url)
    return f"the PostgreSQL database {parts.path[1:]} at {parts.hostname}:{parts.port}"


def test_migrate_creates_then_has_nothing_to_do(postgres_database: str, tmp_path: Path) -> None:
    shown = place(postgres_database).replace("the", "The", 1)
    first = run("migrate", "--db", postgres_database, folder=tmp_path)
    assert first.stdout == f"{shown}: created, at schema version {NEWEST}. {FOR_WHOM}\n", first.stderr
    second = run("migrate", folder=tmp_path, CHATKIT_DB=postgres_database)
    assert second.stdout == f"{shown}: is at schema version {NEWEST} already. {FOR_WHOM}\n"
    assert list(tmp_path.iterdir()) == []


def test_migrate_brings_an_older_database_up_to_date(postgres_database: str, tmp_path: Path) -> None:
    oldest = min(MIGRATIONS.glob("0*.sql")).read_text("utf-8")
    on_server(postgres_database, lambda connection: connection.execute(oldest))
    on_server(postgres_database, lambda c: c.execute("UPDATE chatkit.schema_version SET version = 1"))
    done = run("migrate", "--db", postgres_database, folder=tmp_path)
    assert f": migrated from schema version 1 to {NEWEST}. {FOR_WHOM}\n" in done.stdout, done.stderr
    version = on_server(postgres_database, lambda c: c.fetchval("SELECT version FROM chatkit.schema_version"))
    assert version == NEWEST


def test_serve_keeps_threads_in_the_database(postgres_database: str, tmp_path: Path) -> None:
    # Both spellings of the scheme are in use.
    for round_, url in enumerate(
        (postgres_database, f"postgres{postgres_database.removeprefix('postgresql')}")
    ):
        with serving("--port", "0", "--db", url, folder=tmp_path) as server:
            assert f"Threads are kept in {place(postgres_database)}." in server.announcement
            hello(server.url)
            assert titles(server.url) == ["help"] * (round_ + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["chatkit-files"], "no SQLite file"


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"postgres:{password}@{parts.hostname}:{parts.port}"))


@pytest.mark.parametrize("command", [["migrate"], ["serve", "--port", "0"]])
def test_what_is_wrong_with_the_database_is_said_in_one_line(
    command: list[str], postgres_database: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    for url, expected in {
        with_password(postgres_database, "Wrong-1"): "password authentication failed",
        f"{postgres_database}_of_nobody": "does not exist",
        f"postgresql://postgres:Secret-1@127.0.0.1:{free}/chat": "cannot be reached: check that it runs",
        "postgresql://postgres:Secret-1@127.0.0.1:none/chat": "Correct the connection string",
        # Not percent-encoded: the driver takes what is before the mark for a port.
        **{
            f"postgresql://postgres:Secret-1{mark}Secret-1@127.0.0.1/chat": "write %23 for # in a password"
            for mark in "#/?"
        },
    }.items():
        done = run(*command, folder=tmp_path, CHATKIT_DB=url)
        assert done.returncode == 1
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "Wrong-1" not in done.stderr
        assert "Secret-1" not in done.stderr


@pytest.mark.parametrize("command", [["migrate"], ["serve", "--port", "0"]])
def test_without_the_driver_the_extra_is_named(command: list[str], tmp_path: Path) -> None:
    tmp_path.joinpath("asyncpg.py").write_text("raise ImportError('not here')\n")
    done = run(
        *command, "--db", "postgresql://localhost/chat", folder=tmp_path, cold=True, PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 1
    assert re.search(r"pip install '\S+\[postgres\]'", done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["migrate"], ["serve", "--port", "0"]])
@pytest.mark.parametrize("scheme", ["postgresql+asyncpg://", "mysql://", "sqlite:///", "postgres:/"])
def test_a_database_of_another_kind_is_no_file(command: list[str], scheme: str, tmp_path: Path) -> None:
    done = run(*command, folder=tmp_path, CHATKIT_DB=f"{scheme}u:Secret-1@127.0.0.1/chat")
    assert done.returncode == 1
    assert "the path of an SQLite file, or postgresql://" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Secret-1" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "no folder that is called like a password"
