"""The earlier address of the contract suite for stream logs that workers share."""

from __future__ import annotations

from chatkit.testing.stream_log_contract import SharedStreamLogContract

__all__ = ["SharedStreamLogContract"]
