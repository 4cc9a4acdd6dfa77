"""The files that come with messages, as input for a model.

- ``read_newest``: the files of a thread's newest messages, as many as a model can be given
- ``attachment_kind``: whether a file is a picture, a PDF or a text
- ``attachment_text``: a file in words, which every model takes
- ``to_model_content``: a file as content of OpenAI's Responses API
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import NotFoundError
from chatkit.files.base import ManagedFileStore
from chatkit.types import Attachment, ThreadItem, UserMessageItem

__all__ = [
    "AttachmentKind",
    "attachment_kind",
    "attachment_text",
    "data_url",
    "encoded",
    "media_type",
    "read_attachment",
    "read_newest",
    "texts_among",
    "to_model_content",
]

AttachmentKind: TypeAlias = Literal["picture", "pdf", "text"]

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
    """Returns an attachment's file.

    Args:
        files: The server's ``attachment_store``, of any kind.
        attachment: The attachment.

    Returns:
        Its bytes; None if it is gone, or the file store cannot be read.
    """
    store: object = files.files if isinstance(files, FileStoreAdapter) else files
    if not isinstance(store, ManagedFileStore):
        return None
    try:
        return await store.read(attachment.id)
    except NotFoundError:
        return None


async def read_newest(
    files: object, items: Sequence[ThreadItem], kinds: Collection[AttachmentKind] = ("picture", "pdf", "text")
) -> dict[str, bytes]:
    """Returns the files of a thread's newest messages by attachment id, as many as a model can be given.

    Args:
        files: The server's ``attachment_store``, of any kind.
        items: The thread's items, newest first.
        kinds: What the model takes.
    """
    found: dict[str, bytes] = {}
    left = _ALL_BYTES
    for item in items:
        for attachment in item.attachments if isinstance(item, UserMessageItem) else ():
            if attachment.id in found or attachment_kind(attachment) not in kinds:
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
    """Returns the files among those of ``read_newest`` that a model is given as texts, which every model takes.

    Args:
        contents: What ``read_newest`` found.
        items: The items that it was given.
    """
    attachments = [entry for item in items if isinstance(item, UserMessageItem) for entry in item.attachments]
    return {
        entry.id: contents[entry.id]
        for entry in attachments
        if entry.id in contents and attachment_kind(entry) == "text"
    }


def attachment_text(attachment: Attachment, content: bytes | None) -> str:
    """Returns a text file with its name; of other files, and of one that is not there, that they were attached.

    Args:
        attachment: The attachment.
        content: Its file, None if there is none for the model.
    """
    if content is None or attachment_kind(attachment) != "text":
        return f"(The file {attachment.name} was attached; it cannot be read here.)"
    whole = content.decode("utf-8", "replace")
    cut = "\n(It goes on.)" if len(whole) > _TEXT_CHARS else ""
    return f"The file {attachment.name} was attached:\n\n{whole[:_TEXT_CHARS]}{cut}"


def to_model_content(attachment: Attachment, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns an attachment as content of the Responses API: pictures, PDFs, texts as text, of other files the name.

    Args:
        attachment: The attachment.
        contents: What ``read_newest`` found.
    """
    content = contents.get(attachment.id)
    kind = attachment_kind(attachment)
    if content is not None and kind == "picture":
        return {"type": "input_image", "detail": "auto", "image_url": data_url(attachment, content)}
    if content is not None and kind == "pdf":
        return {
            "type": "input_file",
            "filename": attachment.name,
            "file_data": data_url(attachment, content),
        }
    return {"type": "input_text", "text": attachment_text(attachment, content)}


def attachment_kind(attachment: Attachment) -> AttachmentKind | None:
    """Returns what a model can be given a file as; None for files that it cannot be given."""
    kind = media_type(attachment)
    if kind in _PICTURES:
        return "picture"
    if kind == "application/pdf":
        return "pdf"
    return "text" if kind in _TEXTS or kind.startswith("text/") else None


def media_type(attachment: Attachment) -> str:
    """Returns the media type in lower case, without parameters."""
    return attachment.mime_type.partition(";")[0].strip().lower()


def data_url(attachment: Attachment, content: bytes) -> str:
    """Returns a file as a ``data:`` URL.

    Args:
        attachment: The attachment, whose media type the URL has.
        content: Its file.
    """
    return f"data:{media_type(attachment)};base64,{encoded(content)}"


def encoded(content: bytes) -> str:
    """Returns a file in base64."""
    return base64.b64encode(content).decode()
