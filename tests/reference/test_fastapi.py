"""The reference's endpoints over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.reference.conftest import Load
from tests.reference.turns import action, kinds, message
from tests.support.live_server import live_server
from tests.support.scale import FAST, scaled

pytestmark = pytest.mark.filterwarnings("ignore:The default datetime adapter is deprecated")

PAGE = {
    "Accept": "text/event-stream",
    "Origin": "http://localhost:5173",
    "chatkit-frame-instance-id": "frame_1",
}
ADA, BOB = ({"Authorization": f"Bearer token-of-{name}"} for name in ("ada", "bob"))


@asynccontextmanager
async def visitor(app: Any, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Serves an application, and visits it as a stock page does."""
    with live_server(app) as server:
        async with httpx2.AsyncClient(
            base_url=server.url, headers={**PAGE, **headers}, timeout=scaled(30)
        ) as http:
            yield http


def events_of(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    frames = response.text.split("\n\n")
    assert frames.pop() == ""
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@pytest.fixture
def setup(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The complete server; its store keeps chatkit.db in the working folder."""
    monkeypatch.chdir(tmp_path)
    yield load("Complete Server Setup")
    assert FAST or (tmp_path / "chatkit.db").is_file()


async def test_the_complete_server(setup: Any) -> None:
    async with visitor(setup.app, **{"x-user-id": "ada"}) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})

        response = await http.post("/chatkit", json=message("Hello"))
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
        events = events_of(response)
        assert kinds(events) == [
            "thread.created",
            "thread.item.done",
            "stream_options",
            "thread.item.added",
            "thread.item.done",
        ]
        thread_id = events[0]["thread"]["id"]
        chosen = events_of(
            await http.post("/chatkit", json=action(thread_id, "select_option", {"option": "tea"}))
        )
        response = await http.post(
            "/chatkit", json={"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
        )
        assert response.headers["content-type"] == "application/json"
        assert response.json()["items"]["data"] == [
            event["item"] for event in [*events, *chosen] if event["type"] == "thread.item.done"
        ]


async def test_a_page_may_ask_before_it_sends(setup: Any) -> None:
    async with visitor(setup.app, **{"x-user-id": "ada"}) as http:
        preflight = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, chatkit-frame-instance-id, content-type",
        }
        response = await http.options("/chatkit", headers=preflight)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
        refused = await http.options("/chatkit", headers={**preflight, "Origin": "https://evil.example"})
        assert refused.status_code == 400
        # Anything that touches the store: the fixture looks for its file.
        events_of(await http.post("/chatkit", json=message("Hello")))


async def test_it_streams(setup: Any, load: Load) -> None:
    gate = load("respond()").gate
    gate.clear()
    try:
        async with (
            visitor(setup.app, **{"x-user-id": "ada"}) as http,
            http.stream("POST", "/chatkit", json=message("Hello")) as response,
        ):
            received = ""
            async for text in response.aiter_text():
                received += text
                if "stream_options" in received and not gate.is_set():
                    # The handler waits at the gate: what was received cannot have been held back to its end.
                    assert "thread.item.added" not in received
                    gate.set()
        assert "You said Hello" in received
    finally:
        gate.set()


async def test_authentication(load: Load) -> None:
    module = load("With Authentication")
    async with visitor(module.app) as http:
        for headers in ({}, {"Authorization": "Basic YWRhOmFkYQ=="}):
            assert (await http.post("/chatkit", json=message("Hello"), headers=headers)).status_code in {
                401,
                403,
            }
        wrong = {"Authorization": "Bearer nonsense"}
        response = await http.post("/chatkit", json=message("Hello"), headers=wrong)
        assert (response.status_code, response.json()) == (401, {"detail": "Invalid token"})

        # Not signed in, nothing was written; and what each of two users writes is theirs.
        everything = {"type": "threads.list", "params": {"limit": 9999, "order": "desc"}}
        for headers in (ADA, BOB):
            listed = await http.post("/chatkit", json=everything, headers=headers)
            assert listed.json() == {"data": [], "has_more": False}
        created = events_of(await http.post("/chatkit", json=message("Hello"), headers=ADA))
        assert kinds(created)[-1] == "thread.item.done"
        for headers, count in ((ADA, 1), (BOB, 0)):
            listed = await http.post("/chatkit", json=everything, headers=headers)
            assert len(listed.json()["data"]) == count
