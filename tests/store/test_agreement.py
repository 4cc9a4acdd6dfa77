"""Random histories of several owners: the stores agree with a list, whatever happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ChatKitError
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata
from tests.support.scale import examples

Step = tuple[Any, ...]

owners = st.sampled_from(["alice", "bob"])
threads = st.sampled_from(["t1", "t2", "t3"])
items = st.sampled_from(["i1", "i2", "i3", "i4"])
texts = st.sampled_from(["x", "y"])
orders = st.sampled_from(["asc", "desc"])
limits = st.integers(0, 5)

steps = st.one_of(
    st.tuples(st.just("save_thread"), owners, threads, texts),
    st.tuples(st.just("delete_thread"), owners, threads),
    *(st.tuples(st.just(name), owners, threads, items, texts) for name in ("add", "save", "put")),
    st.tuples(st.just("delete_item"), owners, threads, items),
    st.tuples(st.just("delete_after"), owners, threads, items),
    st.tuples(st.just("load_item"), owners, threads, items),
    st.tuples(st.just("items"), owners, threads, st.none() | items, limits, orders),
    st.tuples(st.just("threads"), owners, st.none() | threads, limits, orders),
    st.tuples(st.just("save_file"), owners, items, st.none() | threads),
    st.tuples(st.just("load_file"), owners, items),
    st.tuples(st.just("delete_file"), owners, items),
)


class Refused(Exception):
    """The model refuses the step, with the code of the error that a store must raise."""


class Model:
    """What a store must do, told with lists and dicts in the plainest way."""

    def __init__(self) -> None:
        self.threads: dict[str, list[list[Any]]] = {"alice": [], "bob": []}
        self.files: dict[str, dict[str, str | None]] = {"alice": {}, "bob": {}}

    def thread(self, owner: str, thread_id: str) -> list[Any]:
        for thread in self.threads[owner]:
            if thread[0] == thread_id:
                return thread
        raise Refused("not_found")

    @staticmethod
    def index(entries: list[Any], entry_id: str) -> int:
        for position, entry in enumerate(entries):
            if entry[0] == entry_id:
                return position
        raise Refused("not_found")

    def page(self, entries: list[Any], after: str | None, limit: int, order: str) -> tuple[Any, bool]:
        entries = entries if order == "asc" else entries[::-1]
        start = 0 if after is None else self.index(entries, after) + 1
        return [(entry[0], entry[1]) for entry in entries[start : start + limit]], len(
            entries
        ) > start + limit

    def step(self, name: str, owner: str, *rest: Any) -> Any:
        match name, rest:
            case "save_thread", (thread_id, text):
                try:
                    self.thread(owner, thread_id)[1] = text
                except Refused:
                    self.threads[owner].append([thread_id, text, []])
            case "delete_thread", (thread_id,):
                self.threads[owner].remove(self.thread(owner, thread_id))
                kept = self.files[owner]
                self.files[owner] = {key: used_in for key, used_in in kept.items() if used_in != thread_id}
            case "add" | "save" | "put", (thread_id, item_id, text):
                entries = self.thread(owner, thread_id)[2]
                if all(entry[0] != item_id for entry in entries):
                    entries.append([item_id, text])
                elif name == "add":
                    raise Refused("conflict")
                else:
                    entries[self.index(entries, item_id)][1] = text
            case "delete_item", (thread_id, item_id):
                entries = self.thread(owner, thread_id)[2]
                entries[:] = [entry for entry in entries if entry[0] != item_id]
            case "delete_after", (thread_id, item_id):
                entries = self.thread(owner, thread_id)[2]
                del entries[self.index(entries, item_id) + 1 :]
            case "load_item", (thread_id, item_id):
                entries = self.thread(owner, thread_id)[2]
                return entries[self.index(entries, item_id)][1]
            case "items", (thread_id, after, limit, order):
                return self.page(self.thread(owner, thread_id)[2], after, limit, order)
            case "threads", (after, limit, order):
                return self.page(self.threads[owner], after, limit, order)
            case "save_file", (file_id, thread_id):
                self.files[owner][file_id] = thread_id
            case "load_file", (file_id,):
                if file_id not in self.files[owner]:
                    raise Refused("not_found")
                return self.files[owner][file_id]
            case "delete_file", (file_id,):
                self.files[owner].pop(file_id, None)
            case _:
                raise AssertionError(name)
        return None


async def do(store: Store[Any], name: str, owner: str, *rest: Any) -> Any:
    context = {"user_id": owner}
    match name, rest:
        case "save_thread", (thread_id, text):
            await store.save_thread(ThreadMetadata(id=thread_id, title=text), context)
        case "delete_thread", (thread_id,):
            await store.delete_thread(thread_id, context)
        case "add", (thread_id, item_id, text):
            await store.add_thread_item(thread_id, message(item_id, text), context)
        case "save", (thread_id, item_id, text):
            await store.save_item(thread_id, message(item_id, text), context)
        case "put", (thread_id, item_id, text):
            await store.put_thread_item(thread_id, message(item_id, text), context)
        case "delete_item", (thread_id, item_id):
            await store.delete_thread_item(thread_id, item_id, context)
        case "delete_after", (thread_id, item_id):
            await store.delete_items_after(thread_id, item_id, context)
        case "load_item", (thread_id, item_id):
            item: Any = await store.load_item(thread_id, item_id, context)
            return item.content[0].text
        case "items", (thread_id, after, limit, order):
            page: Any = await store.load_thread_items(thread_id, after, limit, order, context)
            return [(item.id, item.content[0].text) for item in page.data], page.has_more
        case "threads", (after, limit, order):
            listed = await store.load_threads(limit, after, order, context)
            return [(thread.id, thread.title) for thread in listed.data], listed.has_more
        case "save_file", (file_id, thread_id):
            attachment = FileAttachment(id=file_id, name="n", mime_type="text/plain", thread_id=thread_id)
            await store.save_attachment(attachment, context)
        case "load_file", (file_id,):
            return (await store.load_attachment(file_id, context)).thread_id
        case "delete_file", (file_id,):
            await store.delete_attachment(file_id, context)
        case _:
            raise AssertionError(name)
    return None


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> Callable[[], Awaitable[Store[Any]]]:
    """Returns a function that makes an empty store of the kind that the test runs over."""
    if request.param == "postgres":
        return partial(emptied, request.getfixturevalue("postgres_database"))

    async def make() -> Store[Any]:
        return MemoryStore() if request.param == "memory" else SQLiteStore(":memory:")

    return make


async def emptied(url: str) -> Store[Any]:
    store = PostgresStore(url)
    tables = "chatkit.threads, chatkit.items, chatkit.attachments, chatkit.turns, chatkit.turn_steps"
    await store.database.write(lambda transaction: transaction.value(f"TRUNCATE {tables} CASCADE"))
    return store


@settings(
    deadline=None, max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(steps, max_size=60))
def test_a_store_agrees_with_the_model(kind: Any, history: list[Step]) -> None:
    async def scenario() -> None:
        store, model = await kind(), Model()
        whole: list[Step] = [("threads", owner, None, 9, "asc") for owner in ("alice", "bob")]
        whole += [("items", o, t, None, 9, "asc") for o in ("alice", "bob") for t in ("t1", "t2", "t3")]
        whole += [("load_file", o, i) for o in ("alice", "bob") for i in ("i1", "i2", "i3", "i4")]
        # Most random steps would only meet missing threads.
        start: list[Step] = [("save_thread", owner, "t1", "x") for owner in ("alice", "bob")]
        for step in [*start, *history, *whole]:
            try:
                expected = model.step(*step)
            except Refused as refused:
                expected = str(refused)
            try:
                found = await do(store, *step)
            except ChatKitError as error:
                found = error.code
            assert found == expected, step
        await store.close()

    asyncio.run(scenario())
