"""Stores that are full by their methods, not by their class."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from chatkit.agents import AgentContext
from chatkit.dialects.adapters import adapt_store
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, NotFoundError, Store
from chatkit.testing import StoreContract
from chatkit.types import AssistantMessageItem, Page, ThreadItemDoneEvent, ThreadMetadata

ADA = {"user_id": "ada"}


class Server(ChatKitServer[Any]):
    async def respond(self, thread: Any, input: Any, context: Any) -> Any:
        yield ThreadItemDoneEvent(item=AssistantMessageItem(id="msg_1", content=[]))


class OfNoClass:
    """Has the twelve methods of the port, and nothing else."""

    def __init__(self) -> None:
        self._inner: MemoryStore[Any] = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name not in Store.__abstractmethods__:
            raise AttributeError(name)
        return getattr(self._inner, name)


class TestAdoptedStore(StoreContract):
    # The object is not asked whose context it is.
    isolates_owners = False
    fences_turns = False
    sweeps_attachments = False

    def make_store(self) -> Store[Any]:
        return adapt_store(OfNoClass())  # pyright: ignore[reportArgumentType] -- has the methods


def test_the_object_is_kept_and_makes_ids_if_it_can() -> None:
    thread = ThreadMetadata(id="thr_1")
    store: Any = OfNoClass()
    adopted = adapt_store(store)
    assert isinstance(adopted, OpenAIStoreAdapter)
    assert adopted.store is store
    assert adopted.generate_thread_id(ADA).startswith("thr_")
    assert adopted.generate_item_id("message", thread, ADA).startswith("msg_")
    store.generate_thread_id = lambda context: f"thread of {context['user_id']}"
    store.generate_item_id = lambda kind, thread, context: f"{kind} of {thread.id}"
    assert adopted.generate_thread_id(ADA) == "thread of ada"
    assert adopted.generate_item_id("message", thread, ADA) == "message of thr_1"


async def test_a_stand_in_of_tests_will_do_for_an_agent_context() -> None:
    store = Mock()
    store.generate_item_id = lambda kind, thread, context: f"{kind}_id"
    store.load_thread_items = AsyncMock(return_value=Page())
    context = AgentContext(thread=ThreadMetadata(id="thr_1"), store=store, request_context=None)
    assert context.store is store
    assert context.generate_id("message") == "message_id"


async def test_a_mock_of_the_interface_sees_the_calls_that_1_6_5_makes() -> None:
    store = AsyncMock(spec=Store)
    store.generate_thread_id = Mock(return_value="thr_1")
    store.generate_item_id = Mock(return_value="msg_0")
    assert isinstance(adapt_store(store), OpenAIStoreAdapter)
    body = {
        "type": "threads.create",
        "params": {"input": {"content": [{"type": "input_text", "text": "Hi"}]}},
    }
    result: Any = await Server(store).process(json.dumps(body), ADA)
    assert [json.loads(frame[6:])["type"] async for frame in result][-1] == "thread.item.done"
    assert [call.args[1].id for call in store.add_thread_item.await_args_list] == ["msg_0", "msg_1"]
    assert store.save_thread.await_count == 1


async def test_a_server_keeps_threads_in_it() -> None:
    store: Any = OfNoClass()
    server = Server(store)
    body = {
        "type": "threads.create",
        "params": {"input": {"content": [{"type": "input_text", "text": "Hi"}]}},
    }
    result: Any = await server.process(json.dumps(body), ADA)
    events = [json.loads(frame[6:]) async for frame in result]
    assert events[-1]["item"]["id"] == "msg_1"
    assert server.store is store
    assert (await store.load_item(events[0]["thread"]["id"], "msg_1", ADA)).id == "msg_1"
    with pytest.raises(NotFoundError):
        await store.load_item(events[0]["thread"]["id"], "msg_2", ADA)


@pytest.mark.parametrize("returns", [None, "a coroutine"])
async def test_closing_a_store_may_be_sync(returns: str | None) -> None:
    closed: list[str] = []

    class Own(MemoryStore[Any]):
        def close(self) -> Any:
            closed.append("closed")
            return None if returns is None else super().close()

    await Server(Own()).close()
    assert closed == ["closed"]


async def test_an_id_that_the_store_gave_instead_is_known_to_its_owner_only() -> None:
    """The owner is what the store says, also where contexts have no ``user_id``."""

    class Renaming(MemoryStore[Any]):
        def owner(self, context: Any) -> str:
            return str(context["tenant"])

        async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
            item.id = f"{item.id} of {context['tenant']}"
            await super().add_thread_item(thread_id, item, context)

    adopted: OpenAIStoreAdapter[Any] = OpenAIStoreAdapter(Renaming())
    contexts = [{"tenant": "a"}, {"tenant": "b"}]
    for context in contexts:
        await adopted.save_thread(ThreadMetadata(id="thr_1"), context)
        item = AssistantMessageItem(id="msg_1", thread_id="thr_1", content=[])
        await adopted.add_thread_item("thr_1", item, context)
    assert [adopted.stored_id("thr_1", "msg_1", context) for context in contexts] == [
        "msg_1 of a",
        "msg_1 of b",
    ]
