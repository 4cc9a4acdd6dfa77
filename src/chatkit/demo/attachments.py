"""The files that come with messages: what the built-in assistants read and say of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import NotFoundError
from chatkit.files import ManagedFileStore
from chatkit.types import Attachment, ThreadItem, UserMessageItem

__all__ = ["files_text", "read_attachment", "read_newest", "texts_among", "to_model_content"]

_ALL_BYTES: Final = 20 * 1024 * 1024
"""Bytes of files that the model is given with one request at most, the newest."""
_TEXT_CHARS: Final = 100_000
"""Characters of a text file that the model is given at most."""

# What models take as pictures.
_PICTURES: Final = frozenset({"image/gif", "image/jpeg", "image/jpg", "image/png", "image/webp"})
_TEXTS: Final = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/javascript",
    }
)


async def read_attachment(files: object, attachment: Attachment) -> bytes | None:
    """Returns an attachment's file, None if it is gone or the server's file store cannot be read."""
    store: object = files.files if isinstance(files, FileStoreAdapter) else files
    if not isinstance(store, ManagedFileStore):
        return None
    try:
        return await store.read(attachment.id)
    except NotFoundError:
        return None


async def read_newest(files: object, items: Sequence[ThreadItem]) -> dict[str, bytes]:
    """Returns the files of a thread's newest messages by attachment id, as many as a model can be given.

    The thread's items are given newest first.
    """
    found: dict[str, bytes] = {}
    left = _ALL_BYTES
    for item in items:
        for attachment in item.attachments if isinstance(item, UserMessageItem) else ():
            if attachment.id in found or not _is_readable(attachment):
                continue
            content = await read_attachment(files, attachment)
            if content is None:
                continue
            left -= len(content)
            if left < 0:
                return found
            found[attachment.id] = content
    return found


def texts_among(contents: Mapping[str, bytes], items: Sequence[ThreadItem]) -> dict[str, bytes]:
    """Returns the files among those of ``read_newest`` that a model is given as texts, which every model takes."""
    attachments = [entry for item in items if isinstance(item, UserMessageItem) for entry in item.attachments]
    return {
        entry.id: contents[entry.id]
        for entry in attachments
        if entry.id in contents and _kind(entry) not in _PICTURES and _kind(entry) != "application/pdf"
    }


def to_model_content(attachment: Attachment, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns an attachment as input of a model: pictures and PDFs, texts as text, and of other files the name.

    ``contents`` is what ``read_newest`` found.
    """
    content = contents.get(attachment.id)
    kind = _kind(attachment)
    if content is None:
        text = f"(The file {attachment.name} was attached; it cannot be read here.)"
    elif kind in _PICTURES:
        return {"type": "input_image", "detail": "auto", "image_url": _data_url(kind, content)}
    elif kind == "application/pdf":
        return {"type": "input_file", "filename": attachment.name, "file_data": _data_url(kind, content)}
    else:
        whole = content.decode("utf-8", "replace")
        cut = "\n(It goes on.)" if len(whole) > _TEXT_CHARS else ""
        text = f"The file {attachment.name} was attached:\n\n{whole[:_TEXT_CHARS]}{cut}"
    return {"type": "input_text", "text": text}


def files_text(attachments: Sequence[Attachment], sizes: Sequence[int | None]) -> str:
    """Returns what the guide says of files that came with a message, in Markdown.

    ``sizes`` is the number of bytes of each, None for a file that could not be read.
    """
    count = "a file" if len(attachments) == 1 else f"{len(attachments)} files"
    lines = [
        f"- `{attachment.name.replace('`', chr(39)) or 'without a name'}` ({attachment.mime_type}, {_size(size)})"
        for attachment, size in zip(attachments, sizes, strict=True)
    ]
    end = "No model looks at what is in there; it stays with this thread and is deleted with it."
    return "\n".join([f"I got {count}:", "", *lines, "", end])


def _is_readable(attachment: Attachment) -> bool:
    kind = _kind(attachment)
    return kind in _PICTURES or kind in _TEXTS or kind == "application/pdf" or kind.startswith("text/")


def _kind(attachment: Attachment) -> str:
    return attachment.mime_type.partition(";")[0].strip().lower()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _size(size: int | None) -> str:
    if size is None:
        return "not readable"
    for unit, factor in (("MB", 1_000_000), ("kB", 1000)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return "1 byte" if size == 1 else f"{size} bytes"
