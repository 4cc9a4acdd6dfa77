"""The stream log over Redis."""

from __future__ import annotations

import pytest

from chatkit.ids import new_id
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing import SharedStreamLogContract, StreamLogContract


class TestRedisStreamLog(StreamLogContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def make_log(self) -> RedisStreamLog:
        return RedisStreamLog(self.url, prefix=new_id("test") + ":")


class TestSmallRedisStreamLog(TestRedisStreamLog):
    window = 1000
    lag_limit = 500

    def make_log(self) -> RedisStreamLog:
        return RedisStreamLog(
            self.url, prefix=new_id("test") + ":", window=self.window, lag_limit=self.lag_limit
        )


class TestSharedRedisStreamLog(SharedStreamLogContract):
    window = 10_000

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url
        self.prefix = new_id("test") + ":"

    def make_log(self) -> RedisStreamLog:
        return RedisStreamLog(self.url, prefix=self.prefix, window=self.window, lease=self.lease)
