"""The server side of chat with AI agents.

An application subclasses :class:`chatkit.server.ChatKitServer`, yields text or events from ``respond()``, and any
ChatKit front end talks to it over one HTTP endpoint. Importing this package imports nothing else; the names below are
loaded when they are used. Others are in ``chatkit.server``, ``chatkit.types``, ``chatkit.store`` and their siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.actions import Action
    from chatkit.files import LocalFileStore, S3FileStore
    from chatkit.frameworks import first_words
    from chatkit.limits import Limits
    from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
    from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
    from chatkit.types import ThreadMetadata, UserMessageItem, WidgetItem
    from chatkit.web import create_app

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ChatKitServer",
    "Limits",
    "LocalFileStore",
    "MemoryStore",
    "NonStreamingResult",
    "PostgresStore",
    "S3FileStore",
    "SQLiteStore",
    "StreamingResult",
    "ThreadMetadata",
    "UserMessageItem",
    "WidgetItem",
    "__version__",
    "create_app",
    "first_words",
]

_MODULES = {
    "Action": "actions",
    "ChatKitServer": "server",
    "Limits": "limits",
    "LocalFileStore": "files",
    "MemoryStore": "store",
    "NonStreamingResult": "server",
    "PostgresStore": "store",
    "S3FileStore": "files",
    "SQLiteStore": "store",
    "StreamingResult": "server",
    "ThreadMetadata": "types",
    "UserMessageItem": "types",
    "WidgetItem": "types",
    "create_app": "web",
    "first_words": "frameworks",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(
            f"module 'chatkit' has no attribute {name!r}; look in chatkit.server, chatkit.types, chatkit.store and "
            "their siblings"
        )
    from importlib import import_module

    return getattr(import_module(f"chatkit.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
