"""The lift of the reference's file store, :class:`chatkit.types.FileStore`, to the attachment store port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from chatkit._lifts import checked_url, make_attachment, settled
from chatkit.errors import ConfigurationError, UnsupportedOperationError
from chatkit.files.base import AttachmentStore, ManagedFileStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileMetadata,
    FileStore,
    ImageAttachment,
)

__all__ = ["AttachmentIdFactory", "LiftedFileStore", "lift_files"]

TContext = TypeVar("TContext")

AttachmentIdFactory: TypeAlias = Callable[[AttachmentCreateParams, Any], str]
"""Returns the id for a new attachment, given what the client says of it and the request's context."""

_METHODS: Final = ("get_upload_url", "get_preview_url", "delete")


def lift_files(
    files: AttachmentStore[TContext] | FileStore | None,
    *,
    store: object | None = None,
    id_factory: AttachmentIdFactory | None = None,
) -> AttachmentStore[TContext] | None:
    """Returns an attachment store for what an application gave; one that is given is returned as it is.

    Args:
        files: An attachment store, a file store whose methods may be sync or async, or None.
        store: The store that the attachments are for; its ``attachment_id_factory``, if it has one, makes the ids.
        id_factory: Makes the ids instead.

    Raises:
        ConfigurationError: The object is neither of the two.
    """
    if files is None or isinstance(files, AttachmentStore):
        return files
    missing = [name for name in _METHODS if not callable(getattr(files, name, None))]
    if missing:
        raise ConfigurationError(
            f"{type(files).__name__} is no file store, it lacks {', '.join(missing)}. Derive it from "
            "chatkit.types.FileStore or from chatkit.files.AttachmentStore."
        )
    factory = id_factory or getattr(store, "attachment_id_factory", None)
    return LiftedFileStore(files, factory)


class LiftedFileStore(AttachmentStore[TContext], Generic[TContext]):
    """Two-phase uploads over a file store, the client PUTs the bytes to the URL that it gives; and direct ones.

    Args:
        files: The file store, which is not changed.
        id_factory: Makes the ids; by default they are random.

    Attributes:
        files: The file store.
    """

    def __init__(self, files: FileStore, id_factory: AttachmentIdFactory | None = None) -> None:
        self.files = files
        self._id_factory = id_factory

    async def create_attachment(self, input: AttachmentCreateParams, context: TContext) -> Attachment:
        """Returns the attachment for a file that the user wants to upload, with its upload descriptor.

        Raises:
            ConfigurationError: The file store gave no URL.
        """
        attachment_id = self._new_id(input, context)
        metadata = _metadata(input)
        url = await settled(self.files.get_upload_url(attachment_id, metadata))
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
        """Stores a file that was posted to the application (direct upload) and returns its attachment.

        Raises:
            UnsupportedOperationError: The file store takes two-phase uploads only.
            ConfigurationError: The file store gave no URL.
        """
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
            await settled(upload(attachment_id, content, metadata))
        return await make_attachment(self.files, attachment_id, input.name, input.mime_type)

    async def check_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Raises if the file store can tell that the file has not arrived, or is not what was announced."""
        if isinstance(self.files, ManagedFileStore):
            await self.files.check_upload(attachment.id, attachment.mime_type)

    async def claim_attachment(self, attachment: Attachment, context: TContext) -> None:
        if isinstance(self.files, ManagedFileStore):
            await self.files.claim(attachment.id)

    async def copy_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        """Returns the attachment with an id and a file of its own, where the file store manages its files."""
        if not isinstance(self.files, ManagedFileStore):
            return attachment
        params = AttachmentCreateParams(name=attachment.name, size=0, mime_type=attachment.mime_type)
        new_id = self._new_id(params, context)
        await self.files.copy(attachment.id, new_id, _metadata(params))
        return attachment.model_copy(update={"id": new_id, "thread_id": None})

    async def refresh_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        """Returns the attachment with a preview URL that is good for a while from now.

        Raises:
            ConfigurationError: The file store gave no URL.
        """
        # A message names it: the upload is over.
        update: dict[str, object] = {"upload_descriptor": None}
        if isinstance(attachment, ImageAttachment):
            if isinstance(self.files, ManagedFileStore):
                url = await self.files.renew_preview_url(attachment.id, str(attachment.preview_url))
            else:
                url = await settled(self.files.get_preview_url(attachment.id))
            update["preview_url"] = checked_url(self.files, "get_preview_url", url)
        return attachment.model_copy(update=update)

    async def sweep_orphans(self) -> int:
        return await self.files.sweep_orphans() if isinstance(self.files, ManagedFileStore) else 0

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await settled(cast("Any", self.files.delete(attachment_id)))

    def _new_id(self, input: AttachmentCreateParams, context: TContext) -> str:
        if self._id_factory is None:
            return self.generate_attachment_id(input.mime_type, context)
        return self._id_factory(input, context)


def _metadata(input: AttachmentCreateParams) -> FileMetadata:
    return FileMetadata(content_type=input.mime_type, name=input.name, size=input.size)
