"""What ``chatkit check`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "Status", "note", "ok", "problem"]

Status: TypeAlias = Literal["ok", "note", "problem"]
"""As it should be, worth knowing, or in the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: What it is, such as ``database``.
        status: How it is.
        message: What was found, and what to do about it.
    """

    about: str
    status: Status
    message: str


def ok(about: str, message: str) -> Finding:
    """Returns a finding of what is as it should be."""
    return Finding(about, "ok", message)


def note(about: str, message: str) -> Finding:
    """Returns a finding that is worth knowing."""
    return Finding(about, "note", message)


def problem(about: str, message: str) -> Finding:
    """Returns a finding of what is in the way."""
    return Finding(about, "problem", message)
