"""The stream log over Redis."""

from __future__ import annotations

import pytest

from chatkit.ids import new_id
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing import StreamLogContract


class TestRedisStreamLog(StreamLogContract):
    shared = True
    window = 10_000

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url
        self.prefix = new_id("test") + ":"

    def make_log(self) -> RedisStreamLog:
        return RedisStreamLog(
            self.url, prefix=self.prefix, window=self.window, lag_limit=self.lag_limit, lease=self.lease
        )


class TestSmallRedisStreamLog(TestRedisStreamLog):
    shared = False
    window = 1000
    lag_limit = 500
