"""The stream log in memory."""

from __future__ import annotations

from chatkit.streams import MemoryStreamLog
from chatkit.testing import StreamLogContract


class TestMemoryStreamLog(StreamLogContract):
    def make_log(self) -> MemoryStreamLog:
        return MemoryStreamLog()


class TestSmallMemoryStreamLog(StreamLogContract):
    window = 1000
    lag_limit = 500

    def make_log(self) -> MemoryStreamLog:
        return MemoryStreamLog(window=self.window, lag_limit=self.lag_limit)
