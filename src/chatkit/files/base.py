"""The attachment store port: where attachments are registered and their bytes deleted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from chatkit.errors import UnsupportedOperationError
from chatkit.ids import new_id
from chatkit.types import Attachment, AttachmentCreateParams

__all__ = ["AttachmentStore"]

TContext = TypeVar("TContext")


class AttachmentStore(ABC, Generic[TContext]):
    """Keeps the bytes of attachments; their records are the store's.

    The methods are those of ``openai-chatkit`` 1.6.5.
    """

    @abstractmethod
    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Deletes the attachment's bytes; deleting what does not exist is no error."""

    async def create_attachment(self, input: AttachmentCreateParams, context: TContext) -> Attachment:
        """Returns the attachment for a file that the user wants to upload, with its upload descriptor.

        Raises:
            UnsupportedOperationError: This store takes direct uploads only.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} must override create_attachment() to take two-phase uploads."
        )

    def generate_attachment_id(self, mime_type: str, context: TContext) -> str:
        """Returns an id for a new attachment."""
        return new_id("attachment")
