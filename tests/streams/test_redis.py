"""The stream log over Redis."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import Connection

from chatkit.errors import StoreUnavailableError
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


async def test_a_connection_that_is_reset_while_it_is_made_is_an_outage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RedisStreamLog(redis_url, prefix=new_id("test") + ":")

    async def reset(*arguments: Any, **options: Any) -> None:
        # As the transport of uvloop says it.
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send_packed_command", reset)
        with pytest.raises(StoreUnavailableError):
            await log.find_key("ada", "k")
        with pytest.raises(StoreUnavailableError):
            await log.claim_interrupted()
    assert await log.find_key("ada", "k") is None
    await log.close()
