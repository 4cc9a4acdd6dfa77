"""The store contract: items."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from chatkit.errors import ConflictError
from chatkit.store.base import Store, StoreItemType
from chatkit.testing._store_base import StoreContractBase, all_ids, raises, raises_not_found
from chatkit.testing._store_samples import AWKWARD_TEXT, item_of_every_kind, message
from chatkit.types import AssistantMessageItem, ThreadItem

__all__ = ["ItemContract"]


class ItemContract(StoreContractBase):
    """Tests of items."""

    def test_items_of_every_kind_round_trip(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            items = item_of_every_kind(thread.id)
            for item in items:
                await store.add_thread_item(thread.id, item, self.alice)
            for item in items:
                loaded = await store.load_item(thread.id, item.id, self.alice)
                assert type(loaded) is type(item)
                assert loaded == item
                assert loaded.created_at.utcoffset() == timedelta(0)
                assert loaded.model_dump_json() == item.model_dump_json()
            page = await store.load_thread_items(thread.id, None, len(items), "asc", self.alice)
            assert page.data == items
            assert not page.has_more

        self.run(scenario)

    def test_large_items_round_trip(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            text = AWKWARD_TEXT * (1_000_000 // len(AWKWARD_TEXT))
            await store.add_thread_item(thread.id, message("large", text), self.alice)
            assert await store.load_item(thread.id, "large", self.alice) == message("large", text)

        self.run(scenario)

    def test_ids_of_any_characters(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            ids = ["'; DROP TABLE items; --", "%", "_", "a b", "é漢𐍈", "A", "a", "1", "01", "x" * 400]
            thread = await self.thread(store, [message(item_id, item_id) for item_id in ids])
            assert await all_ids(store, thread.id, self.alice) == ids
            for item_id in ids:
                assert await store.load_item(thread.id, item_id, self.alice) == message(item_id, item_id)

        self.run(scenario)

    def test_unknown_item(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            first = await self.thread(store, [message("a")])
            second = await self.thread(store, [message("b")])
            await raises_not_found(store.load_item(first.id, "b", self.alice))
            await raises_not_found(store.load_item(second.id, "unknown", self.alice))
            await raises_not_found(store.load_item("thr_unknown", "a", self.alice))

        self.run(scenario)

    def test_items_of_an_unknown_thread(self) -> None:
        self.need("reports_missing_threads")

        async def scenario(store: Store[Any]) -> None:
            unknown = "thr_unknown"
            await self.thread(store, [message("a")])
            await raises_not_found(store.load_thread_items(unknown, None, 5, "asc", self.alice))
            await raises_not_found(store.add_thread_item(unknown, message("x"), self.alice))
            await raises_not_found(store.save_item(unknown, message("x"), self.alice))
            await raises_not_found(store.put_thread_item(unknown, message("x"), self.alice))
            await raises_not_found(store.delete_thread_item(unknown, "a", self.alice))
            await raises_not_found(store.delete_items_after(unknown, "a", self.alice))
            await raises_not_found(store.load_thread(unknown, self.alice))

        self.run(scenario)

    def test_threads_may_have_items_of_the_same_id(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            first = await self.thread(store, [message("same", "first")])
            second = await self.thread(store, [message("same", "second")])
            assert await store.load_item(first.id, "same", self.alice) == message("same", "first")
            await store.delete_thread_item(first.id, "same", self.alice)
            assert await store.load_item(second.id, "same", self.alice) == message("same", "second")

        self.run(scenario)

    def test_pages_both_ways_with_every_limit(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            ids = [f"m{n}" for n in range(7)]
            thread = await self.thread(store, [message(item_id) for item_id in ids])
            await self.thread(store, [message(f"other{n}") for n in range(3)])
            for order, expected in (("asc", ids), ("desc", ids[::-1])):
                for limit in range(1, 9):
                    seen: list[str] = []
                    after: str | None = None
                    while True:
                        page = await store.load_thread_items(thread.id, after, limit, order, self.alice)
                        assert [item.id for item in page.data] == expected[len(seen) : len(seen) + limit]
                        seen += [item.id for item in page.data]
                        assert page.has_more == (len(seen) < len(ids))
                        if not page.has_more:
                            break
                        assert page.after == page.data[-1].id
                        after = page.after
                    assert seen == expected

        self.run(scenario)

    def test_any_item_is_a_cursor(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            ids = ["m0", "m1", "m2"]
            thread = await self.thread(store, [message(item_id) for item_id in ids])
            for order, expected in (("asc", ids), ("desc", ids[::-1])):
                for position, cursor in enumerate(expected):
                    page = await store.load_thread_items(thread.id, cursor, 9, order, self.alice)
                    assert [item.id for item in page.data] == expected[position + 1 :]
                    assert not page.has_more

        self.run(scenario)

    def test_unknown_cursor(self) -> None:
        self.need("reports_missing_cursors")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            await self.thread(store, [message("elsewhere")])
            for cursor in ("unknown", "elsewhere"):
                await raises_not_found(store.load_thread_items(thread.id, cursor, 5, "asc", self.alice))

        self.run(scenario)

    def test_a_thread_without_items(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            for order in ("asc", "desc"):
                page = await store.load_thread_items(thread.id, None, 20, order, self.alice)
                assert page.data == []
                assert not page.has_more

        self.run(scenario)

    def test_order_is_that_of_adding(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            now = datetime.now(UTC)
            ids = ["z", "a", "q", "b"]
            items: list[ThreadItem] = [
                message(item_id, created_at=now - timedelta(days=age)) for age, item_id in enumerate(ids)
            ]
            thread = await self.thread(store, items)
            assert await all_ids(store, thread.id, self.alice) == ids

        self.run(scenario)

    def test_adding_an_id_twice(self) -> None:
        self.need("rejects_duplicate_ids")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a", "first"), message("b")])
            await raises(ConflictError, store.add_thread_item(thread.id, message("a", "again"), self.alice))
            assert await all_ids(store, thread.id, self.alice) == ["a", "b"]
            assert await store.load_item(thread.id, "a", self.alice) == message("a", "first")

        self.run(scenario)

    def test_saving_keeps_the_place(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b"), message("c")])
            await store.save_item(thread.id, message("b", "new"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c"]
            assert await store.load_item(thread.id, "b", self.alice) == message("b", "new")
            assert await store.load_item(thread.id, "a", self.alice) == message("a")
            await store.save_item(thread.id, message("d"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c", "d"]

        self.run(scenario)

    def test_saving_may_change_the_kind(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("item_0"), message("b")])
            for item in item_of_every_kind(thread.id):
                replaced = item.model_copy(update={"id": "item_0"})
                await store.save_item(thread.id, replaced, self.alice)
                assert await store.load_item(thread.id, "item_0", self.alice) == replaced
            assert await all_ids(store, thread.id, self.alice) == ["item_0", "b"]

        self.run(scenario)

    def test_putting_adds_or_changes(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            await store.put_thread_item(thread.id, message("b", "first"), self.alice)
            await store.put_thread_item(thread.id, message("c"), self.alice)
            await store.put_thread_item(thread.id, message("b", "second"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c"]
            assert await store.load_item(thread.id, "b", self.alice) == message("b", "second")

        self.run(scenario)

    def test_deleting_an_item(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b"), message("c")])
            await store.delete_thread_item(thread.id, "b", self.alice)
            await raises_not_found(store.load_item(thread.id, "b", self.alice))
            assert await all_ids(store, thread.id, self.alice) == ["a", "c"]
            await store.delete_thread_item(thread.id, "b", self.alice)
            await store.delete_thread_item(thread.id, "c", self.alice)
            await store.add_thread_item(thread.id, message("d"), self.alice)
            await store.add_thread_item(thread.id, message("b"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a", "d", "b"]

        self.run(scenario)

    def test_deleting_items_behind_one(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            ids = [f"m{n}" for n in range(6)]
            other = await self.thread(store, [message(item_id) for item_id in ids])
            for kept in (5, 3, 0):
                thread = await self.thread(store, [message(item_id) for item_id in ids])
                await store.delete_items_after(thread.id, ids[kept], self.alice)
                assert await all_ids(store, thread.id, self.alice) == ids[: kept + 1]
                await store.add_thread_item(thread.id, message("next"), self.alice)
                assert await all_ids(store, thread.id, self.alice) == [*ids[: kept + 1], "next"]
            assert await all_ids(store, other.id, self.alice) == ids

        self.run(scenario)

    def test_deleting_items_behind_an_unknown_one_deletes_nothing(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b")])
            await self.thread(store, [message("elsewhere")])
            for item_id in ("unknown", "elsewhere"):
                await raises_not_found(store.delete_items_after(thread.id, item_id, self.alice))
                assert await all_ids(store, thread.id, self.alice) == ["a", "b"]

        self.run(scenario)

    def test_given_and_returned_items_are_the_callers_own(self) -> None:
        self.need("copies_objects")

        async def scenario(store: Store[Any]) -> None:
            given = message("a", "stored")
            thread = await self.thread(store, [given])
            given.content[0].text = "changed"
            for _ in range(2):
                loaded = await store.load_item(thread.id, "a", self.alice)
                assert isinstance(loaded, AssistantMessageItem)
                assert loaded.content[0].text == "stored"
                loaded.content.clear()
                listed = (await store.load_thread_items(thread.id, None, 1, "asc", self.alice)).data[0]
                assert isinstance(listed, AssistantMessageItem)
                assert listed.content[0].text == "stored"
                listed.content[0].text = "changed"
            await store.save_item(thread.id, given, self.alice)
            given.content.clear()
            assert await store.load_item(thread.id, "a", self.alice) == message("a", "changed")

        self.run(scenario)

    def test_concurrent_writers(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            ids = [f"m{n}" for n in range(50)]
            await asyncio.gather(
                *(store.add_thread_item(thread.id, message(item_id), self.alice) for item_id in ids)
            )
            forwards = await all_ids(store, thread.id, self.alice)
            assert sorted(forwards) == sorted(ids)
            backwards = await store.load_thread_items(thread.id, None, 50, "desc", self.alice)
            assert [item.id for item in backwards.data] == forwards[::-1]
            await asyncio.gather(
                *(store.put_thread_item(thread.id, message(item_id, "new"), self.alice) for item_id in ids),
            )
            assert await all_ids(store, thread.id, self.alice) == forwards

        self.run(scenario)

    def test_generated_ids_are_unique(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            kinds: tuple[StoreItemType, ...] = ("message", "tool_call", "task", "workflow", "attachment")
            ids = [store.generate_item_id(kind, thread, self.alice) for kind in kinds for _ in range(500)]
            ids += [store.generate_thread_id(self.alice) for _ in range(500)]
            assert len(set(ids)) == len(ids)

        self.run(scenario)
