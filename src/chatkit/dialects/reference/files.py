"""The adapter of the reference's file store, :class:`chatkit.types.FileStore`, to an attachment store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from pydantic import AnyUrl, TypeAdapter, ValidationError

from chatkit._tasks import maybe_await
from chatkit.errors import ConfigurationError, UnsupportedOperationError
from chatkit.files.base import AttachmentStore, ManagedFileStore
from chatkit.files.media_types import is_shown_inline
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    FileMetadata,
    FileStore,
    ImageAttachment,
)

__all__ = ["AttachmentIdFactory", "FileStoreAdapter", "make_attachment"]

TContext = TypeVar("TContext")

AttachmentIdFactory: TypeAlias = Callable[[AttachmentCreateParams, Any], str]
"""Returns the id for a new attachment, given what the client says of it and the request's context."""

_URL: Final = TypeAdapter(AnyUrl)


class FileStoreAdapter(AttachmentStore[TContext], Generic[TContext]):
    """Two-phase uploads over a file store, the client PUTs the bytes to the URL that it gives; and direct ones.

    Where the file store gives no URL, methods raise :class:`chatkit.errors.ConfigurationError`.

    Args:
        files: The file store, which is not changed.
        id_factory: Makes the ids; by default they are random.
    """

    def __init__(self, files: FileStore, id_factory: AttachmentIdFactory | None = None) -> None:
        self.files = files
        self._id_factory = id_factory

    async def create_attachment(self, input: AttachmentCreateParams, context: TContext) -> Attachment:
        attachment_id = self._new_id(input, context)
        metadata = _metadata(input)
        url = await maybe_await(self.files.get_upload_url(attachment_id, metadata))
        if isinstance(self.files, ManagedFileStore):
            headers = self.files.upload_headers(metadata)
        else:
            headers = {"Content-Type": input.mime_type}
        return await make_attachment(
            self.files,
            attachment_id,
            input.name,
            input.mime_type,
            upload_descriptor=AttachmentUploadDescriptor(
                url=checked_url(self.files, "get_upload_url", url), method="PUT", headers=headers
            ),
        )

    async def upload_attachment(
        self, input: AttachmentCreateParams, source: Path, context: TContext
    ) -> Attachment:
        attachment_id = self._new_id(input, context)
        metadata = _metadata(input)
        if isinstance(self.files, ManagedFileStore):
            await self.files.upload_path(attachment_id, source, metadata)
        else:
            upload = getattr(self.files, "upload", None)
            if upload is None or getattr(upload, "__func__", None) is FileStore.upload:
                raise UnsupportedOperationError(
                    f"{type(self.files).__name__} must override upload() to take direct uploads."
                )
            content = await asyncio.to_thread(source.read_bytes)
            await maybe_await(upload(attachment_id, content, metadata))
        return await make_attachment(self.files, attachment_id, input.name, input.mime_type)

    async def check_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Raises if the file store can tell that the file has not arrived, or is not what was announced."""
        if isinstance(self.files, ManagedFileStore):
            await self.files.check_upload(attachment.id, attachment.mime_type)

    async def claim_attachment(self, attachment: Attachment, context: TContext) -> None:
        if isinstance(self.files, ManagedFileStore):
            await self.files.claim(attachment.id)

    async def release_attachment(self, attachment: Attachment, context: TContext) -> None:
        if isinstance(self.files, ManagedFileStore):
            await self.files.release(attachment.id)

    async def copy_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        """Returns the attachment with an id and a file of its own, where the file store manages its files."""
        if not isinstance(self.files, ManagedFileStore):
            return attachment
        params = AttachmentCreateParams(name=attachment.name, size=0, mime_type=attachment.mime_type)
        new_id = self._new_id(params, context)
        await self.files.copy(attachment.id, new_id, _metadata(params))
        return attachment.model_copy(update={"id": new_id, "thread_id": None})

    async def refresh_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        # A message names it: the upload is over.
        update: dict[str, object] = {"upload_descriptor": None}
        if isinstance(attachment, ImageAttachment):
            if isinstance(self.files, ManagedFileStore):
                url = await self.files.renew_preview_url(attachment.id, str(attachment.preview_url))
            else:
                url = await maybe_await(self.files.get_preview_url(attachment.id))
            update["preview_url"] = checked_url(self.files, "get_preview_url", url)
        return attachment.model_copy(update=update)

    @property
    def orphan_age(self) -> float | None:
        return self.files.orphan_age if isinstance(self.files, ManagedFileStore) else None

    async def sweep_orphans(self) -> int:
        return await self.files.sweep_orphans() if isinstance(self.files, ManagedFileStore) else 0

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await maybe_await(cast("Any", self.files.delete(attachment_id)))

    def _new_id(self, input: AttachmentCreateParams, context: TContext) -> str:
        if self._id_factory is None:
            return self.generate_attachment_id(input.mime_type, context)
        return self._id_factory(input, context)


def _metadata(input: AttachmentCreateParams) -> FileMetadata:
    return FileMetadata(content_type=input.mime_type, name=input.name, size=input.size)


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
    if files is None or not is_shown_inline(mime_type):
        return FileAttachment(
            id=attachment_id, name=name, mime_type=mime_type, upload_descriptor=upload_descriptor
        )
    url = await maybe_await(files.get_preview_url(attachment_id))
    return ImageAttachment(
        id=attachment_id,
        name=name,
        mime_type=mime_type,
        preview_url=checked_url(files, "get_preview_url", url),
        upload_descriptor=upload_descriptor,
    )
