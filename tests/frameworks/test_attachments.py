"""What agents are given of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.demo.files import files_text
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.files import FileMetadata, LocalFileStore
from chatkit.frameworks import attachments as module
from chatkit.frameworks.attachments import read_attachment, read_newest, to_model_content
from chatkit.types import Attachment, FileAttachment, HiddenContextItem, UserMessageItem
from tests.files.page import PNG


def file(id: str, mime_type: str = "text/plain") -> FileAttachment:
    return FileAttachment(id=id, name=f"{id}.x", mime_type=mime_type)


def message(*attachments: Attachment) -> UserMessageItem:
    return UserMessageItem(id="m", thread_id="t", content=[], attachments=list(attachments))


@pytest.fixture
async def files(tmp_path: Path) -> LocalFileStore:
    store = LocalFileStore(tmp_path, base_url="http://x", secret="s")
    for number in range(4):
        metadata = FileMetadata(content_type="text/plain", name="a", size=10)
        await store.upload(f"a{number}", bytes(str(number), "ascii") * 10, metadata)
    return store


async def test_the_newest_files_are_read_as_far_as_there_is_room(
    files: LocalFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = HiddenContextItem(id="h", thread_id="t", content="")
    items = [message(file("a3"), file("a3")), hidden, message(file("a2"), file("gone")), message(file("a1"))]
    assert list(await read_newest(files, items)) == ["a3", "a2", "a1"]
    monkeypatch.setattr(module, "_ALL_BYTES", 20)
    assert await read_newest(files, items) == {"a3": b"3" * 10, "a2": b"2" * 10}
    assert await read_newest(files, [message(file("a1", "application/zip"))]) == {}
    assert await read_newest(None, items) == {}


async def test_a_file_store_of_any_kind(files: LocalFileStore) -> None:
    assert await read_attachment(files, file("a1")) == b"1" * 10
    assert await read_attachment(FileStoreAdapter[Any](files), file("a1")) == b"1" * 10
    assert await read_attachment(files, file("gone")) is None
    assert await read_attachment(None, file("a1")) is None


@pytest.mark.parametrize(
    ("mime_type", "content", "expected"),
    [
        ("IMAGE/PNG", PNG, {"type": "input_image"}),
        ("application/pdf", b"%PDF-", {"type": "input_file", "filename": "a.x"}),
        ("text/markdown; charset=utf-8", b"# Hi", {"text": "The file a.x was attached:\n\n# Hi"}),
        ("text/plain", b"\xff", {"text": "The file a.x was attached:\n\n\ufffd"}),
        ("image/svg+xml", None, {"text": "(The file a.x was attached; it cannot be read here.)"}),
        ("image/png", None, {"text": "(The file a.x was attached; it cannot be read here.)"}),
    ],
)
def test_what_a_model_is_given(mime_type: str, content: bytes | None, expected: dict[str, str]) -> None:
    made = to_model_content(file("a", mime_type), {} if content is None else {"a": content})
    assert made | expected == made


def test_a_long_text_is_cut() -> None:
    made = to_model_content(file("a"), {"a": b"x" * 200_000})
    assert made["text"].endswith("x\n(It goes on.)")
    assert len(made["text"]) < 101_000


def test_what_the_guide_says() -> None:
    said = files_text([file("a"), file("b"), file("c"), file("d")], [1, 999, 1_500_000, None])
    for part in ("4 files", "1 byte)", "999 bytes", "1.5 MB", "not readable"):
        assert part in said
