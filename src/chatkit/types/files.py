"""The file store interface of the server integration reference.

:class:`chatkit.files.AttachmentStore` is the fuller interface; the server adapts a ``FileStore`` to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pydantic import AliasChoices, Field

from chatkit.types.base import Model

__all__ = ["FileMetadata", "FileStore"]


class FileMetadata(Model):
    """What is known of a file.

    Attributes:
        content_type: Media type; ``mime_type=`` is accepted too.
        name: File name as the user gave it.
        size: Bytes, as announced by the client.
        metadata: The application's own data.
    """

    content_type: str = Field(validation_alias=AliasChoices("content_type", "mime_type"))
    name: str = Field(default="", validation_alias=AliasChoices("name", "filename"))
    size: int = 0
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def mime_type(self) -> str:
        """Same as ``content_type``."""
        return self.content_type

    @property
    def filename(self) -> str:
        """Same as ``name``."""
        return self.name


class FileStore(ABC):
    """Keeps the bytes of attachments."""

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        """Stores a file that was posted to the application (direct upload) and returns its URL.

        Not every store takes direct uploads; one that does overrides this.

        Args:
            file_id: The id of the new file.
            content: Its bytes.
            metadata: Its name, media type and size.

        Raises:
            NotImplementedError: The store takes two-phase uploads only.
        """
        raise NotImplementedError(
            f"{type(self).__name__} takes no direct uploads: override upload(), or use two-phase uploads"
        )

    @abstractmethod
    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        """Returns a signed URL that the client PUTs the file to (two-phase upload).

        Args:
            file_id: The id of the new file.
            metadata: Its name, media type and size, as announced.
        """

    @abstractmethod
    async def get_preview_url(self, file_id: str) -> str:
        """Returns a URL under which a browser shows the file."""

    @abstractmethod
    async def delete(self, file_id: str) -> None:
        """Deletes the file; deleting one that does not exist is no error."""
