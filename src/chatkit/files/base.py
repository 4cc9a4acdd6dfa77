"""The ports of attachment stores and of file stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Generic, TypeVar

from chatkit.errors import UnsupportedOperationError
from chatkit.ids import new_id
from chatkit.types import Attachment, AttachmentCreateParams, FileMetadata, FileStore

__all__ = ["AttachmentStore", "ManagedFileStore"]

TContext = TypeVar("TContext")


class AttachmentStore(ABC, Generic[TContext]):
    """Keeps the bytes of attachments; their records are the store's.

    The first three methods are those of ``openai-chatkit`` 1.6.5; the others are optional.
    """

    @abstractmethod
    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Deletes the attachment's bytes; deleting what does not exist is no error.

        Args:
            attachment_id: The attachment.
            context: The request's context.
        """

    async def create_attachment(self, input: AttachmentCreateParams, context: TContext) -> Attachment:
        """Returns the attachment for a file that the user wants to upload, with its upload descriptor.

        Args:
            input: What the client says of the file.
            context: The request's context.

        Raises:
            UnsupportedOperationError: This store takes direct uploads only.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} must override create_attachment() to take two-phase uploads."
        )

    def generate_attachment_id(self, mime_type: str, context: TContext) -> str:
        """Returns an id for a new attachment.

        Args:
            mime_type: The media type of the file.
            context: The request's context.
        """
        return new_id("attachment")

    # Optional methods.

    async def upload_attachment(
        self, input: AttachmentCreateParams, source: Path, context: TContext
    ) -> Attachment:
        """Stores a file that was posted to the application (direct upload) and returns its attachment.

        Args:
            input: What the file is, checked against its bytes already.
            source: The file, which may be moved away.
            context: The request's context.

        Raises:
            UnsupportedOperationError: This store takes two-phase uploads only.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} must override upload_attachment() to take direct uploads."
        )

    async def check_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Raises if a message must not name the attachment. By default every attachment is good.

        Args:
            attachment: The attachment's record.
            context: The request's context.

        Raises:
            UploadIncompleteError: Its file has not arrived.
            UnsupportedMediaTypeError: The file is not what was announced.
        """

    async def claim_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Notes that a message names the attachment, so that it is no orphan. Called before the message is stored.

        Args:
            attachment: The attachment's record.
            context: The request's context.
        """

    async def release_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Takes a claim back: the message was not stored after all, and no other names the attachment.

        Args:
            attachment: The attachment's record.
            context: The request's context.
        """

    async def copy_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        """Returns an attachment for a message of another thread than the one that has this attachment.

        A copy has a file of its own, an orphan until it is claimed, so that either thread can be deleted without the
        other. By default what is given is returned, and the file goes with the thread that named it last.

        Args:
            attachment: The attachment's record.
            context: The request's context.
        """
        return attachment

    async def refresh_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        """Returns the attachment as it is to be shown now, its links renewed; what is given is not changed.

        Args:
            attachment: The attachment's record.
            context: The request's context.
        """
        return attachment

    @property
    def orphan_age(self) -> float | None:
        """Seconds after which a file that no message has come for is an orphan; None if none ever is."""
        return None

    async def sweep_orphans(self) -> int:
        """Deletes files that no message has come for, and returns how many there were."""
        return 0


class ManagedFileStore(FileStore):
    """A file store that also reads back, checks what arrived, and finds files that no message came for.

    Attributes:
        orphan_age: Seconds after which a file that was not claimed is an orphan.
    """

    orphan_age: float = 86400

    @abstractmethod
    async def upload_path(self, file_id: str, source: Path, metadata: FileMetadata) -> str:
        """Stores a file, which may be moved away, and returns a URL of its content.

        Args:
            file_id: The id of the new file.
            source: Where the file is now.
            metadata: Its name, media type and size.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """

    @abstractmethod
    async def read(self, file_id: str) -> bytes:
        """Returns the file's content.

        Raises:
            NotFoundError: There is no such file.
        """

    async def chunks(self, file_id: str) -> AsyncIterator[bytes]:
        """Yields the file's content piece by piece; all at once, unless a store does better.

        Raises:
            NotFoundError: There is no such file.
        """
        yield await self.read(file_id)

    async def preview(self, file_id: str) -> bytes | None:
        """Returns the small picture that is shown for a file; None where there is none, as by default."""
        return None

    async def put_back(
        self, file_id: str, source: Path, metadata: FileMetadata, preview: bytes | None = None
    ) -> None:
        """Stores a file that was exported, outside of a request; it is an orphan until it is claimed.

        Args:
            file_id: The id of the file.
            source: Where the file is now; it may be moved away.
            metadata: Its name, media type and size.
            preview: The small picture that is shown for it; stores may make one themselves.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """
        await self.upload_path(file_id, source, metadata)

    async def abort_uploads(self, file_ids: Collection[str]) -> int:
        """Deletes what arrived of files whose upload never ended, and returns how many there were; none by default."""
        return 0

    async def copy(self, file_id: str, new_id: str, metadata: FileMetadata) -> None:
        """Stores a copy of a file under another id; it is an orphan until it is claimed.

        Args:
            file_id: The file.
            new_id: The id of the copy.
            metadata: Name and media type of the copy.

        Raises:
            NotFoundError: There is no such file.
        """
        content = await self.read(file_id)
        await self.upload(new_id, content, metadata.model_copy(update={"size": len(content)}))

    @abstractmethod
    async def get_content_url(self, file_id: str, name: str = "") -> str:
        """Returns a URL under which a browser downloads the file, under a name of its own if one is given.

        Args:
            file_id: The file.
            name: The name that the browser saves it under; empty leaves that to the store.
        """

    async def renew_preview_url(self, file_id: str, url: str) -> str:
        """Returns a URL for what an earlier preview URL of the file leads to, good for a while from now.

        Args:
            file_id: The file.
            url: The earlier URL.
        """
        return await self.get_preview_url(file_id)

    @abstractmethod
    def upload_headers(self, metadata: FileMetadata) -> dict[str, str]:
        """Returns the headers that a client has to send to the URL of ``get_upload_url``."""

    @abstractmethod
    async def check_upload(self, file_id: str, mime_type: str) -> None:
        """Returns if the file is there and is what was announced.

        Args:
            file_id: The file.
            mime_type: The media type that was announced.

        Raises:
            UploadIncompleteError: It is not there, or is an orphan by now.
            ChatKitError: It is something else; it was deleted.
        """

    @abstractmethod
    async def claim(self, file_id: str) -> None:
        """Notes that the file is in use: ``sweep_orphans`` leaves it from now on."""

    async def release(self, file_id: str) -> None:
        """Takes a claim back: the file is an orphan again if it is not claimed in time. Stores may leave this out."""

    @abstractmethod
    async def sweep_orphans(self) -> int:
        """Deletes the files that were not claimed in time, and returns how many there were."""
