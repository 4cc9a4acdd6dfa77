"""The kinds of projects that ``chatkit new`` makes."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Auth", "Template"]

Template: TypeAlias = Literal["agents", "pydantic-ai", "langgraph"]
"""The framework of the agent."""

Auth: TypeAlias = Literal["trial", "oidc", "own"]
"""Who may use the chat: whoever reaches it, users with a token, or those of the application's session."""
