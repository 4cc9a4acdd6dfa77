"""Readiness probes that anybody may send at any rate: the store is asked once a second."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore
from chatkit.web import create_app, lifecycle, single_user
from tests.web.sample import SampleServer


class CountingStore(MemoryStore[dict[str, str]]):
    checks = 0
    fails = False

    async def check(self) -> None:
        self.checks += 1
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailableError


async def test_many_probes_ask_the_store_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_CHECK_HOLDS_SECONDS", 3600.0)
    store = CountingStore()
    transport = httpx2.ASGITransport(create_app(SampleServer(store), context=single_user()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://chat") as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
        answers += [await client.get("/readyz") for _ in range(50)]
        assert {answer.status_code for answer in answers} == {200}
        assert store.checks == 1
        monkeypatch.setattr(lifecycle, "_CHECK_HOLDS_SECONDS", 0.0)
        store.fails = True
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {503}
        assert store.checks == 2
