"""Files that were claimed for a message that is not stored are found by the sweep, whatever failed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.files import LocalFileStore
from chatkit.server import server as server_module
from chatkit.types import AttachmentCreateParams
from tests.server.support import ADA, LIMIT, ScriptedServer, drain, hello, user_input, writes_apart


class Clock:
    """Seconds since 1970, as the file store has them."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class AwayFiles(LocalFileStore):
    """A file store that cannot be reached from some call on.

    Attributes:
        calls: How many claims still succeed; None does not count.
        away: Whether nothing else succeeds.
    """

    calls: int | None = None
    away = False

    async def claim(self, file_id: str) -> None:
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                self.away = True
        self._reach()
        await super().claim(file_id)

    async def release(self, file_id: str) -> None:
        self._reach()
        await super().release(file_id)

    async def delete(self, file_id: str) -> None:
        self._reach()
        await super().delete(file_id)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailableError("The bucket is away.")


async def uploaded(server: ScriptedServer, path: Path, name: str) -> str:
    source = path / name
    source.write_bytes(b"hi\n")
    params = AttachmentCreateParams(name=name, size=3, mime_type="text/plain")
    return json.loads((await server.upload_attachment(params, source, ADA)).json)["id"]


async def swept(server: ScriptedServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets sweeps come by for two days; records are as old as they are at once."""
    monkeypatch.setattr(server_module, "_SWEEP_DELAY_SECONDS", -90_000.0)
    for _ in range(3):
        await server.sweep_orphans()
        clock.now += 90_000


def files_in(path: Path) -> list[Path]:
    return [found for found in (path / "files").rglob("data") if found.is_file()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path, clock: Clock) -> AwayFiles:
    return AwayFiles(tmp_path, base_url="http://127.0.0.1/files", clock=clock)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("create", [True, False])
async def test_a_file_store_that_goes_away_as_files_are_claimed_keeps_none_for_ever(
    apart: bool,
    create: bool,
    store: Any,
    tmp_path: Path,
    clock: Clock,
    files: AwayFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = writes_apart(store) if apart else store
    server = ScriptedServer(hello, store, files)
    thread_id = await server.new_thread()
    sent = [await uploaded(server, tmp_path, name) for name in ("a.txt", "b.txt")]
    both = {entry for _, entry in await store.unclaimed_attachments(-1)}
    assert both == set(sent)
    assert len(files_in(tmp_path)) == 2
    given = user_input("Look", attachments=sent)
    place = {} if create else {"thread_id": thread_id}
    files.calls = 1
    kind = "threads.create" if create else "threads.add_user_message"
    with pytest.raises(StoreUnavailableError):
        await drain(await server.send(kind, ADA, **place, input=given))
    files.calls, files.away = None, False
    assert {entry for _, entry in await store.unclaimed_attachments(-1)} == both
    await swept(server, clock, monkeypatch)
    assert files_in(tmp_path) == []
    assert await store.unclaimed_attachments(-1) == []


async def test_they_can_be_sent_again(tmp_path: Path, files: AwayFiles, store: Any) -> None:
    server = ScriptedServer(hello, store, files)
    attachment_id = await uploaded(server, tmp_path, "a.txt")
    given = user_input("Look", attachments=[attachment_id])
    files.calls = 0
    with pytest.raises(StoreUnavailableError):
        await server.send("threads.create", ADA, input=given)
    files.calls, files.away = None, False
    result = await server.send("threads.create", ADA, input=given)
    await drain(result)
    (message,) = [item for item in await server.items(result.thread_id) if item.type == "user_message"]
    assert [entry.id for entry in message.attachments] == [attachment_id]


async def test_a_copy_that_was_claimed_for_nothing_goes_too(
    tmp_path: Path, clock: Clock, files: AwayFiles, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer(hello, store, files)
    attachment_id = await uploaded(server, tmp_path, "a.txt")
    given = user_input("Look", attachments=[attachment_id])
    result = await server.send("threads.create", ADA, input=given)
    await drain(result)

    async def fails(*_: Any) -> Any:
        files.away = True
        raise StoreUnavailableError("The database is away.")

    # Its other thread has a copy of its own.
    with monkeypatch.context() as patch:
        patch.setattr(store, "accept_turn", fails)
        with pytest.raises(StoreUnavailableError):
            await server.send("threads.create", ADA, input=given)
    files.away = False
    assert len(files_in(tmp_path)) == 2
    await swept(server, clock, monkeypatch)
    assert len(files_in(tmp_path)) == 1
    assert await files.read(attachment_id) == b"hi\n"


async def test_a_file_is_not_freed_whose_message_comes_during_the_sweep(
    tmp_path: Path, store: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()

    class Slow(LocalFileStore):
        async def release(self, file_id: str) -> None:
            if not gate.is_set():
                reached.set()
                await gate.wait()
            await super().release(file_id)

    files = Slow(tmp_path, base_url="http://127.0.0.1/files", clock=clock)
    server = ScriptedServer(hello, store, files)
    for name in ("a.txt", "b.txt"):
        await uploaded(server, tmp_path, name)
    monkeypatch.setattr(server_module, "_SWEEP_DELAY_SECONDS", -90_000.0)
    sweep = asyncio.create_task(server.sweep_orphans())
    async with asyncio.timeout(LIMIT):
        await reached.wait()
        (_, second) = [attachment_id for _, attachment_id in await store.unclaimed_attachments(-1)]
        await drain(await server.send("threads.create", ADA, input=user_input("Look", attachments=[second])))
        gate.set()
        await sweep
    clock.now += 90_000
    await server.sweep_orphans()
    assert await files.read(second) == b"hi\n"
