"""The how-tos name the files that the last kind of each sort is found in, and their store passes the contract."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatkit._migrations import list_migrations, usable_since
from chatkit._sqlite import connection_thread
from chatkit.store import SQLiteStore
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "how-to"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
LARGEST_WAY = 12

# What shows a kind, or yields it as applications do, and what is not written by hand.
SHOWS = (
    "src/chatkit/agents/",
    "src/chatkit/cli/",
    "src/chatkit/demo/",
    "src/chatkit/frameworks/",
    "src/chatkit/testing/",
    "src/chatkit/web/static/",
)
SHOWS_UI = (
    "ui/src/views/",
    "ui/src/strings/",
    "ui/src/styles/",
    "ui/src/controllers/",
    "ui/src/resumable/",
    "ui/src/gallery",
)


def named_files(page: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", (FOLDER / page).read_text(), re.MULTILINE))


def files_with(pattern: str, *, apart_from: tuple[str, ...] = ()) -> set[str]:
    files = [*(ROOT / "src/chatkit").rglob("*.py"), *(ROOT / "ui/src").rglob("*.ts")]
    return {
        name
        for path in files
        if not (name := path.relative_to(ROOT).as_posix()).startswith(apart_from)
        and ".test." not in name
        and re.search(pattern, path.read_text(encoding="utf-8"))
    }


def count(files: set[str], folder: str) -> int:
    return len([name for name in files if name.startswith(folder)])


def test_named_files_exist() -> None:
    named = set().union(*(named_files(page.name) for page in FOLDER.glob("*.md")))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_architecture_names_modules_that_exist() -> None:
    paths = set(re.findall(r"`([\w/]+(?:\.py|/))`", ARCHITECTURE.read_text())) - {"src/chatkit/"}
    drawn = set(re.findall(r"\d+ ([\w/]+(?:\.py|/))<", ARCHITECTURE.with_suffix(".svg").read_text()))
    assert len(drawn) == LARGEST_WAY
    missing = {
        path
        for path in paths
        if not (ROOT / path).exists()
        and not (ROOT / "src/chatkit" / path).exists()
        # A row of the layers names files that several packages have.
        and not list((ROOT / "src/chatkit").glob(f"*/{path}"))
    }
    assert missing == set()
    assert {name for name in drawn if not any(name in path for path in paths)} == set()


def test_a_message_goes_at_most_twelve_steps() -> None:
    section = ARCHITECTURE.read_text().partition("## One message's way")[2].partition("\n## ")[0]
    steps = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert len(steps) == LARGEST_WAY
    assert [step for step in steps if not re.search(r"`[\w/]+\.py`", step)] == []


# These two follow one kind through the sources, so they only mean something once the layout is there.


def test_an_event_kind_is_where_the_how_to_says() -> None:
    found = files_with(r"\bNoticeEvent\b|\"notice\"", apart_from=SHOWS + SHOWS_UI)
    assert found == named_files("add-an-event-kind.md")
    assert count(found, "src/") <= 4
    assert count(found, "ui/src/") <= 2


def test_a_request_type_is_where_the_how_to_says() -> None:
    # Hosted ChatKit counts some kinds apart; one that it does not name is counted like a message.
    apart = (*SHOWS, *SHOWS_UI, "src/chatkit/hosted/")
    found = files_with(r"\b(TurnsStopReq|TurnStopParams)\b|\"turns\.stop\"", apart_from=apart)
    assert found == named_files("add-a-request-type.md")
    server = found - {"src/chatkit/client/turns.py"}
    assert count(server, "src/") <= 3
    assert count(found, "ui/src/") <= 1


def test_a_stream_backend_is_where_the_how_to_says() -> None:
    found = files_with(r"\bRedis(Backend|StreamLog)\b", apart_from=("src/chatkit/testing/",))
    assert found == named_files("add-a-stream-backend.md")
    assert count(found, "src/") <= 3


def test_the_migration_of_the_how_to_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = re.findall(
        r"^```text\n(-- .*?)^```$", (FOLDER / "add-a-migration.md").read_text(), re.MULTILINE | re.DOTALL
    )
    before = list_migrations(connection_thread.MIGRATIONS)
    folder = shutil.copytree(connection_thread.MIGRATIONS, tmp_path / "migrations")
    (folder / f"{len(before) + 1:04}_pinned.sql").write_text(script)
    monkeypatch.setattr(connection_thread, "MIGRATIONS", folder)

    async def versions() -> tuple[int, int]:
        store = SQLiteStore(tmp_path / "chat.db")
        try:
            return await store.database.migrate(), await store.database.usable_since()
        finally:
            await store.close()

    # What it says, unless an earlier one says more.
    assert asyncio.run(versions()) == (len(before) + 1, max(8, usable_since(before)))


def test_the_store_of_the_how_to_passes_the_contract(tmp_path: Path) -> None:
    text = (FOLDER / "add-a-store.md").read_text()
    programs = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert set(programs) == {"team_store.py", "test_team_store.py"}
    for name, program in programs.items():
        (tmp_path / name).write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_team_store.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=scaled(100), check=False
    )
    assert done.returncode == 0, done.stdout
    imported = re.findall(r"^from (chatkit\S*) import", "".join(programs.values()), re.MULTILINE)
    assert set(imported) == {"chatkit.errors", "chatkit.store", "chatkit.testing", "chatkit.types"}
