"""The contract suite itself: each of these stores is wrong in one way, and a test of the suite says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from chatkit.errors import ChatKitError
from chatkit.store import MemoryStore, Store
from chatkit.testing import StoreContract
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata


class OneTenant(MemoryStore):
    def owner(self, context: Any) -> str:
        return "everybody"


class NoOwnerIsAnOwner(MemoryStore):
    def owner(self, context: Any) -> str:
        return str(getattr(context, "owner", None) or context.get("user_id"))


class HandsOutItsObjects(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, ThreadMetadata] = {}

    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        found = await super().load_thread(thread_id, context)
        return self.kept.setdefault(thread_id, found)


class MovesWhatItSaves(MemoryStore):
    async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        await self.delete_thread_item(thread_id, item.id, context)
        await super().save_item(thread_id, item, context)


class DeletesOneTooMany(MemoryStore):
    async def delete_items_after(self, thread_id: str, item_id: str, context: Any) -> None:
        await super().delete_items_after(thread_id, item_id, context)
        await self.delete_thread_item(thread_id, item_id, context)


class SortsByTime(MemoryStore):
    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Page[ThreadItem]:
        page = await super().load_thread_items(thread_id, after, limit, order, context)
        return page.model_copy(update={"data": sorted(page.data, key=lambda item: item.created_at)})


class AlwaysHasMore(MemoryStore):
    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Page[ThreadItem]:
        page = await super().load_thread_items(thread_id, after, limit, order, context)
        return page.model_copy(update={"has_more": len(page.data) == limit})


class NeverStale(MemoryStore):
    def _fenced(self, owner: str) -> Any:
        return self._tenant(owner)


class StampsTheGivenThread(MemoryStore):
    async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
        await super().save_thread(thread, context)
        thread.updated_at = (await super().load_thread(thread.id, context)).updated_at


class LosesMetadataOfAttachments(MemoryStore):
    async def save_attachment(self, attachment: Attachment, context: Any) -> None:
        await super().save_attachment(attachment.model_copy(update={"metadata": None}), context)


class EditsAsLoadThenSave(MemoryStore):
    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        found = await super().load_thread(thread_id, context)
        await asyncio.sleep(0)
        return found

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: Any
    ) -> ThreadMetadata:
        return await Store.save_thread_fields(self, thread_id, changed, context)


class AnswersAsLoadThenSave(MemoryStore):
    async def load_item(self, thread_id: str, item_id: str, context: Any) -> ThreadItem:
        found = await super().load_item(thread_id, item_id, context)
        await asyncio.sleep(0)
        return found

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: Any
    ) -> None:
        await Store.save_item_if_unchanged(self, thread_id, before, after, context)


class DropsNul(MemoryStore):
    async def load_item(self, thread_id: str, item_id: str, context: Any) -> ThreadItem:
        item = await super().load_item(thread_id, item_id, context)
        return type(item).model_validate_json(item.model_dump_json().replace("\\u0000", ""))


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (OneTenant, "test_another_owners_thread_is_not_found_by_any_method"),
        (OneTenant, "test_owners_may_use_the_same_ids"),
        (NoOwnerIsAnOwner, "test_no_owner_is_an_error_in_every_method"),
        (HandsOutItsObjects, "test_given_and_returned_threads_are_the_callers_own"),
        (MovesWhatItSaves, "test_saving_keeps_the_place"),
        (DeletesOneTooMany, "test_deleting_items_behind_one"),
        (SortsByTime, "test_order_is_that_of_adding"),
        (AlwaysHasMore, "test_pages_both_ways_with_every_limit"),
        (NeverStale, "test_a_turn_taken_over_writes_nothing"),
        (NeverStale, "test_a_turn_that_ended_writes_nothing"),
        (StampsTheGivenThread, "test_saving_stamps_updated_at"),
        (LosesMetadataOfAttachments, "test_attachment_round_trip"),
        (EditsAsLoadThenSave, "test_fields_changed_at_once_all_count"),
        (AnswersAsLoadThenSave, "test_one_of_several_changes_at_once_is_saved"),
        (DropsNul, "test_items_of_every_kind_round_trip"),
    ],
)
def test_the_suite_finds_the_fault(store: type[Store[Any]], test: str) -> None:
    class Suite(StoreContract):
        def make_store(self) -> Store[Any]:
            return store()

    with pytest.raises((AssertionError, ChatKitError)):
        getattr(Suite(), test)()


def test_what_a_store_lacks_on_purpose_is_skipped() -> None:
    class Suite(StoreContract):
        isolates_owners = False
        fences_turns = False
        sweeps_attachments = False

        def make_store(self) -> Store[Any]:
            return OneTenant()

    for test in ("test_owners_may_use_the_same_ids", "test_a_running_turn_writes"):
        with pytest.raises(pytest.skip.Exception):
            getattr(Suite(), test)()
    Suite().test_saving_keeps_the_place()
