"""Turns that a crash cut off are finalised: at the start, or by the owner's next request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatkit.errors import NotFoundError
from chatkit.server.wire import item_json
from chatkit.streams.base import InterruptedTurn, LogEntry, TurnInfo
from chatkit.streams.memory import MemoryStreamLog
from chatkit.streams.snapshot import added_event, done_event
from chatkit.types import CustomTask, Workflow, WorkflowItem, to_wire
from tests.server.recorded.plain_store import PlainStore
from tests.server.support import ADA, BOB, ScriptedServer, delta, message, silent, texts


class CrashedLog(MemoryStreamLog):
    """Hands out turns of a worker that died."""

    def __init__(self) -> None:
        super().__init__()
        self.left_behind: list[InterruptedTurn] = []
        self.settled: list[str] = []

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        return [turn for turn in self.left_behind if turn.info.id not in self.settled]

    async def settle(self, turn_id: str) -> None:
        self.settled.append(turn_id)


class OwnedStore(PlainStore):
    """Checks the owner by the context, and knows no owners itself."""

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        if context != ADA:
            raise NotFoundError
        return await super().load_thread(thread_id, context)


def workflow() -> Any:
    task = CustomTask(title="a", status_indicator="loading")
    return WorkflowItem(id="wf", workflow=Workflow(type="custom", tasks=[task]))


async def crashed(store: Any, **options: Any) -> tuple[ScriptedServer, CrashedLog, str]:
    log = CrashedLog()
    server = ScriptedServer(silent, store, stream_log=log, **options)
    thread_id = await server.new_thread()

    def own(item: Any) -> Any:
        return item.model_copy(update={"thread_id": thread_id})

    update = {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": " text"}
    event = delta("x").model_copy(update={"delta": None})
    head = to_wire(event)[:-1]
    update_json = json.dumps(update).encode()
    entries = [
        done_event(item_json(own(message("Whole", "msg_0")))),
        added_event(item_json(own(message("Partial")))),
        head + b',"update":' + update_json + b"}",
        added_event(item_json(own(message(" ", "msg_empty")))),
        added_event(item_json(own(workflow()))),
        b'{"type": "of a later version"}',
    ]
    info = TurnInfo("turn_dead", thread_id, owner="ada")
    log.left_behind.append(InterruptedTurn(info, [LogEntry(n, data) for n, data in enumerate(entries, 1)]))
    return server, log, thread_id


async def assert_finalised(server: ScriptedServer, log: CrashedLog, thread_id: str) -> None:
    items = await server.items(thread_id)
    assert texts(items)[:1] == ["Partial text"]
    assert [item.id for item in items][1:3] == ["msg_1", "wf"]
    assert items[2].workflow.tasks[0].status_indicator == "none"
    assert log.settled == ["turn_dead"]


async def test_a_store_that_takes_owners_needs_no_request(store: Any) -> None:
    server, log, thread_id = await crashed(store)
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)
    assert await server.recover() == 0


async def test_the_application_makes_a_context() -> None:
    class Server(ScriptedServer):
        def recovery_context(self, owner: str | None, thread_id: str) -> Any:
            return {"user_id": owner}

    server, log, thread_id = await crashed(OwnedStore())
    server.__class__ = Server
    assert await server.recover() == 1
    await assert_finalised(server, log, thread_id)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("threads.add_user_message", {"input": {"content": []}}),
    ],
)
async def test_the_owners_next_request_finalises_and_no_other(kind: str, params: Any) -> None:
    server, log, thread_id = await crashed(OwnedStore())
    assert await server.recover() == 0
    assert await server.recover() == 0
    with pytest.raises(NotFoundError):
        await server.send(kind, BOB, thread_id=thread_id, **params)
    assert log.settled == []
    await server.ask(kind, thread_id=thread_id, **params)
    await assert_finalised(server, log, thread_id)


async def test_a_thread_that_is_gone_is_settled(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    server, log, thread_id = await crashed(store)
    await server._store().delete_thread(thread_id, ADA)
    assert await server.recover() == 1
    assert log.settled == ["turn_dead"]
