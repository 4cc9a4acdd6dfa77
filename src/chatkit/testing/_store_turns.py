"""The store contract: a turn that lost its right to write writes nothing."""

from __future__ import annotations

from typing import Any

from chatkit.errors import StaleTurnError
from chatkit.store.base import Store
from chatkit.testing._store_base import (
    StoreContractBase,
    all_ids,
    all_raise,
    raises,
    raises_not_found,
    writing_as,
)
from chatkit.testing._store_samples import attachments, message

__all__ = ["TurnContract"]


class TurnContract(StoreContractBase):
    """Tests of fencing."""

    async def _refuses_every_write(self, store: Store[Any], thread_id: str, turn_id: str, token: int) -> None:
        context = self.alice
        thread = await store.load_thread(thread_id, context)
        items = await store.load_thread_items(thread_id, None, 99, "asc", context)
        first = items.data[0].id
        attachment = attachments()[0]
        with writing_as(turn_id, token):
            attempts = [
                store.save_thread(thread.model_copy(update={"title": "stale"}), context),
                store.add_thread_item(thread_id, message("stale"), context),
                store.save_item(thread_id, message(first, "stale"), context),
                store.put_thread_item(thread_id, message(first, "stale"), context),
                store.put_thread_item(thread_id, message("stale"), context),
                store.save_item_if_unchanged(thread_id, items.data[0], message(first, "stale"), context),
                store.save_thread_fields(thread_id, {"title": "stale"}, context),
                store.delete_thread_item(thread_id, first, context),
                store.delete_items_after(thread_id, first, context),
                store.delete_thread(thread_id, context),
            ]
            if self.stores_attachments:
                attempts += [
                    store.save_attachment(attachment, context),
                    store.delete_attachment(attachment.id, context),
                ]
            await all_raise(StaleTurnError, attempts)
            assert await store.load_thread(thread_id, context) == thread, "a stale turn may read"
        assert await store.load_thread_items(thread_id, None, 99, "asc", context) == items
        if self.stores_attachments:
            await raises_not_found(store.load_attachment(attachment.id, context))

    def test_a_running_turn_writes(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            token = await store.begin_turn(thread.id, "turn", self.alice)
            assert token > 0
            with writing_as("turn", token):
                await store.add_thread_item(thread.id, message("b"), self.alice)
                await store.put_thread_item(thread.id, message("b", "new"), self.alice)
                await store.save_thread(thread.model_copy(update={"title": "New"}), self.alice)
                await store.delete_thread_item(thread.id, "a", self.alice)
            await store.end_turn("turn", token, self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["b"]
            assert (await store.load_thread(thread.id, self.alice)).title == "New"

        self.run(scenario)

    def test_a_turn_may_begin_before_its_thread_is_saved(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            token = await store.begin_turn("thr_new", "turn", self.alice)
            with writing_as("turn", token):
                thread = await self.thread(store, [message("a")])
            assert await all_ids(store, thread.id, self.alice) == ["a"]

        self.run(scenario)

    def test_a_turn_taken_over_writes_nothing(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b")])
            old = await store.begin_turn(thread.id, "turn", self.alice)
            new = await store.begin_turn(thread.id, "turn", self.alice)
            assert new > old
            await self._refuses_every_write(store, thread.id, "turn", old)
            await store.end_turn("turn", old, self.alice)
            with writing_as("turn", new):
                await store.add_thread_item(thread.id, message("c"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c"]

        self.run(scenario)

    def test_a_turn_that_ended_writes_nothing(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b")])
            token = await store.begin_turn(thread.id, "turn", self.alice)
            await store.end_turn("turn", token, self.alice)
            await self._refuses_every_write(store, thread.id, "turn", token)
            await self._refuses_every_write(store, thread.id, "never_began", token)
            if self.accepts_turns:
                await raises(StaleTurnError, store.begin_turn(thread.id, "turn", self.alice))
                return
            again = await store.begin_turn(thread.id, "turn", self.alice)
            assert again > token
            await self._refuses_every_write(store, thread.id, "turn", token)

        self.run(scenario)

    def test_a_turn_that_completed_is_remembered_and_writes_nothing(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b")])
            stale = await store.begin_turn(thread.id, "turn", self.alice)
            token = await store.begin_turn(thread.id, "turn", self.alice)
            await store.complete_turn("turn", stale, self.alice)
            assert not await store.has_completed("turn", self.alice)
            await store.complete_turn("turn", token, self.alice)
            await store.complete_turn("turn", token, self.alice)
            assert await store.has_completed("turn", self.alice)
            await self._refuses_every_write(store, thread.id, "turn", token)
            ended = await store.begin_turn(thread.id, "ended", self.alice)
            await store.end_turn("ended", ended, self.alice)
            assert not await store.has_completed("ended", self.alice)
            if not self.accepts_turns:
                await store.begin_turn(thread.id, "turn", self.alice)
                assert not await store.has_completed("turn", self.alice), "it was begun again"

        self.run(scenario)

    def test_a_completed_turn_is_its_owners(self) -> None:
        self.need("fences_turns")
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            token = await store.begin_turn(thread.id, "turn", self.alice)
            await store.complete_turn("turn", token, self.bob)
            assert not await store.has_completed("turn", self.bob)
            await store.complete_turn("turn", token, self.alice)
            assert not await store.has_completed("turn", self.bob)
            assert await store.has_completed("turn", self.alice)
            await store.begin_turn(thread.id, "turn", self.bob)
            assert await store.has_completed("turn", self.alice)

        self.run(scenario)

    def test_turns_of_one_thread_do_not_disturb_each_other(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            first = await store.begin_turn(thread.id, "first", self.alice)
            second = await store.begin_turn(thread.id, "second", self.alice)
            assert first != second
            with writing_as("first", first):
                await store.add_thread_item(thread.id, message("b"), self.alice)
            await store.end_turn("first", first, self.alice)
            with writing_as("second", second):
                await store.add_thread_item(thread.id, message("c"), self.alice)
            await self._refuses_every_write(store, thread.id, "second", first)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c"]

        self.run(scenario)

    def test_a_turn_does_not_bring_its_deleted_thread_back(self) -> None:
        self.need("fences_turns")

        async def scenario(store: Store[Any]) -> None:
            thread, other = await self.thread(store), await self.thread(store)
            token = await store.begin_turn(thread.id, "turn", self.alice)
            elsewhere = await store.begin_turn(other.id, "elsewhere", self.alice)
            await store.delete_thread(thread.id, self.alice)
            with writing_as("turn", token):
                await raises(StaleTurnError, store.save_thread(thread, self.alice))
            await raises_not_found(store.load_thread(thread.id, self.alice))
            with writing_as("elsewhere", elsewhere):
                await store.save_thread(other, self.alice)

        self.run(scenario)

    def test_a_turn_of_another_owner_is_not_touched(self) -> None:
        self.need("fences_turns")
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            token = await store.begin_turn(thread.id, "turn", self.alice)
            foreign = await store.begin_turn(thread.id, "turn", self.bob)
            await store.end_turn("turn", token, self.bob)
            with writing_as("turn", token):
                await store.add_thread_item(thread.id, message("b"), self.alice)
            await self._refuses_every_write(store, thread.id, "turn", foreign)
            await store.end_turn("turn", foreign, self.bob)
            await store.end_turn("turn", token, self.alice)
            await self._refuses_every_write(store, thread.id, "turn", token)

        self.run(scenario)

    def test_token_zero_is_no_fence(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            with writing_as("turn", 0):
                await store.add_thread_item(thread.id, message("a"), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a"]

        self.run(scenario)
