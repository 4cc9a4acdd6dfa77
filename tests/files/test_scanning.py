"""Files are scanned before anybody can use them, whichever way they come, and none passes a scanner that fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.errors import (
    ConfigurationError,
    ContentRefusedError,
    NotFoundError,
    ReviewFailedError,
    UnsupportedMediaTypeError,
    UploadIncompleteError,
)
from chatkit.files import FileMetadata, LocalFileStore
from chatkit.files.scanning import scan
from chatkit.store import MemoryStore
from tests.files.page import PNG, Page, error_of, make_app, pages
from tests.files.test_contract import bucket_of
from tests.support.s3 import s3_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer

EVIL = PNG + b"evil"
LIMIT = scaled(10.0)


class Scanner:
    """Refuses what ends in "evil". ``act`` may be exchanged; ``seen`` has what was scanned."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, FileMetadata]] = []
        self.act: Any = None
        self.threads: set[int] = set()

    def scan(self, path: Path, metadata: FileMetadata) -> Any:
        self.threads.add(threading.get_ident())
        content = path.read_bytes()
        self.seen.append((content, metadata))
        if self.act is not None:
            return self.act()
        if content.endswith(b"evil"):
            raise ContentRefusedError(f"{metadata.name} is infected.")
        return None


class Setting:
    def __init__(self, kind: str, folder: Path, *, is_async: bool = False) -> None:
        self.kind, self.folder = kind, folder
        self.scanner = Scanner()

        async def scan(path: Path, metadata: FileMetadata) -> None:
            return self.scanner.scan(path, metadata)

        function = scan if is_async else self.scanner.scan
        options: dict[str, Any] = {"scanner": function, "scan_seconds": 0.2, "preview_size": None}
        if kind == "local":
            self.files: Any = LocalFileStore(
                folder, base_url="http://127.0.0.1:1/files" if is_async else None, **options
            )
        else:
            self.files = bucket_of(s3_server(), prefix=f"{folder.name}/", **options)
        self.store = MemoryStore()
        self.app = make_app(SampleServer(self.store, file_store=self.files))

    def kept(self) -> list[str]:
        """Returns the names under which bytes are kept."""
        if self.kind == "local":
            return [
                str(path) for path in self.folder.rglob("*") if path.is_file() and "pending" not in path.parts
            ]

        async def keys() -> list[str]:
            found: list[str] = []
            for prefix in (self.files._prefix, self.files._quarantine, self.files._previews):
                found += await self.files._bucket.older(prefix, 2**40)
            return found

        return asyncio.run(keys())


@pytest.fixture(params=["local", "s3"], scope="module")
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(request.param, tmp_path_factory.mktemp("scanned"))


@pytest.fixture(scope="module")
def served(setting: Setting) -> Iterator[Page]:
    with pages(setting.app) as (alice, _):
        yield alice


@pytest.fixture
def page(served: Page, setting: Setting) -> Page:
    setting.scanner.__init__()
    return served


def post(page: Page, content: bytes) -> httpx2.Response:
    return page.client.post("/chatkit/files", files={"file": ("a.png", content, "image/png")})


def view(attachment: dict[str, Any]) -> httpx2.Response:
    return httpx2.get(attachment["preview_url"])


def test_a_good_file_is_scanned_once_and_used(page: Page, setting: Setting) -> None:
    posted = post(page, PNG).json()
    announced = page.upload(PNG)
    for attachment in (posted, announced):
        thread_id, message = page.new_thread(attachment["id"])
        assert view(message["attachments"][0]).content == PNG
        page.new_thread(attachment["id"])
        assert page.send(attachment["id"], thread_id=thread_id).status_code == 200
    assert [(content, told.name, told.size) for content, told in setting.scanner.seen] == [
        (PNG, "a.png", len(PNG))
    ] * 2
    assert not any("quarantine" in name or "incoming" in name for name in setting.kept())


def test_a_file_that_is_posted_and_refused_is_not_kept(page: Page, setting: Setting) -> None:
    before = setting.kept()
    refused = post(page, EVIL)
    assert error_of(refused) == (422, "content_refused")
    assert refused.json()["error"]["message"] == "a.png is infected."
    assert setting.kept() == before


def test_a_file_that_is_uploaded_and_refused_is_not_kept(page: Page, setting: Setting) -> None:
    before = setting.kept()
    attachment = page.announce(EVIL)
    answer = page.put(attachment, EVIL)
    # In quarantine, too, nobody can see it.
    assert view(attachment).status_code == 404
    if setting.kind == "s3":
        assert answer.status_code == 200
        answer = page.send(attachment["id"])
    assert error_of(answer) == (422, "content_refused")
    assert setting.kept() == before
    assert view(attachment).status_code == 404
    again = page.send(attachment["id"])
    assert error_of(again) == (409, "upload_incomplete")


