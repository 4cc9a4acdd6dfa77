"""Noticing what a handler changes on its thread, without comparing all of it at every event."""

from __future__ import annotations

import copy
from typing import Any

from chatkit.types import ThreadMetadata

__all__ = ["ThreadEdits"]

_FIELDS = ("title", "status", "allowed_image_domains", "metadata")


class ThreadEdits:
    """Watches a thread that a handler may edit.

    Reassigned fields are found by identity, at any time and at the cost of four pointer comparisons; changes inside of
    ``metadata``, ``allowed_image_domains`` and ``status`` by value, when ``deep`` is asked for.
    """

    def __init__(self, thread: ThreadMetadata) -> None:
        self.thread = thread
        self._remember()

    def _remember(self) -> None:
        thread = self.thread
        self._title = thread.title
        self._status = thread.status
        self._domains = thread.allowed_image_domains
        self._metadata = thread.metadata
        self._values = copy.deepcopy({name: getattr(thread, name) for name in _FIELDS})

    def reassigned(self) -> bool:
        """Tells whether any field holds another object than before."""
        thread = self.thread
        return (
            thread.title is not self._title
            or thread.status is not self._status
            or thread.allowed_image_domains is not self._domains
            or thread.metadata is not self._metadata
        )

    def take(self) -> dict[str, Any]:
        """Returns the fields whose values changed since the last call, as copies, and remembers the present state."""
        before = self._values
        changed = {
            name: copy.deepcopy(value)
            for name in _FIELDS
            if (value := getattr(self.thread, name)) != before[name]
        }
        if changed or self.reassigned():
            self._remember()
        return changed
