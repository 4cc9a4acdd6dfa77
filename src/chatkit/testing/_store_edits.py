"""The store contract: changes that must not overwrite what others change at the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from chatkit.errors import ConflictError
from chatkit.store.base import Store
from chatkit.testing._store_base import StoreContractBase, all_ids, raises, raises_not_found
from chatkit.testing._store_samples import AWKWARD_TEXT, detailed_thread, message
from chatkit.types import LockedStatus

__all__ = ["EditContract"]


class EditContract(StoreContractBase):
    """Tests of ``save_thread_fields`` and ``save_item_if_unchanged``."""

    def test_changing_fields_leaves_the_others(self) -> None:
        self.need("keeps_thread_details")

        async def scenario(store: Store[Any]) -> None:
            before = detailed_thread("thr_fields", "active")
            await store.save_thread(before, self.alice)
            await store.add_thread_item(before.id, message("a"), self.alice)
            metadata = {AWKWARD_TEXT: [1.5, None]}
            changed = {"title": AWKWARD_TEXT, "metadata": metadata, "status": LockedStatus(reason="r")}
            returned = await store.save_thread_fields(before.id, changed, self.alice)
            stored = await store.load_thread(before.id, self.alice)
            expected = before.model_copy(update={**changed, "updated_at": None})
            for thread in (returned, stored):
                assert thread.model_copy(update={"updated_at": None}) == expected
            assert await all_ids(store, before.id, self.alice) == ["a"]
            returned = await store.save_thread_fields(before.id, {"title": None}, self.alice)
            assert (returned.title, returned.metadata) == (None, metadata)
            assert (await store.load_thread(before.id, self.alice)).title is None

        self.run(scenario)

    def test_changing_fields_stamps_updated_at(self) -> None:
        self.need("stamps_updated_at")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            start = datetime.now(UTC)
            await store.save_thread_fields(thread.id, {"title": "New"}, self.alice)
            stamp = (await store.load_thread(thread.id, self.alice)).updated_at
            assert stamp is not None
            assert start <= stamp <= datetime.now(UTC)

        self.run(scenario)

    def test_changing_fields_of_an_unknown_thread(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            await raises_not_found(store.save_thread_fields("thr_unknown", {"title": "New"}, self.alice))
            await raises_not_found(store.load_thread("thr_unknown", self.alice))

        self.run(scenario)

    def test_given_and_returned_fields_are_the_callers_own(self) -> None:
        self.need("copies_objects")
        self.need("keeps_thread_details")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            metadata = {"list": [1]}
            returned = await store.save_thread_fields(thread.id, {"metadata": metadata}, self.alice)
            metadata["list"].append(2)
            returned.metadata["list"].append(3)
            assert (await store.load_thread(thread.id, self.alice)).metadata == {"list": [1]}

        self.run(scenario)

    def test_fields_changed_at_once_all_count(self) -> None:
        self.need("changes_atomically")
        self.need("keeps_thread_details")

        async def scenario(store: Store[Any]) -> None:
            for number in range(10):
                thread = await self.thread(store)
                changed: dict[str, Any] = {
                    "title": f"Title {number}",
                    "metadata": {"number": number},
                    "allowed_image_domains": [f"{number}.example.com"],
                    "status": LockedStatus(reason=f"Reason {number}"),
                }
                await asyncio.gather(
                    *(
                        store.save_thread_fields(thread.id, {name: value}, self.alice)
                        for name, value in changed.items()
                    )
                )
                stored = await store.load_thread(thread.id, self.alice)
                assert {name: getattr(stored, name) for name in changed} == changed

        self.run(scenario)

    def test_a_field_changed_while_the_thread_is_deleted_does_not_bring_it_back(self) -> None:
        self.need("changes_atomically")
        self.need("reports_missing_threads")

        async def scenario(store: Store[Any]) -> None:
            for _ in range(10):
                thread = await self.thread(store)
                await asyncio.gather(
                    store.save_thread_fields(thread.id, {"title": "New"}, self.alice),
                    store.delete_thread(thread.id, self.alice),
                    return_exceptions=True,
                )
                await raises_not_found(store.load_thread(thread.id, self.alice))

        self.run(scenario)

    def test_saving_an_item_that_is_unchanged(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            first, second, third = message("a", AWKWARD_TEXT), message("b"), message("c")
            thread = await self.thread(store, [first, second, third])
            loaded = await store.load_item(thread.id, "a", self.alice)
            await store.save_item_if_unchanged(thread.id, loaded, message("a", "new"), self.alice)
            assert await store.load_item(thread.id, "a", self.alice) == message("a", "new")
            assert await all_ids(store, thread.id, self.alice) == ["a", "b", "c"]

        self.run(scenario)

    def test_saving_an_item_that_was_changed(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            before = message("a", "first")
            thread = await self.thread(store, [before, message("b")])
            await store.save_item(thread.id, message("a", "second"), self.alice)
            late = store.save_item_if_unchanged(thread.id, before, message("a", "third"), self.alice)
            await raises(ConflictError, late)
            assert await store.load_item(thread.id, "a", self.alice) == message("a", "second")

        self.run(scenario)

    def test_saving_an_item_that_was_deleted(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            before = message("a", "first")
            thread = await self.thread(store, [before, message("b")])
            await store.delete_thread_item(thread.id, "a", self.alice)
            after = message("a", "second")
            await raises_not_found(store.save_item_if_unchanged(thread.id, before, after, self.alice))
            await raises_not_found(store.save_item_if_unchanged("thr_unknown", before, after, self.alice))
            assert await all_ids(store, thread.id, self.alice) == ["b"]

        self.run(scenario)

    def test_one_of_several_changes_at_once_is_saved(self) -> None:
        self.need("changes_atomically")

        async def scenario(store: Store[Any]) -> None:
            before = message("a", "first")
            for _ in range(5):
                thread = await self.thread(store, [before])
                texts = [f"answer {n}" for n in range(8)]
                outcomes = await asyncio.gather(
                    *(
                        store.save_item_if_unchanged(thread.id, before, message("a", text), self.alice)
                        for text in texts
                    ),
                    return_exceptions=True,
                )
                saved = [text for text, outcome in zip(texts, outcomes, strict=True) if outcome is None]
                assert len(saved) == 1, outcomes
                refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
                assert len(refused) == len(texts) - 1, outcomes
                assert await store.load_item(thread.id, "a", self.alice) == message("a", saved[0])

        self.run(scenario)
