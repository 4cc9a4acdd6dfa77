"""Sets the ``User-Agent`` of model calls that the Agents SDK makes during a turn.

The Agents SDK is not imported here: where it is not in use, there is nothing to do.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final, TypeAlias, cast

from chatkit import __version__

__all__ = ["agents_sdk_user_agent_override", "override_user_agent"]

_Headers: TypeAlias = ContextVar[dict[str, str] | None]

_OVERRIDES: Final = (
    ("agents.models.chatcmpl_helpers", "HEADERS_OVERRIDE"),
    ("agents.models.openai_responses", "_HEADERS_OVERRIDE"),
)
"""Where the SDK keeps what goes over its own headers: for Chat Completions and for the Responses API."""
_NAME: Final = "User-Agent"


@contextmanager
def agents_sdk_user_agent_override() -> Generator[None, None, None]:
    """Has the Agents SDK tell models that this package calls them, with the version of both.

    Every turn does so for its handler. An override of the ``User-Agent`` that is there already stays. Holds for the
    code in the block and the tasks that it starts, and does nothing while the SDK is not imported.
    """
    tokens = override_user_agent()
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def override_user_agent() -> list[tuple[_Headers, Token[dict[str, str] | None]]]:
    """Does the same until the end of the running context; returns what takes it back."""
    tokens: list[tuple[_Headers, Token[dict[str, str] | None]]] = []
    sdk: Any = sys.modules.get("agents")
    version = getattr(sdk, "__version__", None)
    for module, name in _OVERRIDES:
        variable: Any = getattr(sys.modules.get(module), name, None)
        if not isinstance(variable, ContextVar) or version is None:
            continue
        headers = cast("_Headers", variable)
        present = headers.get() or {}
        if _NAME not in present:
            agent = f"Agents/Python {version} ChatKit/Python {__version__}"
            tokens.append((headers, headers.set({**present, _NAME: agent})))
    return tokens
