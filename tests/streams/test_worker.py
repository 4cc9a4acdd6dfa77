"""Telling whether the process that ran a turn is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chatkit.streams import worker as worker_module
from chatkit.streams.worker import Worker

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
    process.communicate(timeout=10)


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
    process.wait(timeout=10)
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


def test_without_the_systems_word_a_process_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_status", lambda _pid: None)
    assert not Worker.current().is_dead()
    assert replace(Worker.current(), pid=2**22 + 1).is_dead()
