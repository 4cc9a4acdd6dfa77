"""The adapter of the reference's file store."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.dialects.adapters import adapt_files
from chatkit.dialects.openai_chatkit.files import OpenAIFilesAdapter
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import ConfigurationError
from chatkit.files import AttachmentStore, FileMetadata, FileStore
from chatkit.types import AttachmentCreateParams, FileAttachment, ImageAttachment

CONTEXT = {"user_id": "alice"}


class Bucket(FileStore):
    """The reference's example, over a dictionary instead of a network."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, FileMetadata]] = []
        self.deleted: list[str] = []

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        self.asked.append((file_id, metadata))
        return f"https://bucket.example.com/uploads/{file_id}?signature=a%20b"

    async def get_preview_url(self, file_id: str) -> str:
        return f"https://bucket.example.com/previews/{file_id}"

    async def delete(self, file_id: str) -> None:
        self.deleted.append(file_id)


class SyncBucket:
    """The same with plain methods, derived from nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, FileMetadata]] = []
        self.deleted: list[str] = []

    def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        self.asked.append((file_id, metadata))
        return f"https://bucket.example.com/uploads/{file_id}?signature=a%20b"

    def get_preview_url(self, file_id: str) -> str:
        return f"https://bucket.example.com/previews/{file_id}"

    def delete(self, file_id: str) -> None:
        self.deleted.append(file_id)


class Full(AttachmentStore[Any]):
    async def delete_attachment(self, attachment_id: str, context: Any) -> None: ...


def adapt(files: Any, **options: Any) -> AttachmentStore[Any]:
    adapter = adapt_files(files, **options)
    assert adapter is not None
    return adapter


def announced(mime_type: str, name: str = "a.png") -> AttachmentCreateParams:
    return AttachmentCreateParams(name=name, size=7, mime_type=mime_type)


@pytest.mark.parametrize("kind", [Bucket, SyncBucket])
async def test_file(kind: Any) -> None:
    bucket = kind()
    made = await adapt(bucket).create_attachment(announced("application/pdf", "a b.pdf"), CONTEXT)
    assert isinstance(made, FileAttachment)
    assert (made.name, made.mime_type, made.thread_id) == ("a b.pdf", "application/pdf", None)
    assert made.upload_descriptor is not None
    assert str(made.upload_descriptor.url) == f"https://bucket.example.com/uploads/{made.id}?signature=a%20b"
    assert made.upload_descriptor.method == "PUT"
    assert made.upload_descriptor.headers == {"Content-Type": "application/pdf"}
    expected = FileMetadata(content_type="application/pdf", name="a b.pdf", size=7)
    assert bucket.asked == [(made.id, expected)]


@pytest.mark.parametrize("kind", [Bucket, SyncBucket])
@pytest.mark.parametrize("mime_type", ["image/png", "image/JPEG", "image/webp; q=1", " image/gif"])
async def test_picture_has_a_preview(kind: Any, mime_type: str) -> None:
    made = await adapt(kind()).create_attachment(announced(mime_type), CONTEXT)
    assert isinstance(made, ImageAttachment)
    assert str(made.preview_url) == f"https://bucket.example.com/previews/{made.id}"
    assert made.mime_type == mime_type
    assert made.upload_descriptor is not None


@pytest.mark.parametrize("mime_type", ["image/svg+xml", "image/tiff", "image/heic", "text/html", "image", ""])
async def test_what_browsers_do_not_show_as_a_picture_is_a_file(mime_type: str) -> None:
    assert isinstance(await adapt(Bucket()).create_attachment(announced(mime_type), CONTEXT), FileAttachment)


@pytest.mark.parametrize("kind", [Bucket, SyncBucket])
async def test_deleting(kind: Any) -> None:
    bucket = kind()
    await adapt(bucket).delete_attachment("atc_1", CONTEXT)
    assert bucket.deleted == ["atc_1"]


async def test_ids_are_fresh() -> None:
    adapter = adapt(Bucket())
    ids = {(await adapter.create_attachment(announced("text/plain"), CONTEXT)).id for _ in range(50)}
    assert len(ids) == 50
    assert all(made.startswith("atc_") for made in ids)


async def test_ids_of_a_factory() -> None:
    def factory(input: AttachmentCreateParams, context: Any) -> str:
        return f"{context['user_id']}-{input.name}"

    class Described:
        attachment_id_factory = staticmethod(factory)

    class Plain:
        pass

    params = announced("text/plain")
    for options in ({"id_factory": factory}, {"store": Described()}):
        assert (await adapt(Bucket(), **options).create_attachment(params, CONTEXT)).id == "alice-a.png"
    assert (await adapt(Bucket(), store=Plain()).create_attachment(params, CONTEXT)).id != "alice-a.png"


@pytest.mark.parametrize("url", ["", None, " ", "/relative", "no url", 3])
@pytest.mark.parametrize("method", ["get_upload_url", "get_preview_url"])
async def test_url_that_is_none_names_the_method(
    url: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SyncBucket, method, lambda *_: url)
    with pytest.raises(ConfigurationError, match=rf"SyncBucket\.{method}\(\) must return an absolute URL"):
        await adapt(SyncBucket()).create_attachment(announced("image/png"), CONTEXT)


async def test_url_is_not_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyncBucket, "get_upload_url", lambda *_: "//host/x?signature=secret")
    with pytest.raises(ConfigurationError) as caught:
        await adapt(SyncBucket()).create_attachment(announced("text/plain"), CONTEXT)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_full_store_and_none_stay_what_they_are() -> None:
    full = Full()
    adopted = adapt_files(full, store=object())
    assert isinstance(adopted, OpenAIFilesAdapter)
    assert adopted.files is full
    own = FileStoreAdapter[Any](Bucket())
    assert adapt_files(own) is own
    assert adapt_files(None) is None
    bucket = Bucket()
    adapter = adapt_files(bucket)
    assert isinstance(adapter, FileStoreAdapter)
    assert adapter.files is bucket


def test_other_objects_are_refused() -> None:
    class Half:
        def delete(self, file_id: str) -> None: ...

    with pytest.raises(
        ConfigurationError, match="Half is no file store, it lacks get_upload_url, get_preview_url"
    ):
        adapt_files(Half())  # pyright: ignore[reportArgumentType] -- that is the test
