"""What a folder of files promises beyond the contract."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

import chatkit.files.folder as module
from chatkit.errors import (
    AlreadyUploadedError,
    ConfigurationError,
    LinkExpiredError,
    NotFoundError,
    PermissionDeniedError,
    UploadIncompleteError,
)
from chatkit.files import FileMetadata, LocalFileStore
from tests.files.page import PNG

METADATA = FileMetadata(content_type="image/png", name="a.png", size=len(PNG))


def query_of(url: str) -> dict[str, str]:
    from urllib.parse import parse_qsl, urlsplit

    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def store_at(folder: Path, **options: Any) -> LocalFileStore:
    return LocalFileStore(folder, **{"base_url": "https://chat.example.com/files", "secret": "s", **options})


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_constructor_touches_nothing(tmp_path: Path) -> None:
    store = LocalFileStore(tmp_path / "none")
    assert asyncio.run(store.sweep_orphans()) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["upload_expires_in", "view_expires_in", "orphan_age"])
def test_times_must_be_positive(name: str) -> None:
    with pytest.raises(ConfigurationError):
        LocalFileStore(**{name: 0})


async def test_without_an_address_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="base_url="):
        await LocalFileStore(tmp_path, secret="s").get_preview_url("atc_1")


async def test_links_of_another_secret_are_forged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = query_of(await store_at(tmp_path).get_upload_url("atc_1", METADATA))
    assert store_at(tmp_path, secret=b"s").open_upload("atc_1", query) == METADATA
    with pytest.raises(PermissionDeniedError):
        store_at(tmp_path, secret="t").open_upload("atc_1", query)
    monkeypatch.setenv("CHATKIT_SECRET", "s")
    assert store_at(tmp_path, secret=None).open_upload("atc_1", query) == METADATA


async def test_links_end(tmp_path: Path) -> None:
    now = 1_000_000.0
    store = store_at(tmp_path, clock=lambda: now, upload_expires_in=100, view_expires_in=100)
    upload = query_of(await store.get_upload_url("atc_1", METADATA))
    now += 100
    store.open_upload("atc_1", upload)
    now += 1
    with pytest.raises(LinkExpiredError):
        store.open_upload("atc_1", upload)
    await store.upload("atc_1", PNG, METADATA)
    preview = await store.get_preview_url("atc_1")
    now += 100
    assert store.open_view("atc_1", query_of(preview), preview=True).mime_type == "image/png"
    with pytest.raises(PermissionDeniedError):
        store.open_view("atc_1", query_of(preview), preview=False)
    now += 26
    with pytest.raises(LinkExpiredError):
        store.open_view("atc_1", query_of(preview), preview=True)


async def test_links_of_the_same_while_are_equal(tmp_path: Path) -> None:
    """Or browsers would load each picture again with each look at the thread."""
    now = 1_000_001.0
    store = store_at(tmp_path, clock=lambda: now, view_expires_in=1000)
    first = await store.get_preview_url("atc_1")
    now += 200
    assert await store.get_preview_url("atc_1") == first
    now += 250
    assert await store.get_preview_url("atc_1") != first


async def test_the_path_is_made_from_a_hash(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    metadata = FileMetadata(content_type="text/plain", name="../../x/é.txt", size=1)
    for file_id in ("A", "a", "con", "x" * 255):  # The same path on some systems, or none.
        await store.upload(file_id, file_id[:1].encode(), metadata)
    for file_id in ("A", "a", "con", "x" * 255):
        assert await store.read(file_id) == file_id[:1].encode()
    names = {path.name for path in tmp_path.rglob("*")}
    assert all(
        set(name) <= set("0123456789abcdef")
        for name in names - {"files", "pending", "incoming", "data", "metadata.json"}
    )


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    await store_at(tmp_path / "new").upload("a", PNG, METADATA)
    for path in [tmp_path / "new", *(tmp_path / "new").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


async def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(tmp_path)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_sync", full)
    with pytest.raises(OSError, match="No space left"):
        await store.upload("a", PNG, METADATA)
    assert files_below(tmp_path) == []
    with pytest.raises(NotFoundError):
        await store.read("a")
    monkeypatch.undo()
    await store.upload("a", PNG, METADATA)


async def test_of_writers_at_the_same_time_one_wins(tmp_path: Path) -> None:
    stores = [store_at(tmp_path) for _ in range(8)]
    results = await asyncio.gather(
        *(store.upload("a", bytes([number]) * 1000, METADATA) for number, store in enumerate(stores)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, str) for result in results) == 1
    assert all(isinstance(result, str | AlreadyUploadedError) for result in results)
    content = await stores[0].read("a")
    assert content == content[:1] * 1000
    assert files_below(tmp_path / "incoming") == []


async def test_orphans(tmp_path: Path) -> None:
    now = time.time()
    store = store_at(tmp_path, clock=lambda: now, orphan_age=100)
    for file_id in ("kept", "orphan"):
        await store.upload(file_id, PNG, METADATA)
    await store.claim("kept")
    now += 101
    # A message that names it from now on would come too late.
    with pytest.raises(UploadIncompleteError):
        await store.check_upload("orphan", "image/png")
    assert await store.sweep_orphans() == 0
    now += 60
    assert await store.sweep_orphans() == 1
    await store.check_upload("kept", "image/png")
    assert files_below(tmp_path) == ["data", "metadata.json"]


async def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    left, new = store.make_incoming(), store.make_incoming()
    (left / "body").write_bytes(b"half")
    past = time.time() - 100_000
    os.utime(left, (past, past))
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "torn").write_bytes(b'{"file')
    assert await store.sweep_orphans() == 0
    assert not left.exists()
    assert new.exists()


async def test_a_file_from_another_file_system_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(PNG)
    rename = Path.rename

    def across(path: Path, target: Path) -> Path:
        if path == source:
            raise OSError(18, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", across)
    store = store_at(tmp_path / "files")
    await store.upload_path("a", source, METADATA)
    assert await store.read("a") == PNG
