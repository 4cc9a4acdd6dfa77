"""Stores written for openai-chatkit say in their own ways that an item is not there: that package never asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore, NotFoundError, Store
from chatkit.store.base import find_item
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    CustomTask,
    HiddenContextItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadMetadata,
    Workflow,
    WorkflowItem,
)
from tests.server.support import ADA, LIMIT, ScriptedServer, read, user_input


class NoSuchRowError(Exception):
    """The application's own."""


class OwnStore(MemoryStore[Any]):
    """Has no operation of its own for items that may be stored already, as stores of 1.6.5.

    Args:
        says: What it raises where there is no item; None to return None.
    """

    put_thread_item = Store.put_thread_item

    def __init__(self, says: Exception | None) -> None:
        super().__init__()
        self.says = says

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        try:
            return await super().load_item(thread_id, item_id, context)
        except NotFoundError:
            if self.says is None:
                return None
            raise self.says from None

    async def kept(self) -> list[ThreadItem]:
        [thread] = (await self.load_threads(10, None, "asc", ADA)).data
        return (await self.load_thread_items(thread.id, None, 50, "asc", ADA)).data


HI = user_input("Hi")
ANSWERS = [KeyError("wf_1"), ValueError("no such item"), NoSuchRowError(), NotImplementedError(), None]


def message(item_id: str, text: str = "") -> AssistantMessageItem:
    return AssistantMessageItem(id=item_id, content=[AssistantMessageContent(text=text)])


@pytest.mark.parametrize("says", ANSWERS, ids=repr)
async def test_workflows_removals_and_hidden_items_need_no_loading(says: Exception | None) -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        workflow = Workflow(type="custom", tasks=[CustomTask(title="Looking")])
        yield ThreadItemAddedEvent(item=WorkflowItem(id="wf_1", workflow=workflow))
        yield ThreadItemDoneEvent(item=WorkflowItem(id="wf_1", workflow=workflow))
        yield ThreadItemDoneEvent(item=HiddenContextItem(id="hid_1", content="x"))
        yield ThreadItemRemovedEvent(item_id="msg_never")
        yield ThreadItemDoneEvent(item=message("msg_1", "Found."))
        yield ThreadItemDoneEvent(item=WorkflowItem(id="wf_1", workflow=workflow))

    store = OwnStore(says)
    events = [event["type"] for event in await ScriptedServer(script, store).ask("threads.create", input=HI)]
    assert "error" not in events
    assert [item.id for item in await store.kept()][1:] == ["wf_1", "hid_1", "msg_1"]


@pytest.mark.parametrize("says", ANSWERS, ids=repr)
async def test_a_stopped_answer_is_kept(says: Exception | None) -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=message("msg_1", "The first words"))
        await asyncio.Event().wait()

    store = OwnStore(says)
    result = await ScriptedServer(script, store).send("threads.create", input=HI)
    await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await result.aclose()
    assert [(item.id, item.type) for item in await store.kept()][1:2] == [("msg_1", "assistant_message")]


@pytest.mark.parametrize("says", ANSWERS, ids=repr)
async def test_feedback_on_an_item_that_is_not_there_is_not_found(says: Exception | None) -> None:
    server = ScriptedServer(store=OwnStore(says))
    thread_id = await server.new_thread()
    [message] = await server.items(thread_id)
    feedback = {"thread_id": thread_id, "kind": "positive"}
    assert await server.ask("items.feedback", **feedback, item_ids=[message.id]) == {}
    with pytest.raises(NotFoundError):
        await server.ask("items.feedback", **feedback, item_ids=[message.id, "msg_never"])


async def test_an_error_of_the_stores_own_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class TellingStore(OwnStore):
        pass

    store = TellingStore(KeyError("x"))
    await store.save_thread(ThreadMetadata(id="thr_1"), ADA)
    with caplog.at_level(logging.WARNING, "chatkit.store"):
        for _ in range(3):
            assert await find_item(store, "thr_1", "msg_1", ADA) is None
    [told] = caplog.messages
    assert "TellingStore.load_item() raised KeyError" in told
    assert "chatkit.store.NotFoundError" in told


@pytest.mark.parametrize("says", [StoreUnavailableError(), ConnectionResetError(), TimeoutError()], ids=repr)
async def test_a_store_that_cannot_be_used_is_not_taken_for_an_empty_one(says: Exception) -> None:
    store = OwnStore(says)
    with pytest.raises(type(says)):
        await find_item(store, "thr_1", "msg_1", ADA)
