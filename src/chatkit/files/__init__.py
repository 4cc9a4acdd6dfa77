"""Where the bytes of attachments are kept: the port, and the reference's simpler interface for the same."""

from chatkit.files.base import AttachmentStore
from chatkit.types import FileMetadata, FileStore

__all__ = ["AttachmentStore", "FileMetadata", "FileStore"]
