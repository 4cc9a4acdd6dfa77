"""The name under which a server's calls of models travel."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version

from chatkit import __version__
from chatkit.errors import MissingExtraError

__all__ = ["agents_sdk_user_agent_override"]


@contextmanager
def agents_sdk_user_agent_override() -> Generator[None]:
    """Within it, the Agents SDK names this package in the ``User-Agent`` of its requests to OpenAI's API.

    Other headers that were overridden stay so, and so does a ``User-Agent``.

    Raises:
        MissingExtraError: The Agents SDK is not installed.
    """
    try:
        from agents.models import chatcmpl_helpers, openai_responses
    except ImportError as error:
        raise MissingExtraError(
            "agents_sdk_user_agent_override() needs the OpenAI Agents SDK: pip install 'chatkit-server[agents]'."
        ) from error
    name = {"User-Agent": f"Agents/Python {version('openai-agents')} chatkit-server/Python {__version__}"}
    overrides = (
        chatcmpl_helpers.HEADERS_OVERRIDE,
        openai_responses._HEADERS_OVERRIDE,  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 -- there is no other
    )
    tokens = [(variable, variable.set({**name, **(variable.get() or {})})) for variable in overrides]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)
