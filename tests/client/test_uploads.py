"""Files from the client to a real server: a folder, a bucket, direct uploads, refusals, connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from chatkit.client import ChatKitClient, ServerError, TransportError
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import (
    AlreadyUploadedError,
    NotFoundError,
    PermissionDeniedError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
    UnsupportedOperationError,
    UploadIncompleteError,
)
from chatkit.files import AttachmentStore, FileLimits, LocalFileStore
from chatkit.store import MemoryStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    ImageAttachment,
    UserMessageInput,
    UserMessageItem,
    UserMessageTextContent,
)
from chatkit.web import create_app
from tests.files.page import PNG, who
from tests.files.test_contract import bucket_of
from tests.support.live_server import live_server
from tests.support.s3 import s3_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer

ALICE = {"Authorization": "Bearer alice"}
LIMITS = FileLimits(max_bytes=20_000_000, mime_types=["image/*", "text/*", "application/pdf"])


class AsForm(FileStoreAdapter[Any]):
    """Wants its files as forms."""

    async def create_attachment(self, input: AttachmentCreateParams, context: Any) -> Attachment:
        made = await super().create_attachment(input, context)
        assert made.upload_descriptor is not None
        descriptor = made.upload_descriptor.model_copy(update={"method": "POST"})
        return made.model_copy(update={"upload_descriptor": descriptor})


@pytest.fixture(params=["put", "post", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "s3":
        return bucket_of(s3_server())
    local = LocalFileStore(tmp_path / "files", secret="a secret of the tests")
    return AsForm(local) if request.param == "post" else local


@pytest.fixture
def url(files: Any) -> Iterator[str]:
    server = SampleServer(MemoryStore(), file_store=files, file_limits=LIMITS)
    with live_server(create_app(server, context=who)) as live:
        yield f"{live.url}/chatkit"


@pytest.fixture
async def alice(url: str) -> AsyncIterator[ChatKitClient]:
    async with ChatKitClient(url, headers=ALICE, timeout=scaled(20), backoff=0) as client:
        yield client


async def get(url: object) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.get(str(url))


async def first_item(client: ChatKitClient, thread_id: str | None) -> UserMessageItem:
    assert thread_id is not None
    item = (await client.get_thread(thread_id)).items.data[0]
    assert isinstance(item, UserMessageItem)
    return item


async def test_a_picture_goes_with_a_new_thread_and_with_it(alice: ChatKitClient, tmp_path: Path) -> None:
    (tmp_path / "pïcture 1.png").write_bytes(PNG)
    picture = await alice.upload(tmp_path / "pïcture 1.png")
    assert isinstance(picture, ImageAttachment)
    assert (picture.name, picture.mime_type) == ("pïcture 1.png", "image/png")
    async with alice.create_thread("Look", attachments=[picture]) as stream:
        await stream.until_done()
    (kept,) = (await first_item(alice, stream.thread_id)).attachments
    assert isinstance(kept, ImageAttachment)
    assert (kept.id, kept.name) == (picture.id, picture.name)
    assert (await get(kept.preview_url)).content == PNG
    assert stream.thread_id is not None
    await alice.delete_thread(stream.thread_id)
    assert (await get(kept.preview_url)).status_code == 404


async def test_files_go_with_a_message_by_id_or_as_they_are(alice: ChatKitClient) -> None:
    async with alice.create_thread("Hello") as stream:
        await stream.until_done()
    one, two = await alice.upload(b"one", name="1.txt"), await alice.upload(b"", name="2.txt")
    three = await alice.upload(b"%PDF-1.7", mime_type="application/pdf")
    message = UserMessageInput(content=[UserMessageTextContent(text="Read")], attachments=[one.id])
    assert stream.thread_id is not None
    async with alice.send_message(stream.thread_id, message, attachments=[two, three.id]) as sent:
        await sent.until_done()
    said = sent.items[0]
    assert isinstance(said, UserMessageItem)
    assert [(entry.id, entry.name, entry.mime_type) for entry in said.attachments] == [
        (one.id, "1.txt", "text/plain"),
        (two.id, "2.txt", "text/plain"),
        (three.id, "file", "application/pdf"),
    ]
    assert message.attachments == [one.id]


async def test_a_large_file_is_sent_from_disk(alice: ChatKitClient, files: Any, tmp_path: Path) -> None:
    content = b"%PDF-" + bytes(range(256)) * 40_000
    (tmp_path / "large.pdf").write_bytes(content)
    made = await alice.upload(str(tmp_path / "large.pdf"))
    store = files.files if isinstance(files, AsForm) else files
    assert await store.read(made.id) == content


async def test_direct_uploads(alice: ChatKitClient, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for file in (tmp_path / "a.png", PNG):
        made = await alice.upload_directly(file, name="ä.png")
        assert isinstance(made, ImageAttachment)
        assert made.name == "ä.png"
        assert (await get(made.preview_url)).content == PNG
        async with alice.create_thread("Look", attachments=[made]) as stream:
            await stream.until_done()
        assert (await first_item(alice, stream.thread_id)).attachments[0].id == made.id
    with pytest.raises(NotFoundError):
        await alice.upload_directly(PNG, url="/elsewhere")


async def test_what_is_deleted_is_gone(alice: ChatKitClient) -> None:
    for given in ("id", "attachment"):
        made = await alice.upload(PNG, name="a.png")
        assert isinstance(made, ImageAttachment)
        await alice.delete_attachment(made.id if given == "id" else made)
        assert (await get(made.preview_url)).status_code == 404
        with pytest.raises(NotFoundError):
            async with alice.create_thread("Look", attachments=[made]):
                pass


async def test_refusals_are_errors_of_their_kind(alice: ChatKitClient, url: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        await alice.upload(b"x", name="a.zip")
    with pytest.raises(RequestTooLargeError):
        await alice.create_attachment("a.txt", 20_000_001, "text/plain")
    with pytest.raises(FileNotFoundError):
        await alice.upload(tmp_path / "missing.png")
    made = await alice.create_attachment("a.txt", 5, "text/plain")
    with pytest.raises(UploadIncompleteError):
        async with alice.create_thread("Look", attachments=[made]):
            pass
    async with ChatKitClient(url, headers={"Authorization": "Bearer bob"}) as bob:
        sent = await alice.upload(b"text", name="a.txt")
        with pytest.raises(NotFoundError):
            await bob.delete_attachment(sent)


async def test_a_file_that_changes_while_it_is_sent_is_refused_and_forgotten(
    alice: ChatKitClient, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The announcement is signed into the upload URL."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"short")
    create = alice.create_attachment
    announced: list[Attachment] = []

    async def change(name: str, size: int, mime_type: str) -> Attachment:
        announced.append(await create(name, size - 1, mime_type))
        return announced[0]

    monkeypatch.setattr(alice, "create_attachment", change)
    store = files.files if isinstance(files, AsForm) else files
    expected = (
        PermissionDeniedError
        if store is files and not isinstance(files, LocalFileStore)
        else RequestTooLargeError
    )
    with pytest.raises(expected) as caught:
        await alice.upload(path)
    assert "?" not in str(caught.value)
    with pytest.raises(NotFoundError):
        await alice.delete_attachment(announced[0])


class LosingAnswers(httpx2.AsyncHTTPTransport):
    """Carries uploads to their end and loses the first answers."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses
        self.uploads: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if request.method == "PUT" or b"multipart" in request.headers.get("content-type", "").encode():
            self.uploads.append(request)
            if len(self.uploads) <= self.losses:
                await response.aread()
                await response.aclose()
                raise httpx2.ReadError("the connection broke")
        return response


