"""Contract suites for what an application plugs in, to run with pytest, and models that answer by a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chatkit.dialects.openai_chatkit.installation import check_installation

# First: what is imported below may be another distribution's.
check_installation()

# ruff: noqa: E402
from chatkit._lazy import lazy_names
from chatkit.errors import MissingExtraError
from chatkit.testing.counter_contract import CounterContract
from chatkit.testing.file_store_contract import FileStoreContract
from chatkit.testing.model_script import (
    ModelRefusal,
    ModelScript,
    ModelText,
    ModelThoughts,
    ModelToolCall,
    ScriptedAnswer,
)
from chatkit.testing.sessions_contract import SessionsContract
from chatkit.testing.store_contract import StoreContract
from chatkit.testing.stream_log_contract import SharedStreamLogContract, StreamLogContract

if TYPE_CHECKING:
    from chatkit.testing.scripted_model import ModelRequest, ScriptedModel
    from chatkit.testing.scripted_model_app import scripted_model_app

__all__ = [
    "CounterContract",
    "FileStoreContract",
    "ModelRefusal",
    "ModelRequest",
    "ModelScript",
    "ModelText",
    "ModelThoughts",
    "ModelToolCall",
    "ScriptedAnswer",
    "ScriptedModel",
    "SessionsContract",
    "SharedStreamLogContract",
    "StoreContract",
    "StreamLogContract",
    "scripted_model_app",
]

_MODULES: Final = {
    "ModelRequest": "scripted_model",
    "ScriptedModel": "scripted_model",
    "scripted_model_app": "scripted_model_app",
}
_load, __dir__ = lazy_names(__name__, __all__, _MODULES)


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ImportError as error:
        extra = "web" if name == "scripted_model_app" else "agents"
        raise MissingExtraError(
            f"chatkit.testing.{name} needs an extra: pip install 'chatkit-server[{extra}]'."
        ) from error
