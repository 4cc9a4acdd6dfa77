"""Telling whether the process that ran a turn is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chatkit.streams import worker as worker_module
from chatkit.streams.worker import Worker, is_on_network
from tests.support.scale import scaled

TELL = "from chatkit.streams.worker import Worker; w = Worker.current(); print(w.place, w.pid, w.started, sep='|')"


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], Worker]]:
    process = subprocess.Popen(
        [sys.executable, "-c", f"{TELL}; import sys; sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    place, pid, started = process.stdout.readline().strip().split("|")
    yield process, Worker(place, int(pid), started)
    process.kill()
    process.communicate(timeout=scaled(10))


def test_the_present_process_is_alive() -> None:
    here = Worker.current()
    assert here.pid == os.getpid()
    assert not here.is_dead()
    assert Worker.current() == here


def test_a_child_is_alive_until_it_is_killed(child: tuple[subprocess.Popen[str], Worker]) -> None:
    process, worker = child
    assert worker.pid == process.pid
    assert worker.place == Worker.current().place
    assert not worker.is_dead()
    process.kill()
    process.wait(timeout=scaled(10))
    assert worker.is_dead()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the state of a process")
def test_a_killed_child_is_dead_before_its_parent_has_asked_for_it(
    child: tuple[subprocess.Popen[str], Worker],
) -> None:
    process, worker = child
    process.send_signal(signal.SIGKILL)
    # Waits for the end, and leaves the dead process in the table.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert worker.is_dead()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells when a process started")
def test_a_later_process_with_the_same_number_is_another() -> None:
    assert replace(Worker.current(), started="1").is_dead()


def test_a_process_of_another_machine_is_never_known_to_be_dead() -> None:
    assert not Worker("elsewhere", 2**22 + 1, "1").is_dead()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells of its boots")
def test_a_process_from_before_the_machine_was_started_again_is_dead() -> None:
    here = Worker.current()
    host, _, processes = here.place.split(" ")
    assert replace(here, place=f"{host} another-boot {processes}").is_dead()
    assert not replace(here, place=f"elsewhere another-boot {processes}").is_dead()
    boot = here.place.split(" ")[1]
    assert not replace(here, place=f"{host} {boot} another-container").is_dead()


def test_without_the_systems_word_a_process_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_status", lambda _pid: None)
    assert not Worker.current().is_dead()
    assert replace(Worker.current(), pid=2**22 + 1).is_dead()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the state of a process")
def test_a_child_that_is_stopped_is_suspended(child: tuple[subprocess.Popen[str], Worker]) -> None:
    process, worker = child
    assert not worker.is_suspended()
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert worker.is_suspended()
    assert not worker.is_dead()
    process.send_signal(signal.SIGCONT)


def test_file_systems_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_PROC", tmp_path)
    assert not is_on_network("/srv/share/chat.db"), "where the system does not tell"
    mounts = [
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
        "40 22 0:50 / /srv/share rw - nfs4 host:/share rw",
        "41 40 8:1 / /srv/share/local rw shared:1 - xfs /dev/sda1 rw",
        r"42 22 0:51 / /srv/my\040files rw - cifs //host/files rw",
    ]
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text("\n".join(mounts))
    assert is_on_network("/srv/share/chats/chat.db")
    assert is_on_network("/srv/my files/chat.db")
    assert not is_on_network("/srv/share/local/chat.db")
    assert not is_on_network("/var/chat.db")


@pytest.mark.parametrize(
    "kind",
    ["fuse.s3fs", "fuse.rclone", "fuse.juicefs", "beegfs", "gpfs", "vboxsf"],
)
def test_more_file_systems_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(worker_module, "_PROC", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(f"40 22 0:50 / /srv/share rw - {kind} source rw")
    assert is_on_network("/srv/share/chat.db")
