"""Previews in the background: owners take turns, and a picture that takes too long is given up."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chatkit.files import FileMetadata, LocalFileStore, preview_queue, thumbnails
from chatkit.files.preview_queue import PreviewQueue
from chatkit.files.thumbnails import previews_for
from tests.files.pictures import as_file, gradient, many_scans, opened
from tests.support.scale import scaled

PHOTO = as_file(gradient(1600, 800), "JPEG")
SECONDS = scaled(30)


def source(order: list[str], name: str, content: bytes = PHOTO) -> Callable[[], bytes]:
    def load() -> bytes:
        order.append(name)
        return content

    return load


def hold_up(queue: PreviewQueue) -> threading.Event:
    """Occupies the queue's one process until the event is set."""
    free, begun = threading.Event(), threading.Event()

    def load() -> bytes:
        begun.set()
        free.wait(SECONDS)
        return b""

    queue.add("mallory", load, "JPEG", 640, lambda _: None)
    assert begun.wait(SECONDS)
    return free


def test_owners_take_turns() -> None:
    queue = PreviewQueue(processes=1)
    free, order, made = hold_up(queue), list[str](), list[bytes]()
    jobs = [
        queue.add(name.partition(" ")[0], source(order, name), "JPEG", 640, made.append)
        for name in ("ada 0", "ada 1", "ada 2", "bob 0", "bob 1", "cleo")
    ]
    free.set()
    for job in jobs:
        job.result(SECONDS)
    assert order == ["ada 0", "bob 0", "cleo", "ada 1", "bob 1", "ada 2"]
    assert [opened(small).size for small in made] == [(640, 320)] * 6


def test_an_owner_has_only_so_many_waiting(caplog: pytest.LogCaptureFixture) -> None:
    queue = PreviewQueue(processes=1, waiting_per_owner=2)
    free, order = hold_up(queue), list[str]()
    jobs = [queue.add("ada", source(order, str(n)), "JPEG", 640, lambda _: None) for n in range(4)]
    jobs.append(queue.add("bob", source(order, "bob"), "JPEG", 640, lambda _: None))
    free.set()
    for job in jobs:
        job.result(SECONDS)
    assert sorted(order) == ["0", "1", "bob"]
    assert caplog.text.count("one more has none") == 2


def test_a_picture_that_takes_too_long_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    # Long enough to be within the bound on scans, and longer than the queue has patience.
    slow = many_scans(8000, 10)
    queue = PreviewQueue(processes=1, seconds=0.3)
    made: list[bytes] = []
    queue.add("ada", lambda: slow, "JPEG", 640, made.append).result(SECONDS)
    assert not made
    assert "longer than 0.3 s" in caplog.text


def test_the_program_gets_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys; sys.stdout.write(' '.join(sorted(os.environ)))")
    monkeypatch.setattr(preview_queue, "_PROGRAM", program)
    monkeypatch.setenv("CHATKIT_SECRET", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    told: list[bytes] = []
    PreviewQueue().add("", lambda: PHOTO, "JPEG", 640, told.append).result(SECONDS)
    names = told[0].decode().split()
    assert "PATH" in names
    assert not {"CHATKIT_SECRET", "OPENAI_API_KEY"} & set(names)


@pytest.mark.parametrize("what", ["load", "keep", "program"])
def test_whatever_fails_the_next_picture_has_its_preview(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queue = PreviewQueue(processes=1)

    def fail(*_: object) -> bytes:
        raise OSError("the disk is full")

    made: list[bytes] = []
    if what == "program":
        with monkeypatch.context() as patch:
            patch.setattr(preview_queue, "_PROGRAM", tmp_path / "gone.py")
            queue.add("a", lambda: PHOTO, "JPEG", 640, made.append).result(SECONDS)
    elif what == "load":
        queue.add("a", fail, "JPEG", 640, made.append).result(SECONDS)
    else:
        queue.add("a", lambda: PHOTO, "JPEG", 640, fail).result(SECONDS)
    assert "disk is full" in caplog.text or "gone.py" in caplog.text
    queue.add("a", lambda: PHOTO, "JPEG", 640, made.append).result(SECONDS)
    assert len(made) == 1


async def test_a_file_is_stored_before_its_preview_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queue = PreviewQueue(processes=1)
    free = hold_up(queue)
    monkeypatch.setattr(thumbnails, "_queue", lambda: queue)
    monkeypatch.setattr(thumbnails.wait_briefly, "__defaults__", (0.01,))
    files = LocalFileStore(tmp_path, base_url="http://x", secret="s")
    metadata = FileMetadata(content_type="image/jpeg", name="a.jpg", size=len(PHOTO))
    with previews_for("ada"):
        await files.upload("a", PHOTO, metadata)
    await files.check_upload("a", "image/jpeg")
    query = dict(part.split("=") for part in (await files.get_preview_url("a")).partition("?")[2].split("&"))
    early = files.open_view("a", query, preview=True)
    assert early.path.read_bytes() == PHOTO
    # Nobody keeps it for long, for the small one is still to come.
    assert early.expires_at <= files.now() + 60
    free.set()
    queue.add("ada", lambda: b"", "JPEG", 640, lambda _: None).result(SECONDS)
    late = files.open_view("a", query, preview=True)
    assert opened(late.path.read_bytes()).size == (640, 320)
    assert late.expires_at > files.now() + 3600


async def test_a_file_that_was_deleted_meanwhile_leaves_no_preview(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queue = PreviewQueue(processes=1)
    free = hold_up(queue)
    monkeypatch.setattr(thumbnails, "_queue", lambda: queue)
    monkeypatch.setattr(thumbnails.wait_briefly, "__defaults__", (0.01,))
    files = LocalFileStore(tmp_path, base_url="http://x", secret="s")
    await files.upload("a", PHOTO, FileMetadata(content_type="image/jpeg", name="a.jpg", size=len(PHOTO)))
    await files.delete("a")
    free.set()
    queue.add("", lambda: b"", "JPEG", 640, lambda _: None).result(SECONDS)
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_makes_previews_of_its_own() -> None:
    parent = thumbnails._queue()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"1" if thumbnails._queue() is not parent else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    os.close(writing)
