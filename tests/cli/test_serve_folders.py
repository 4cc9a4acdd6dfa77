"""Where ``chatkit serve`` puts things: folders that were asked for, and nothing that other users can read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.processes import run, serving
from tests.cli.test_serve import hello
from tests.support.scale import scaled


@pytest.mark.parametrize(
    "arguments", [("--db", "dtaa/chat.db"), ("--db", "chat.db", "--files", "dtaa/files")], ids=["db", "files"]
)
def test_a_folder_that_does_not_exist_is_asked_for(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run("serve", *arguments, "--port", "0", folder=tmp_path)
    assert done.returncode == 1
    assert f"mkdir -p {tmp_path / 'dtaa'}" in done.stderr
    assert "--create" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dtaa").exists()


def test_a_folder_is_made_where_that_is_asked_for(tmp_path: Path) -> None:
    with serving("--db", "data/deep/chat.db", "--create", "--port", "0", folder=tmp_path) as server:
        hello(server.url)
    assert (tmp_path / "data/deep/chat.db").exists()


def test_only_the_own_user_reads_what_is_kept(tmp_path: Path) -> None:
    with serving("--port", "0", folder=tmp_path) as server:
        hello(server.url)
        kept = [path for path in tmp_path.rglob("*") if not path.name.startswith(".")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept}
    assert {"chatkit.db", "chatkit.db-wal", "chatkit.db-shm", "chatkit-files"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_a_database_that_all_can_read_is_left_and_told(tmp_path: Path) -> None:
    path = tmp_path / "chatkit.db"
    path.touch(0o644)
    path.chmod(0o644)
    with serving("--port", "0", folder=tmp_path) as server:
        hello(server.url)
        server.process.terminate()
        server.process.wait(scaled(30))
        assert server.process.stderr is not None
        assert f"chmod 600 {path.name}" in server.process.stderr.read()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
