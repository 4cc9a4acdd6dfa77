"""Contract suites for what an application plugs in, to run with pytest, and models that answer by a script."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chatkit._installation import check_installation

# First: what is imported below may be another distribution's.
check_installation()

# ruff: noqa: E402
from chatkit.errors import MissingExtraError
from chatkit.testing.file_store_contract import FileStoreContract
from chatkit.testing.model_script import (
    ModelRefusal,
    ModelScript,
    ModelText,
    ModelThoughts,
    ModelToolCall,
    ScriptedAnswer,
)
from chatkit.testing.shared_log_contract import SharedStreamLogContract
from chatkit.testing.store_contract import StoreContract
from chatkit.testing.stream_log_contract import StreamLogContract

if TYPE_CHECKING:
    from chatkit.testing.scripted_model import ModelRequest, ScriptedModel
    from chatkit.testing.scripted_model_app import scripted_model_app

__all__ = [
    "FileStoreContract",
    "ModelRefusal",
    "ModelRequest",
    "ModelScript",
    "ModelText",
    "ModelThoughts",
    "ModelToolCall",
    "ScriptedAnswer",
    "ScriptedModel",
    "SharedStreamLogContract",
    "StoreContract",
    "StreamLogContract",
    "scripted_model_app",
]

_OPTIONAL: Final = {
    "ModelRequest": ("scripted_model", "agents"),
    "ScriptedModel": ("scripted_model", "agents"),
    "scripted_model_app": ("scripted_model_app", "web"),
}
"""Name -> module, and the extra that it needs."""


def __getattr__(name: str) -> Any:
    if name not in _OPTIONAL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _OPTIONAL[name]
    try:
        found = getattr(import_module(f"chatkit.testing.{module}"), name)
    except ImportError as error:
        raise MissingExtraError(
            f"chatkit.testing.{name} needs an extra: pip install 'chatkit-server[{extra}]'."
        ) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
