"""The stream log over Redis."""

from __future__ import annotations

import pytest

from chatkit.ids import new_id
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing import StreamLogContract


class TestRedisStreamLog(StreamLogContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def make_log(self) -> RedisStreamLog:
        return RedisStreamLog(self.url, prefix=new_id("test") + ":")
