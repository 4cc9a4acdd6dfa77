"""What the lifts of the reference's interfaces share: their methods may be sync or async, and give URLs as text."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pydantic import AnyUrl, TypeAdapter, ValidationError

from chatkit.errors import ConfigurationError
from chatkit.types import Attachment, AttachmentUploadDescriptor, FileAttachment, ImageAttachment

if TYPE_CHECKING:
    from chatkit.types import FileStore

__all__ = ["checked_url", "make_attachment", "settled"]

T = TypeVar("T")

# Pictures that every browser shows and that cannot carry scripts, so no SVG.
_PREVIEWED: Final = frozenset(
    {
        "image/apng",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/jpg",
        "image/png",
        "image/vnd.microsoft.icon",
        "image/webp",
        "image/x-icon",
    }
)
_URL: Final = TypeAdapter(AnyUrl)


async def settled(value: T | Awaitable[T]) -> T:
    """Returns the value that a sync or an async method gives."""
    if inspect.isawaitable(value):
        return await value
    # Neither type variable nor awaitable excludes the other for the checker.
    return cast("T", value)


def checked_url(files: object, method: str, url: object) -> AnyUrl:
    """Returns the URL that a file store's method gave.

    Raises:
        ConfigurationError: It gave none, or one that is not absolute.
    """
    try:
        return _URL.validate_python(url)
    except ValidationError:
        # Not in the message: a signed URL is a credential.
        raise ConfigurationError(
            f"{type(files).__name__}.{method}() must return an absolute URL, such as 'https://...'; it returned "
            f"{'nothing' if not url else 'something else'}."
        ) from None


async def make_attachment(
    files: FileStore | None,
    attachment_id: str,
    name: str,
    mime_type: str,
    *,
    upload_descriptor: AttachmentUploadDescriptor | None = None,
) -> Attachment:
    """Returns the attachment for a file: one with a preview where browsers show such pictures.

    Args:
        files: Gives the preview's URL; without one there is no preview.
        attachment_id: Id of the attachment and of the file.
        name: File name.
        mime_type: Media type as the client declared it.
        upload_descriptor: Where the client uploads the bytes, if they are still to come.

    Raises:
        ConfigurationError: The file store gave no URL.
    """
    if files is None or mime_type.partition(";")[0].strip().lower() not in _PREVIEWED:
        return FileAttachment(
            id=attachment_id, name=name, mime_type=mime_type, upload_descriptor=upload_descriptor
        )
    url = await settled(files.get_preview_url(attachment_id))
    return ImageAttachment(
        id=attachment_id,
        name=name,
        mime_type=mime_type,
        preview_url=checked_url(files, "get_preview_url", url),
        upload_descriptor=upload_descriptor,
    )