async def test_an_upload_is_repeated_when_its_answer_was_lost(url: str) -> None:
    transport = LosingAnswers(1)
    async with httpx2.AsyncClient(transport=transport) as http:
        client = ChatKitClient(url, headers=ALICE, http=http, backoff=0)
        made = await client.upload(PNG, name="a.png")
        assert len(transport.uploads) == 2
        assert isinstance(made, ImageAttachment)
        assert (await get(made.preview_url)).content == PNG


async def test_a_second_upload_to_one_place_is_refused(tmp_path: Path) -> None:
    class Once(AttachmentStore[Any]):
        """Always gives the same place."""

        def __init__(self, files: LocalFileStore) -> None:
            self.files = FileStoreAdapter[Any](files, lambda input, context: "atc_once")

        async def create_attachment(self, input: AttachmentCreateParams, context: Any) -> Attachment:
            return await self.files.create_attachment(input, context)

        async def delete_attachment(self, attachment_id: str, context: Any) -> None:
            """Keeps it."""

    local = LocalFileStore(tmp_path, secret="s")

    inner = create_app(SampleServer(MemoryStore(), file_store=local), context=who)
    async with _serving(inner) as base:
        local._base_url = f"{base}/chatkit/files"
        async with (
            _serving(
                create_app(SampleServer(MemoryStore(), attachment_store=Once(local)), context=who)
            ) as other,
            ChatKitClient(f"{other}/chatkit", headers=ALICE, backoff=0) as client,
        ):
            await client.upload(b"text", name="a.txt")
            with pytest.raises(AlreadyUploadedError):
                await client.upload(b"text", name="a.txt")


