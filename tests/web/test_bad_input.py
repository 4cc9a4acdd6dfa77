"""Every request of the bad-input table gets its status and code, and leaves the store as it was."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from chatkit.sse import SSEDecoder
from chatkit.store import AttachmentStore, SQLiteStore
from chatkit.types import Attachment, AttachmentCreateParams, FileAttachment
from chatkit.web import create_app, install_error_handlers, server_lifespan
from chatkit.web.fastapi import chatkit_router
from tests.support.dumps import dump_of
from tests.support.live_server import live_server
from tests.support.scale import is_within, scaled
from tests.web.bad_requests import SIZE_LIMIT, TABLE, Bad, seed
from tests.web.hand_written import make_app
from tests.web.sample import JSON, SampleServer, message


class Files(AttachmentStore[Any]):
    """Takes uploads in name only; what matters here is that nothing bad comes so far."""

    async def create_attachment(self, input: AttachmentCreateParams, context: Any) -> Attachment:
        return FileAttachment(id=self.generate_attachment_id("", context), name=input.name, mime_type="a/b")

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        raise AssertionError("A file was deleted.")


def context_of(request: Request) -> dict[str, Any]:
    return {"user_id": request.headers["x-user-id"]}


def applications(server: SampleServer) -> dict[str, Any]:
    router = FastAPI()
    router.include_router(chatkit_router(server, context=context_of, max_body_bytes=SIZE_LIMIT))
    by_hand = make_app(server, lifespan=server_lifespan(server))
    install_error_handlers(by_hand)
    return {
        "starlette": create_app(server, context=context_of, max_body_bytes=SIZE_LIMIT),
        "router": router,
        "by_hand": by_hand,
    }


@dataclass
class Target:
    """An application under test, what is in its store, and the ids of it."""

    client: httpx2.Client
    database: Path
    ids: dict[str, str]

    def dump(self) -> list[str]:
        return dump_of(self.database)

    def post(self, content: bytes, headers: dict[str, str]) -> httpx2.Response:
        return self.client.post(
            "/chatkit", content=content, headers={"x-user-id": "alice", **JSON, **headers}
        )


@pytest.fixture(scope="module", params=["starlette", "router", "by_hand"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    database = tmp_path_factory.mktemp("bad") / "chat.db"

    async def prepare() -> dict[str, str]:
        store: SQLiteStore[Any] = SQLiteStore(str(database))
        try:
            return await seed(store)
        finally:
            await store.close()

    ids = asyncio.run(prepare())
    server = SampleServer(SQLiteStore(str(database)), Files())
    with ExitStack() as stack:
        live = stack.enter_context(live_server(applications(server)[request.param]))
        client = stack.enter_context(httpx2.Client(base_url=live.url, timeout=scaled(20)))
        target = Target(client, database, ids)
        body = {**message("hello", thread_id=ids["bob_thread"]), "metadata": {"resumable": True}}
        sent = SSEDecoder().feed(target.post(json.dumps(body).encode(), {"x-user-id": "bob"}).content)
        ids["bob_turn"] = sent[-1].id.partition(":")[0]
        assert ids["bob_turn"]
        yield target


def test_the_table_is_long_and_every_entry_has_a_name() -> None:
    assert len({bad.name for bad in TABLE}) == len(TABLE) >= 40


def test_good_requests_are_not_refused(target: Target) -> None:
    for body in (
        {"type": "threads.list", "params": {"limit": 9999}},
        {"type": "threads.get_by_id", "params": {"thread_id": target.ids["thread"]}},
        {"type": "items.list", "params": {"thread_id": target.ids["thread"], "after": target.ids["answer"]}},
        {"type": "turns.stop", "params": {"thread_id": target.ids["thread"], "turn_id": "turn_unknown"}},
    ):
        assert target.post(json.dumps(body).encode(), {}).status_code == 200
    resume = {
        "type": "turns.resume",
        "params": {"thread_id": target.ids["bob_thread"], "after": f"{target.ids['bob_turn']}:1"},
    }
    assert target.post(json.dumps(resume).encode(), {"x-user-id": "bob"}).status_code == 200


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_a_bad_request_is_refused_and_changes_nothing(
    target: Target, bad: Bad, request: pytest.FixtureRequest
) -> None:
    if bad.at_the_door and request.node.callspec.params["target"] == "by_hand":
        # The endpoint reads any body; what is wrong with this one is found by process(), if anything is.
        return
    before = target.dump()
    begun = time.perf_counter()
    answer = target.post(bad.content(target.ids), bad.headers or {})
    # Some of these took seconds, in which nobody else was served.
    assert is_within(time.perf_counter() - begun, 1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (bad.status, bad.code), answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert len(answer.content) < 500, "what the client sent is not repeated at length"
    assert target.dump() == before
