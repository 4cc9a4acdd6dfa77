"""The stream log with a backend under its earlier name."""

from __future__ import annotations

from chatkit.streams.backend import Backend
from chatkit.streams.log import StreamLog as SharedStreamLog

__all__ = ["Backend", "SharedStreamLog"]
