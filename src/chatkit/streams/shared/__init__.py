"""What the logs that workers share have in common; a server's adapter adds its :class:`Backend`."""

from __future__ import annotations

from chatkit.streams.shared.backend import Backend
from chatkit.streams.shared.log import SharedStreamLog

__all__ = ["Backend", "SharedStreamLog"]
