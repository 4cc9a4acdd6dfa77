"""The stream log with a backend under its earlier address."""

from __future__ import annotations

from chatkit.streams.log import LEASE
from chatkit.streams.log import StreamLog as SharedStreamLog

__all__ = ["LEASE", "SharedStreamLog"]
