from __future__ import annotations

from typing import Any

import pytest

from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    InvalidRequestError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from chatkit.files import FileLimits
from chatkit.files.limits import check_content
from chatkit.store import AttachmentStore, MemoryStore
from chatkit.types import FileAttachment
from tests.server.support import ScriptedServer, user_input

LIMITS = FileLimits(max_bytes=10, max_count=2, mime_types=("image/*", "Application/PDF"))


@pytest.mark.parametrize(
    ("size", "mime_type"), [(0, "image/png"), (10, "IMAGE/webp; q=1"), (1, "application/pdf")]
)
def test_taken(size: int, mime_type: str) -> None:
    LIMITS.check_announced(size, mime_type)


@pytest.mark.parametrize(
    ("size", "mime_type", "error"),
    [
        (-1, "image/png", InvalidRequestError),
        (11, "image/png", RequestTooLargeError),
        (1, "text/html", UnsupportedMediaTypeError),
        (1, "imagex/png", UnsupportedMediaTypeError),
        (1, "application/pdfx", UnsupportedMediaTypeError),
        (1, "image", InvalidRequestError),
        (1, "image/", InvalidRequestError),
        (1, "image/png\n", InvalidRequestError),
        (1, "image/png; a=\r\nb", InvalidRequestError),
        (1, "image/p\u00e4g", InvalidRequestError),
        (1, "image/" + "x" * 200, InvalidRequestError),
    ],
)
def test_not_taken(size: int, mime_type: str, error: type[ChatKitError]) -> None:
    with pytest.raises(error):
        LIMITS.check_announced(size, mime_type)


TEXTS = ("text/csv", "text/markdown", "application/json")


@pytest.mark.parametrize(
    ("taken", "name", "mime_type", "expected"),
    [
        (TEXTS, "a.csv", "application/vnd.ms-excel", "text/csv"),
        (TEXTS, "A.CSV", "", "text/csv"),
        (TEXTS, "a.md", "", "text/markdown"),
        (TEXTS, "a.json", "application/octet-stream", "application/json"),
        (TEXTS, "a.json", "application/json; charset=utf-8", "application/json; charset=utf-8"),
        (("text/*",), "notes.markdown", "", "text/markdown"),
        (("*/*",), "a.md", "", "text/markdown"),
        (("*/*",), "a.csv", "application/vnd.ms-excel", "application/vnd.ms-excel"),
        (("*/*",), "a.unknown", "", "application/octet-stream"),
        (("image/*",), "a.csv", "text/csv", "text/csv"),
        (("image/*",), "no ending", "", "application/octet-stream"),
        (("*/*",), "a.csv.gz", "", "application/octet-stream"),
    ],
)
def test_the_type_by_the_ending(taken: tuple[str, ...], name: str, mime_type: str, expected: str) -> None:
    assert FileLimits(mime_types=taken).fitting_type(name, mime_type) == expected


def test_count() -> None:
    LIMITS.check_count(2)
    with pytest.raises(InvalidRequestError, match="2 attachments at most"):
        LIMITS.check_count(3)


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"max_count": 0}, {"mime_types": ()}, {"mime_types": "image/*"}]
)
def test_limits_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FileLimits(**options)


def test_content() -> None:
    check_content("text/plain", 2, 2, b"ab")
    for announced, kind, error in (
        (1, "text/plain", RequestTooLargeError),
        (3, "text/plain", InvalidRequestError),
        (2, "image/png", UnsupportedMediaTypeError),
    ):
        with pytest.raises(error):
            check_content(kind, announced, 2, b"ab")


class OwnWay(AttachmentStore[Any]):
    """A store of 1.6.5, which decides by itself what it takes."""

    async def create_attachment(self, input: Any, context: Any) -> FileAttachment:
        return FileAttachment(
            id=self.generate_attachment_id("", context), name="a", mime_type=input.mime_type
        )

    async def delete_attachment(self, attachment_id: str, context: Any) -> None: ...


async def test_an_attachment_store_decides_by_itself_unless_limits_are_given() -> None:
    server = ScriptedServer(store=MemoryStore(), attachment_store=OwnWay())
    assert server.max_upload_bytes is None
    ask = {"name": "a", "size": 10**12, "mime_type": ""}
    ids = [(await server.ask("attachments.create", **ask))["id"] for _ in range(11)]
    await server.ask("threads.create", input=user_input("Look", attachments=ids))
    server.file_limits = LIMITS
    assert server.max_upload_bytes == 10
    with pytest.raises(InvalidRequestError):
        await server.ask("threads.create", input=user_input("Look", attachments=ids[:3]))
    with pytest.raises(RequestTooLargeError):
        await server.ask("attachments.create", **ask)
