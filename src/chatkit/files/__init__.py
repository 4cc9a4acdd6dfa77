"""Where the bytes of attachments are kept: the ports, and the stores that come with this package.

An adapter is imported when its name is used, so that this module needs no driver; ``S3FileStore`` needs the extra
``chatkit-server[s3]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chatkit.files.base import AttachmentStore, ManagedFileStore
from chatkit.files.limits import FileLimits
from chatkit.types import FileMetadata, FileStore

if TYPE_CHECKING:
    from chatkit.files.local import LocalFileStore
    from chatkit.files.s3 import S3FileStore

__all__ = [
    "AttachmentStore",
    "FileLimits",
    "FileMetadata",
    "FileStore",
    "LocalFileStore",
    "ManagedFileStore",
    "S3FileStore",
]

_ADAPTERS: Final = {
    "LocalFileStore": "chatkit.files.local",
    "S3FileStore": "chatkit.files.s3",
}


def __getattr__(name: str) -> Any:
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    adapter = getattr(import_module(_ADAPTERS[name]), name)
    globals()[name] = adapter
    return adapter


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