@asynccontextmanager
async def _serving(app: Any) -> AsyncIterator[str]:
    live = live_server(app)
    server = await asyncio.to_thread(live.__enter__)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(live.__exit__, None, None, None)


async def test_a_bucket_sees_no_credentials_of_the_chat(files: Any, url: str) -> None:
    transport = LosingAnswers(0)
    headers = {"X-Team-Key": "secret", "Authorization": "Bearer alice"}
    async with httpx2.AsyncClient(
        transport=transport, headers=headers, cookies={"session": "secret"}, auth=("alice", "secret")
    ) as http:
        client = ChatKitClient(url, headers=ALICE, http=http)
        http.auth = None  # type: ignore[assignment] -- the endpoint wants the header
        await client.upload(PNG, name="a.png")
        http.auth = ("alice", "secret")
        (sent,) = transport.uploads
        to_bucket = not isinstance(files, LocalFileStore | AsForm)
        assert ("authorization" in sent.headers) == ("x-team-key" in sent.headers) == (not to_bucket)
        assert ("cookie" in sent.headers) == (not to_bucket)


async def test_a_server_without_files_says_so() -> None:
    async with (
        _serving(create_app(SampleServer(MemoryStore()), context=who)) as base,
        ChatKitClient(f"{base}/chatkit", headers=ALICE) as client,
    ):
        for upload in (client.upload, client.upload_directly):
            with pytest.raises(UnsupportedOperationError):
                await upload(PNG, name="a.png")


async def test_a_place_that_cannot_be_reached_is_named_without_its_signature(tmp_path: Path) -> None:
    local = LocalFileStore(tmp_path, base_url="http://127.0.0.1:9/files", secret="s")
    async with (
        _serving(create_app(SampleServer(MemoryStore(), file_store=local), context=who)) as base,
        ChatKitClient(f"{base}/chatkit", headers=ALICE, backoff=0) as client,
    ):
        with pytest.raises(
            TransportError, match=r"^http://127.0.0.1:9/files/[^?]* cannot be reached"
        ) as caught:
            await client.upload(PNG, name="a.png")
        assert "signature" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"<Error><Code>SlowDown</Code><Resource>/secret</Resource></Error>", r" \(SlowDown\)"),
        (b"<Code>" + b"x" * 100 + b"</Code>", ""),
    ],
)
async def test_a_refusal_in_other_words_is_still_an_error(tmp_path: Path, body: bytes, reason: str) -> None:
    async def refuse(request: Request) -> Response:
        await request.body()
        return Response(body, status_code=418)

    local = LocalFileStore(tmp_path, secret="s")
    inner = create_app(SampleServer(MemoryStore(), file_store=local), context=who)
    app = Starlette(routes=[Route("/bucket/{file_id}", refuse, methods=["PUT"]), Mount("/", inner)])
    async with (
        _serving(app) as base,
        ChatKitClient(f"{base}/chatkit", headers=ALICE) as client,
    ):
        local._base_url = f"{base}/bucket"
        expected = rf"^127\.0\.0\.1 refused the file with HTTP status 418{reason}\.$"
        with pytest.raises(ServerError, match=expected):
            await client.upload(PNG, name="a.png")
