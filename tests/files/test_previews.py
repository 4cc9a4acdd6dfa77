"""Previews of pictures through the application, over each kind of file store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.files import FileMetadata, LocalFileStore, S3FileStore
from chatkit.store import MemoryStore
from tests.files.page import Page, make_app, pages
from tests.files.pictures import as_file, bomb, gradient, opened
from tests.files.test_contract import bucket_of
from tests.support.s3 import s3_server
from tests.web.sample import SampleServer

PHOTO = as_file(gradient(1600, 800), "JPEG")
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)' width='2000' height='2000'/>"


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the tests")
    return LocalFileStore(tmp_path) if request.param == "local" else bucket_of(s3_server())


@pytest.fixture
def alice(files: Any) -> Iterator[Page]:
    with pages(make_app(SampleServer(MemoryStore(), files))) as (page, _):
        yield page


def is_small(url: str) -> bool:
    """Whether a URL leads to the small picture; else it leads to the photograph itself."""
    answer = httpx2.get(url)
    assert answer.status_code == 200, answer.text
    assert not answer.headers.get("content-disposition", "inline").startswith("attachment")
    if answer.headers["content-type"] == "image/jpeg":
        assert answer.content == PHOTO
        return False
    assert answer.headers["content-type"] == "image/webp"
    assert opened(answer.content).size == (640, 320)
    return True


def test_two_phase_upload(alice: Page, files: Any) -> None:
    made = alice.upload(PHOTO, "image/jpeg", "photo.jpg")
    # The bucket took the file past us; nobody has looked at it yet.
    assert is_small(made["preview_url"]) == isinstance(files, LocalFileStore)
    thread_id, item = alice.new_thread(made["id"])
    url = item["attachments"][0]["preview_url"]
    assert is_small(url)
    assert asyncio.run(files.read(made["id"])) == PHOTO
    assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
    assert httpx2.get(url).status_code == 404


def test_direct_upload_and_its_deletion(alice: Page, files: Any) -> None:
    answer = alice.client.post("/chatkit/files", files={"file": ("p.jpg", PHOTO, "image/jpeg")})
    made = answer.json()
    assert is_small(made["preview_url"])
    content = httpx2.get(asyncio.run(_served(files, alice).get_content_url(made["id"])))
    assert (content.content, content.headers["content-type"]) == (PHOTO, "image/jpeg")
    assert content.headers["content-disposition"].startswith("attachment")
    assert alice.ask("attachments.delete", attachment_id=made["id"]).status_code == 200
    assert httpx2.get(made["preview_url"]).status_code == 404


def test_another_process_keeps_to_the_small_picture(alice: Page, files: Any, tmp_path: Path) -> None:
    thread_id, _ = alice.new_thread(alice.upload(PHOTO, "image/jpeg")["id"])
    if isinstance(files, S3FileStore):
        files._with_preview.clear()
    assert is_small(alice.stored_message(thread_id)["attachments"][0]["preview_url"])
    # Named again, it has the same one.
    _, item = alice.new_thread(alice.stored_message(thread_id)["attachments"][0]["id"])
    assert is_small(item["attachments"][0]["preview_url"])


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (PHOTO[:3000], "image/jpeg"),
        (bomb(30_000, 30_000), "image/png"),
        (as_file(gradient(300, 200), "PNG"), "image/png"),
    ],
    ids=["corrupt", "bomb", "small"],
)
def test_otherwise_the_picture_is_its_own_preview(alice: Page, content: bytes, mime_type: str) -> None:
    made = alice.upload(content, mime_type)
    _, item = alice.new_thread(made["id"])
    answer = httpx2.get(item["attachments"][0]["preview_url"])
    assert (answer.content, answer.headers["content-type"]) == (content, mime_type)


def test_svg_is_never_shown_in_place(alice: Page, files: Any) -> None:
    made = alice.upload(SVG, "image/svg+xml", "a.svg")
    assert made["type"] == "file"
    assert "preview_url" not in made
    alice.new_thread(made["id"])
    answer = httpx2.get(asyncio.run(_served(files, alice).get_preview_url(made["id"])))
    assert answer.content == SVG
    assert answer.headers["content-disposition"].startswith("attachment")
    if isinstance(files, LocalFileStore):
        assert answer.headers["content-type"] == "application/octet-stream"


def _served(files: Any, page: Page) -> Any:
    if isinstance(files, LocalFileStore):
        return LocalFileStore(
            files.directory, base_url=f"{str(page.client.base_url).rstrip('/')}{page.url}/files"
        )
    return files


async def test_previews_that_are_switched_off(tmp_path: Path) -> None:
    metadata = FileMetadata(content_type="image/jpeg", name="a.jpg", size=len(PHOTO))
    local = LocalFileStore(tmp_path, base_url="http://x", secret="s", preview_size=None)
    await local.upload("a", PHOTO, metadata)
    assert sorted(
        path.name for path in tmp_path.rglob("*") if path.is_file() and "pending" not in str(path)
    ) == [
        "data",
        "metadata.json",
    ]
    bucket = bucket_of(s3_server(), preview_size=None, prefix="plain/")
    await bucket.upload("a", PHOTO, metadata)
    assert (await asyncio.to_thread(httpx2.get, await bucket.get_preview_url("a"))).content == PHOTO
    await bucket.delete("a")


async def test_a_preview_that_cannot_be_stored_does_not_stop_the_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = bucket_of(s3_server())
    metadata = FileMetadata(content_type="image/jpeg", name="a.jpg", size=len(PHOTO))
    url = await bucket.get_upload_url("atc_full", metadata)
    await asyncio.to_thread(httpx2.put, url, content=PHOTO, headers=bucket.upload_headers(metadata))

    def full(file_id: str, small: bytes) -> None:
        raise StoreUnavailableError("the bucket is full")

    monkeypatch.setattr(bucket, "_keep_preview", full)
    await bucket.check_upload("atc_full", "image/jpeg")
    assert "the bucket is full" in caplog.text
    assert (await asyncio.to_thread(httpx2.get, await bucket.get_preview_url("atc_full"))).content == PHOTO
    await bucket.delete("atc_full")


async def test_orphans_go_with_their_previews(tmp_path: Path) -> None:
    metadata = FileMetadata(content_type="image/jpeg", name="a.jpg", size=len(PHOTO))
    ahead = 0.0

    def now() -> float:
        return time.time() + ahead

    bucket = bucket_of(s3_server(), prefix="orphans/", clock=now)
    local = LocalFileStore(tmp_path, base_url="http://x", secret="s", clock=now)
    for files in (bucket, local):
        await files.upload("a", PHOTO, metadata)
    url = await bucket.get_preview_url("a")
    assert await asyncio.to_thread(is_small, url)
    ahead = 90_000
    assert await bucket.sweep_orphans() == await local.sweep_orphans() == 1
    assert (await asyncio.to_thread(httpx2.get, url)).status_code == 404
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
