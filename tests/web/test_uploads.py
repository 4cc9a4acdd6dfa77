"""Uploads and downloads over HTTP: both frameworks, hostile clients, and what browsers are told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from chatkit.errors import ConfigurationError
from chatkit.files import FileLimits, FileMetadata, LocalFileStore
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import AttachmentCreateParams
from chatkit.web import Uploads, create_app
from tests.files.page import HTML, PNG, Page, error_of, make_app, pages, who
from tests.support.live_server import live_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer

LIMIT = 1_000_000


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the tests")


@pytest.fixture
def files(tmp_path: Path) -> LocalFileStore:
    return LocalFileStore(tmp_path / "files")


@pytest.fixture(params=["starlette", "fastapi"])
def alice(request: pytest.FixtureRequest, files: LocalFileStore) -> Iterator[Page]:
    server = SampleServer(MemoryStore(), files, file_limits=FileLimits(max_bytes=LIMIT))
    framework = request.param
    with pages(make_app(server, framework), "/chatkit" if framework == "starlette" else "/api/chatkit") as (
        alice,
        _,
    ):
        yield alice


def left_over(files: LocalFileStore) -> list[Path]:
    """What arrived and neither was kept nor deleted."""
    incoming = files.directory / "incoming"
    return list(incoming.iterdir()) if incoming.exists() else []


def until_nothing_is_left(files: LocalFileStore) -> None:
    deadline = time.monotonic() + scaled(10)
    while left_over(files):
        assert time.monotonic() < deadline, left_over(files)


def test_put_post_and_direct_upload(alice: Page, files: LocalFileStore) -> None:
    base = f"{str(alice.client.base_url).rstrip('/')}{alice.url}/files"
    put = alice.upload(PNG)
    assert put["upload_descriptor"]["url"].startswith(f"{base}/{put['id']}?")
    form = alice.announce(PNG)
    posted = httpx2.post(form["upload_descriptor"]["url"], files={"file": ("a.png", PNG, "image/png")})
    assert (posted.status_code, posted.json()) == (200, {})
    direct = alice.client.post(f"{alice.url}/files", files={"file": ("a.png", PNG, "image/png")}).json()
    for made in (put, form, direct):
        assert made["preview_url"].startswith(f"{base}/{made['id']}/preview?")
        assert httpx2.get(made["preview_url"]).content == PNG
    alice.new_thread(put["id"], form["id"], direct["id"])
    assert left_over(files) == []


def test_a_form_is_checked_like_raw_bytes(alice: Page, files: LocalFileStore) -> None:
    url = alice.announce(PNG)["upload_descriptor"]["url"]
    for part, expected in (
        ({"file": ("a.png", PNG, "text/html")}, 415),
        ({"file": ("a.png", PNG + b"x", "image/png")}, 413),
        ({"file": ("a.png", PNG[:-1], "image/png")}, 422),
        ({"file": ("a.png", HTML.ljust(len(PNG)), "image/png")}, 415),
        ({"picture": ("a.png", PNG, "image/png")}, 422),
    ):
        assert error_of(httpx2.post(url, files=part))[0] == expected
    assert error_of(httpx2.post(url, content=PNG, headers={"Content-Type": "image/png"}))[0] == 415
    assert left_over(files) == []
    assert httpx2.post(url, files={"file": ("b.png", PNG, "application/octet-stream")}).status_code == 200


def test_a_put_without_a_type_is_refused(alice: Page) -> None:
    url = alice.announce(PNG)["upload_descriptor"]["url"]
    assert error_of(httpx2.put(url, content=PNG))[0] == 415
    assert httpx2.put(url, content=PNG, headers={"Content-Type": "image/PNG; x=y"}).status_code == 200


def test_what_a_browser_is_told(alice: Page, files: LocalFileStore) -> None:
    made = alice.upload(PNG, name='a "b".png')
    answer = httpx2.get(made["preview_url"])
    assert answer.headers["content-type"] == "image/png"
    assert (
        answer.headers["content-disposition"]
        == "inline; filename=\"a _b_.png\"; filename*=UTF-8''a%20%22b%22.png"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["cache-control"].startswith("private, max-age=")
    head = httpx2.head(made["preview_url"])
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(PNG)))
    part = httpx2.get(made["preview_url"], headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PNG[1:4])
    assert httpx2.get(made["preview_url"], headers={"Range": "bytes=9999-"}).status_code == 416


@pytest.mark.parametrize(
    ("mime_type", "content", "served"),
    [
        ("text/html", HTML, "application/octet-stream"),
        ("image/svg+xml", b"<svg onload='alert(1)'/>", "application/octet-stream"),
        ("text/javascript", b"alert(1)", "application/octet-stream"),
        ("application/pdf", b"%PDF-1.7", "application/pdf"),
        ("text/plain", HTML, "text/plain; charset=utf-8"),
        ("", HTML, "application/octet-stream"),
        ("x/y", HTML, "application/octet-stream"),
    ],
)
def test_other_files_are_downloads(
    alice: Page, files: LocalFileStore, mime_type: str, content: bytes, served: str
) -> None:
    made = alice.upload(content, mime_type, "page.html")
    assert made["type"] == "file"
    at = LocalFileStore(
        files.directory, base_url=f"{str(alice.client.base_url).rstrip(chr(47))}{alice.url}/files"
    )
    links = (
        asyncio.run(at.get_preview_url(made["id"])),
        asyncio.run(at.get_content_url(made["id"], "n.txt")),
    )
    for url, name in zip(links, ("page.html", "n.txt"), strict=True):
        answer = httpx2.get(url)
        assert answer.content == content
        assert answer.headers["content-type"] == served
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def head_of(method: str, url: str, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"{method} {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}"]
    return "\r\n".join([*lines, *(f"{name}: {headers[name]}" for name in headers), "", ""]).encode()


@pytest.mark.parametrize("form", [False, True])
def test_bytes_are_counted_as_they_arrive(alice: Page, files: LocalFileStore, form: bool) -> None:
    """A client that declares no length and never stops is cut off."""
    url = alice.announce(PNG)["upload_descriptor"]["url"]
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' if form else b""
    with connect(url) as client:
        kind = "multipart/form-data; boundary=x" if form else "image/png"
        headers = {"Content-Type": kind, "Transfer-Encoding": "chunked"}
        client.sendall(head_of("POST" if form else "PUT", url, headers))
        chunk = bytes(8192)
        answered = threading.Event()

        def flood() -> None:
            try:
                if begin:
                    client.sendall(b"%x\r\n%s\r\n" % (len(begin), begin))
                while not answered.is_set():
                    client.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            except OSError:
                pass  # The server has closed the connection, as it should.

        sender = threading.Thread(target=flood)
        sender.start()
        answer = client.recv(65536)
        answered.set()
        client.shutdown(socket.SHUT_RDWR)
        sender.join(scaled(10))
        assert not sender.is_alive()
    assert answer.startswith(b"HTTP/1.1 413 ")
    until_nothing_is_left(files)


def test_an_excess_that_is_declared_is_refused_at_once(alice: Page) -> None:
    url = alice.announce(PNG)["upload_descriptor"]["url"]
    for length in (str(len(PNG) + 1), "9" * 40):
        with connect(url) as client:
            client.sendall(head_of("PUT", url, {"Content-Type": "image/png", "Content-Length": length}))
            assert client.recv(65536).split()[1] in {b"413", b"400"}


def test_an_upload_that_breaks_off_leaves_nothing(alice: Page, files: LocalFileStore) -> None:
    made = alice.announce(PNG)
    url = made["upload_descriptor"]["url"]
    with connect(url) as client:
        client.sendall(head_of("PUT", url, {"Content-Type": "image/png", "Content-Length": str(len(PNG))}))
        client.sendall(PNG[:50])
        deadline = time.monotonic() + scaled(10)
        while not left_over(files):
            assert time.monotonic() < deadline
    until_nothing_is_left(files)
    assert error_of(alice.send(made["id"])) == (409, "upload_incomplete")
    assert alice.put(made, PNG).status_code == 200


def test_of_uploads_at_the_same_time_one_wins(alice: Page, files: LocalFileStore) -> None:
    for _ in range(5):
        made = alice.announce(PNG)
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(alice.put(made, PNG).status_code))  # noqa: B023
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(scaled(20))
        assert sorted(answers) == [200, 409, 409, 409]
        assert httpx2.get(made["preview_url"]).content == PNG
    until_nothing_is_left(files)


def test_orphans_are_swept_when_the_application_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = 0.0
    files = LocalFileStore(tmp_path, clock=lambda: time.time() + ahead)
    server = SampleServer(MemoryStore(), files)
    with pages(make_app(server)) as (alice, _):
        sent, unsent = alice.upload(PNG), alice.upload(PNG)
        alice.new_thread(sent["id"])
    ahead = 90_000
    with caplog.at_level("INFO", "chatkit.web"), pages(make_app(server)) as (alice, _):
        deadline = time.monotonic() + scaled(10)
        while not any("Deleted 1 files" in entry.message for entry in caplog.records):
            assert time.monotonic() < deadline
    assert asyncio.run(files.read(sent["id"])) == PNG
    with pytest.raises(Exception, match="There is no file"):
        asyncio.run(files.read(unsent["id"]))


def test_a_sweep_that_fails_does_not_keep_the_application_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(LocalFileStore):
        async def sweep_orphans(self) -> int:
            raise OSError("the disk is gone")

    app = create_app(SampleServer(MemoryStore(), Broken(tmp_path)), context=who)
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200
    assert "could not be deleted" in caplog.text


def test_links_of_a_mounted_application(tmp_path: Path) -> None:
    inner = create_app(SampleServer(MemoryStore(), LocalFileStore(tmp_path)), context=who)
    outer = Starlette(routes=[Mount("/inner/one", inner)])
    with live_server(outer) as server:
        page = Page(server.url, "alice", "/inner/one/chatkit")
        with page.client:
            made = page.upload(PNG)
            assert urlsplit(made["preview_url"]).path == f"/inner/one/chatkit/files/{made['id']}/preview"
            assert httpx2.get(made["preview_url"]).content == PNG


def test_an_address_that_is_given_is_used(tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path, base_url="https://cdn.example.com/f/")
    with pages(make_app(SampleServer(MemoryStore(), files))) as (alice, _):
        made = alice.announce(PNG)
        assert made["upload_descriptor"]["url"].startswith(f"https://cdn.example.com/f/{made['id']}?")


def test_paths_are_the_applications_choice(tmp_path: Path) -> None:
    server = SampleServer(MemoryStore(), LocalFileStore(tmp_path))
    with pages(make_app(server, uploads=Uploads(path="/attachments", direct=False))) as (alice, _):
        made = alice.upload(PNG)
        assert urlsplit(made["preview_url"]).path == f"/attachments/{made['id']}/preview"
        assert httpx2.get(made["preview_url"]).content == PNG
        assert alice.client.post("/attachments", files={"file": ("a", PNG)}).status_code in {404, 405}
        assert alice.client.post("/chatkit/files", files={"file": ("a", PNG)}).status_code == 404
    with pages(make_app(server, uploads=None)) as (alice, _):
        answer = alice.ask("attachments.create", name="a", size=1, mime_type="text/plain")
        assert error_of(answer) == (500, "configuration_error")


@pytest.mark.parametrize("path", ["files", "/files/", "/"])
def test_paths_that_cannot_be(path: str) -> None:
    with pytest.raises(ConfigurationError):
        Uploads(path=path)


def test_without_a_file_store_there_are_no_files() -> None:
    with pages(make_app(SampleServer(MemoryStore()))) as (alice, _):
        assert error_of(alice.client.get("/chatkit/files/a?signature=x")) == (404, "not_found")
        assert error_of(alice.client.put("/chatkit/files/a", content=b"")) == (404, "not_found")
        answer = alice.client.post("/chatkit/files", files={"file": ("a", b"x", "text/plain")})
        assert error_of(answer) == (501, "not_implemented")


def test_pages_of_other_origins_may_put(tmp_path: Path) -> None:
    server = SampleServer(MemoryStore(), LocalFileStore(tmp_path))
    with pages(make_app(server, cors_origins=["https://app.example.com"])) as (alice, _):
        made = alice.announce(PNG)
        answer = httpx2.options(
            made["upload_descriptor"]["url"],
            headers={
                "Origin": "https://app.example.com",
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert answer.status_code == 200
        assert "PUT" in answer.headers["access-control-allow-methods"]


async def test_an_endpoint_of_ones_own_takes_a_file(tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path / "files", base_url="https://chat.example.com/files")
    server: ChatKitServer[Any] = SampleServer(MemoryStore(), files)
    source = tmp_path / "posted"
    source.write_bytes(PNG)
    params = AttachmentCreateParams(name="a.png", size=len(PNG), mime_type="image/png")
    result = await server.upload_attachment(params, source, {"user_id": "alice"})
    assert b'"type":"image"' in result.json
    assert await server.sweep_orphans() == 0
    assert server.max_upload_bytes == 100 * 1024 * 1024


async def test_a_file_whose_record_cannot_be_saved_is_deleted(tmp_path: Path) -> None:
    class Full(MemoryStore):
        async def save_attachment(self, attachment: Any, context: Any) -> None:
            raise OSError("no space")

    files = LocalFileStore(tmp_path / "files", base_url="https://chat.example.com/files")
    source = tmp_path / "posted"
    source.write_bytes(PNG)
    params = AttachmentCreateParams(name="a.png", size=len(PNG), mime_type="image/png")
    with pytest.raises(OSError, match="no space"):
        await SampleServer(Full(), files).upload_attachment(params, source, {"user_id": "alice"})
    assert list((tmp_path / "files").rglob("data")) == []
    # Only the note that nothing may be uploaded under its id any more.
    notes = [json.loads(path.read_text()) for path in (tmp_path / "files" / "pending").iterdir()]
    assert [note["deleted"] for note in notes] == [True]


def test_metadata_of_a_link_is_what_was_announced(files: LocalFileStore) -> None:
    metadata = FileMetadata(content_type="text/plain; charset=utf-8", name="a&b=ü.txt", size=7)
    at = LocalFileStore(files.directory, base_url="https://chat.example.com/files")
    url = httpx2.URL(asyncio.run(at.get_upload_url("atc_1", metadata)))
    assert files.open_upload("atc_1", dict(url.params)) == metadata
