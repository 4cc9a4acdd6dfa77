"""Which versions can use a database: what migrations declare, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit._migrations import is_usable, list_migrations, usable_since
from chatkit._postgres import schema
from chatkit._sqlite import connection_thread

FOLDERS = {schema.MIGRATIONS: 7, connection_thread.MIGRATIONS: 8}
"""Each with the first version that can be told what it can use."""


def since(folder: Path, *heads: str) -> int:
    for number, head in enumerate(heads, 1):
        (folder / f"{number:04}_some.sql").write_text(f"{head}\n\nCREATE TABLE t{number} (a TEXT);\n")
    return usable_since(list_migrations(folder))


def test_a_migration_is_for_versions_that_know_it_unless_it_says_more(tmp_path: Path) -> None:
    assert since(tmp_path) == 0
    assert since(tmp_path, "-- First.") == 1
    assert since(tmp_path, "-- First.", "-- Second.") == 2
    assert since(tmp_path, "-- First.", "-- Second.", "-- Third.\n--\n-- Usable by: 2\n-- More.") == 2
    assert since(tmp_path, "-- First.", "-- Usable by: 1", "-- Usable by: 2") == 2


def test_what_an_earlier_migration_needs_a_later_one_does_not_undo(tmp_path: Path) -> None:
    assert since(tmp_path, "-- First.", "-- Second.", "-- Usable by: 1") == 2


@pytest.mark.parametrize(
    "head",
    [
        "CREATE TABLE a (b TEXT);\n-- Usable by: 1",
        "-- Usable by: all",
        "-- usable by: 1",
        "SELECT '\n-- Usable by: 1\n';",
        "\n-- Usable by: 1",
    ],
)
def test_only_the_head_comment_declares(tmp_path: Path, head: str) -> None:
    assert since(tmp_path, "-- First.", head) == 2


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_the_migrations_declare_is_read(folder: Path) -> None:
    migrations = list_migrations(folder)
    for number, migration in enumerate(migrations, 1):
        alone = usable_since(migrations[:number])
        assert FOLDERS[folder] <= alone <= number or number < FOLDERS[folder]
        assert ("usable by:" in migration.read_text("utf-8").lower()) == (alone < number), migration.name


def test_a_newer_database_is_usable_where_it_says_so() -> None:
    assert is_usable(7, None, known=7)
    assert is_usable(6, 7, known=7)
    assert not is_usable(8, None, known=7)
    assert not is_usable(8, 8, known=7)
    assert is_usable(8, 7, known=7)
    assert is_usable(9, 6, known=7)