@pytest.mark.parametrize(
    "act",
    [
        lambda: (_ for _ in ()).throw(OSError("the scanner is away")),
        lambda: threading.Event().wait(0.6),
        lambda: ["Eicar"],
        lambda: False,
    ],
    ids=["fails", "takes too long", "returns what it found", "returns False"],
)
def test_no_file_passes_a_scanner_that_fails(page: Page, setting: Setting, act: Any) -> None:
    before = setting.kept()
    setting.scanner.act = act
    answer = post(page, PNG)
    assert error_of(answer) == (503, "review_failed")
    assert setting.kept() == before
    attachment = page.announce(PNG)
    answer = page.put(attachment, PNG)
    if setting.kind == "s3":
        answer = page.send(attachment["id"])
    assert error_of(answer) == (503, "review_failed")
    assert view(attachment).status_code == 404
    # When the scanner works, the same file is taken.
    setting.scanner.act = None
    if setting.kind == "local":
        assert page.put(attachment, PNG).status_code == 200
    page.new_thread(attachment["id"])


def test_scanners_that_block_hold_up_nobody(page: Page, setting: Setting) -> None:
    page.new_thread(post(page, PNG).json()["id"])
    assert threading.get_ident() not in setting.scanner.threads
    assert len(setting.scanner.seen) == 1


async def test_scanners_that_never_end_take_no_threads_from_others(tmp_path: Path) -> None:
    """asyncio has at most 32 threads for the work of the whole process."""
    ended = threading.Event()

    def hang(path: Path, metadata: FileMetadata) -> None:
        ended.wait()

    async def work() -> None:
        metadata = FileMetadata(content_type="image/png", name="a.png", size=0)
        scans = [scan(hang, tmp_path, metadata, 0.2) for _ in range(40)]
        failures = await asyncio.gather(*scans, return_exceptions=True)
        assert {type(failure) for failure in failures} == {ReviewFailedError}
        try:
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), LIMIT) == "done"
        finally:
            ended.set()

    await work()
    # And of those of scans, none is gone for good.
    await scan(lambda path, metadata: None, tmp_path, FileMetadata(content_type="", name="", size=0), LIMIT)


@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_files_that_are_put_back_are_scanned(kind: str, tmp_path: Path) -> None:
    store = Setting(kind, tmp_path / f"back-{kind}", is_async=True).files
    metadata = FileMetadata(content_type="image/png", name="a.png", size=len(PNG))
    source = tmp_path / "source"
    source.write_bytes(EVIL)
    with pytest.raises(ContentRefusedError):
        await store.put_back("file_1", source, metadata, b"its preview")
    assert await store.preview("file_1") is None
    with pytest.raises(UploadIncompleteError):
        await store.check_upload("file_1", "image/png")
    source.write_bytes(PNG)
    await store.put_back("file_1", source, metadata, b"its preview")
    assert (await store.read("file_1"), await store.preview("file_1")) == (PNG, b"its preview")


async def test_a_file_that_is_exchanged_after_a_look_at_it_is_looked_at_again(tmp_path: Path) -> None:
    """Without write-once links a client may do so at any time."""
    store = Setting("s3", tmp_path / "exchanged").files
    store._write_once = False
    metadata = FileMetadata(content_type="image/png", name="a.png", size=len(PNG))
    url, headers = await store.get_upload_url("file_1", metadata), store.upload_headers(metadata)
    async with httpx2.AsyncClient() as client:
        (await client.put(url, content=PNG, headers=headers)).raise_for_status()
        look = store._bucket.first_bytes

        async def first_bytes(key: str, size: int) -> bytes:
            looked = await look(key, size)
            other = b"<script>".ljust(len(PNG))
            (await client.put(url, content=other, headers=headers)).raise_for_status()
            return looked

        store._bucket.first_bytes = first_bytes
        with pytest.raises(UnsupportedMediaTypeError):
            await store.check_upload("file_1", "image/png")
    with pytest.raises(NotFoundError):
        await store.read("file_1")


@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_files_that_come_by_python_are_scanned(kind: str, tmp_path: Path) -> None:
    store = Setting(kind, tmp_path / kind, is_async=True).files
    metadata = FileMetadata(content_type="image/png", name="a.png", size=len(PNG))
    source = tmp_path / "source"
    for content in (EVIL, PNG):
        for file_id in ("bytes", "path"):
            source.write_bytes(content)
            given = content if file_id == "bytes" else source
            upload = store.upload if file_id == "bytes" else store.upload_path
            if content is EVIL:
                with pytest.raises(ContentRefusedError):
                    await upload(file_id, given, metadata)
                with pytest.raises(UploadIncompleteError):
                    await store.check_upload(file_id, "image/png")
            else:
                await upload(file_id, given, metadata)
                assert await store.read(file_id) == PNG


async def test_what_is_uploaded_while_a_scan_runs_is_not_what_is_taken(tmp_path: Path) -> None:
    """Without write-once links a client may upload other bytes of the same size in the meantime."""
    setting = Setting("s3", tmp_path / "once")
    store = setting.files
    store._write_once = False
    good, bad = PNG + b"good", EVIL
    metadata = FileMetadata(content_type="image/png", name="a.png", size=len(good))
    url = await store.get_upload_url("file_1", metadata)
    headers = store.upload_headers(metadata)
    async with httpx2.AsyncClient() as client:
        assert (await client.put(url, content=good, headers=headers)).status_code == 200

        def replaced() -> None:
            httpx2.put(url, content=bad, headers=headers).raise_for_status()

        setting.scanner.act = replaced
        store._scan_seconds = 20.0
        await store.check_upload("file_1", "image/png")
    assert await store.read("file_1") == good


def test_times_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="scan_seconds"):
        LocalFileStore(tmp_path, scan_seconds=0)
