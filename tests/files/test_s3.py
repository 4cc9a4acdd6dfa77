"""What a bucket of files promises beyond the contract."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from obstore import head_async

from chatkit.errors import ConfigurationError, NotFoundError, StoreUnavailableError
from chatkit.files import FileMetadata, S3FileStore
from chatkit.files.sigv4 import Credentials
from chatkit.store import MemoryStore
from tests.files.page import PNG, make_app, pages
from tests.files.test_contract import bucket_of
from tests.support.s3 import s3_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer

METADATA = FileMetadata(content_type="image/png", name="a.png", size=len(PNG))


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


async def test_the_reference_signature() -> None:
    """The constructor touches nothing: there is no such bucket."""
    store = S3FileStore("no-such-bucket", region="eu-central-1")
    assert (store.bucket, store.region) == ("no-such-bucket", "eu-central-1")
    assert S3FileStore("no-such-bucket").region == "us-east-1"
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
        await store.get_preview_url("atc_1")


async def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    url = httpx2.URL(await S3FileStore("bucket", "eu-west-1").get_preview_url("atc_1"))
    assert (url.host, url.path) == ("bucket.s3.eu-west-1.amazonaws.com", "/uploads/atc_1")
    assert url.params["X-Amz-Credential"].startswith("AKID/")
    assert url.params["X-Amz-Security-Token"] == "token"


@pytest.mark.parametrize("awaited", [False, True])
async def test_credentials_that_change(awaited: bool) -> None:
    server = s3_server()
    good = Credentials(server.access_key_id, server.secret_access_key)
    asked: list[Credentials] = []

    def give() -> Any:
        asked.append(good)
        return later() if awaited else good

    async def later() -> Credentials:
        return good

    store = S3FileStore(server.bucket, server.region, endpoint=server.endpoint, credentials=give)
    await store.upload("atc_changing", PNG, METADATA)
    assert await store.read("atc_changing") == PNG
    await store.delete("atc_changing")
    assert len(asked) >= 2


@pytest.mark.parametrize(
    "options",
    [
        {"upload_expires_in": 0},
        {"upload_expires_in": 604801},
        {"view_expires_in": 604801},
        {"view_expires_in": -1},
        {"orphan_age": 0},
    ],
)
def test_times_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        S3FileStore("bucket", **options)


async def test_a_bucket_that_cannot_be_used() -> None:
    server = s3_server()
    wrong = S3FileStore(
        server.bucket, endpoint=server.endpoint, access_key_id="chatkit", secret_access_key="wrong"
    )
    for attempt in (
        wrong.get_upload_url("atc_1", METADATA),
        wrong.upload("atc_1", PNG, METADATA),
        wrong.read("atc_1"),
        wrong.delete("atc_1"),
        wrong.check_upload("atc_1", "image/png"),
        wrong.claim("atc_1"),
        wrong.sweep_orphans(),
    ):
        with pytest.raises(StoreUnavailableError, match="cannot be used") as caught:
            await attempt
        assert "wrong" not in caught.value.public_message


async def test_a_bucket_that_fails_is_given_up_soon_and_in_one_line() -> None:
    asked = 0

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(fail, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    files = S3FileStore("bucket", endpoint=endpoint, access_key_id="a", secret_access_key="b")
    with pytest.raises(StoreUnavailableError, match="503") as raised:
        await files.read("atc_1")
    # The driver by itself asks eleven times, and goes on for minutes where nothing answers.
    assert asked == 6
    assert "retry_timeout: 20s" in str(raised.value)
    assert "\n" not in str(raised.value)
    server.close()
    await server.wait_closed()


async def test_announced_files_have_notes_beside_them_until_they_are_claimed() -> None:
    store = bucket_of(s3_server(), prefix="tenant/files/")
    await store.upload("atc_noted", PNG, METADATA)
    listed = bucket_of(s3_server(), prefix="tenant/files-pending/")
    assert b'"size":' in await listed.read("atc_noted")
    await store.claim("atc_noted")
    with pytest.raises(Exception, match="There is no file"):
        await listed.read("atc_noted")
    await store.delete("atc_noted")


async def test_a_size_that_the_server_did_not_check_is_seen_later() -> None:
    """Not every server that speaks the protocol holds uploads to the signed length."""
    server = s3_server()
    store = bucket_of(server)
    await store.get_upload_url("atc_longer", METADATA)
    await store._bucket.put("uploads/atc_longer", PNG + b"x")
    with pytest.raises(Exception, match="bytes, but"):
        await store.check_upload("atc_longer", "image/png")
    with pytest.raises(Exception, match="There is no file"):
        await store.read("atc_longer")


async def parts_of(store: S3FileStore, file_id: str) -> int:
    """In how many parts a file came: the bucket's tag of one in parts ends with their number."""
    tag = (await head_async(store._bucket.store(), f"uploads/{file_id}"))["e_tag"]
    assert tag is not None
    _, dash, parts = tag.strip('"').rpartition("-")
    return int(parts) if dash else 1


async def test_a_large_file_goes_in_parts(tmp_path: Path) -> None:
    store = bucket_of(s3_server())
    for size, parts in ((1_000_000, 1), (22 * 1024 * 1024, 5)):
        content = b"%PDF-" + b"\x01" * (size - 5)
        (tmp_path / "large.pdf").write_bytes(content)
        metadata = FileMetadata(content_type="application/pdf", name="large.pdf", size=size)
        await store.upload_path("atc_large", tmp_path / "large.pdf", metadata)
        assert await parts_of(store, "atc_large") == parts
        assert await store.read("atc_large") == content
        await store.check_upload("atc_large", "application/pdf")
        await store.delete("atc_large")


def test_a_large_direct_upload_goes_in_parts() -> None:
    store = bucket_of(s3_server())
    content = b"%PDF-" + bytes(range(256)) * 50_000
    with pages(make_app(SampleServer(MemoryStore(), file_store=store))) as (alice, _):
        answer = alice.client.post(
            "/chatkit/files", files={"file": ("large.pdf", content, "application/pdf")}
        )
        assert answer.status_code == 200, answer.text
        made = answer.json()
        assert asyncio.run(parts_of(store, made["id"])) == 3
        thread_id, _ = alice.new_thread(made["id"])
        assert asyncio.run(store.read(made["id"])) == content
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
    with pytest.raises(NotFoundError):
        asyncio.run(store.read(made["id"]))


def test_several_event_loops_may_use_one_store() -> None:
    store = bucket_of(s3_server())
    asyncio.run(store.upload("atc_loops", PNG, METADATA))
    assert asyncio.run(store.read("atc_loops")) == PNG
    asyncio.run(store.delete("atc_loops"))


def test_a_missing_driver_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "import chatkit.files\n"
        "from chatkit.errors import MissingExtraError\n"
        "try:\n    chatkit.files.S3FileStore\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=scaled(60)
    )
    assert "chatkit-server[s3]" in done.stdout
