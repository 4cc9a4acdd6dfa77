"""Stores for the bytes of attachments, and their ports.

An adapter is imported when its name is used, so that this module needs no driver; ``S3FileStore`` needs the extra
``chatkit-server[s3]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit._lazy import lazy_names
from chatkit.files.base import AttachmentStore, ManagedFileStore
from chatkit.files.limits import FileLimits
from chatkit.files.scanning import FileScanner
from chatkit.types import FileMetadata, FileStore

if TYPE_CHECKING:
    from chatkit.files.local import LocalFileStore
    from chatkit.files.s3 import S3FileStore

__all__ = [
    "AttachmentStore",
    "FileLimits",
    "FileMetadata",
    "FileScanner",
    "FileStore",
    "LocalFileStore",
    "ManagedFileStore",
    "S3FileStore",
]

__getattr__, __dir__ = lazy_names(__name__, __all__, {"LocalFileStore": "local", "S3FileStore": "s3"})
