"""The store contract: threads, attachments, event loops."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from chatkit.ids import utc_now
from chatkit.store.base import Store
from chatkit.testing._store_base import StoreContractBase, raises_not_found
from chatkit.testing._store_samples import attachments, detailed_thread, message
from chatkit.types import (
    Attachment,
    FileAttachment,
    InferenceOptions,
    Page,
    Thread,
    ThreadMetadata,
    UserMessageItem,
)

__all__ = ["ThreadContract"]


def _asking(item_id: str, attached: list[Attachment]) -> UserMessageItem:
    return UserMessageItem(
        id=item_id,
        created_at=utc_now(),
        content=[],
        attachments=attached,
        inference_options=InferenceOptions(),
    )


class ThreadContract(StoreContractBase):
    """Tests of threads and attachments."""

    def test_thread_round_trip(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = ThreadMetadata(id=store.generate_thread_id(self.alice), title="Title")
            await store.save_thread(thread, self.alice)
            loaded = await store.load_thread(thread.id, self.alice)
            assert (loaded.id, loaded.title) == (thread.id, "Title")
            assert loaded.created_at == thread.created_at
            assert loaded.created_at.utcoffset() == timedelta(0)

        self.run(scenario)

    def test_thread_details_round_trip(self) -> None:
        self.need("keeps_thread_details")

        async def scenario(store: Store[Any]) -> None:
            for status in ("active", "locked", "closed"):
                thread = detailed_thread(f"thr_{status}", status)
                await store.save_thread(thread, self.alice)
                loaded = await store.load_thread(thread.id, self.alice)
                assert loaded.model_copy(update={"updated_at": None}) == thread
            page = await store.load_threads(10, None, "asc", self.alice)
            assert sorted(thread.status.type for thread in page.data) == ["active", "closed", "locked"]

        self.run(scenario)

    def test_saving_a_thread_again_changes_it(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            await store.save_thread(thread.model_copy(update={"title": "New"}), self.alice)
            assert (await store.load_thread(thread.id, self.alice)).title == "New"
            assert (await store.load_item(thread.id, "a", self.alice)).id == "a"
            assert len((await store.load_threads(10, None, "desc", self.alice)).data) == 1

        self.run(scenario)

    def test_a_thread_with_items_is_saved_without_them(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = Thread(id="thr_whole", items=Page(data=[message("not_stored")]))
            await store.save_thread(thread, self.alice)
            assert [item.id for item in thread.items.data] == ["not_stored"]
            loaded = await store.load_thread(thread.id, self.alice)
            assert not isinstance(loaded, Thread)
            assert (await store.load_thread_items(thread.id, None, 10, "asc", self.alice)).data == []

        self.run(scenario)

    def test_saving_stamps_updated_at(self) -> None:
        self.need("stamps_updated_at")

        async def scenario(store: Store[Any]) -> None:
            long_ago = datetime(2001, 1, 1, tzinfo=UTC)
            thread = ThreadMetadata(id="thr_stamped", updated_at=long_ago)
            start = datetime.now(UTC)
            await store.save_thread(thread, self.alice)
            assert thread.updated_at == long_ago, "the given object must not be changed"
            first = (await store.load_thread(thread.id, self.alice)).updated_at
            assert first is not None
            assert start <= first <= datetime.now(UTC)
            assert first.utcoffset() == timedelta(0)
            await store.save_thread(thread, self.alice)
            second = (await store.load_thread(thread.id, self.alice)).updated_at
            assert second is not None
            assert second >= first

        self.run(scenario)

    def test_unknown_thread(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            await raises_not_found(store.load_thread("thr_unknown", self.alice))
            await self.thread(store)
            await raises_not_found(store.load_thread("thr_unknown", self.alice))

        self.run(scenario)

    def test_deleting_a_thread(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            doomed = await self.thread(store, [message("a"), message("b")])
            kept = await self.thread(store, [message("a")])
            await store.delete_thread(doomed.id, self.alice)
            await raises_not_found(store.load_thread(doomed.id, self.alice))
            await raises_not_found(store.load_item(doomed.id, "a", self.alice))
            assert (await store.load_item(kept.id, "a", self.alice)).id == "a"
            assert [thread.id for thread in (await store.load_threads(9, None, "asc", self.alice)).data] == [
                kept.id
            ]
            await store.save_thread(doomed, self.alice)
            assert (await store.load_thread_items(doomed.id, None, 9, "asc", self.alice)).data == []

        self.run(scenario)

    def test_deleting_an_unknown_thread(self) -> None:
        self.need("reports_missing_threads")

        async def scenario(store: Store[Any]) -> None:
            await raises_not_found(store.delete_thread("thr_unknown", self.alice))

        self.run(scenario)

    def test_no_threads(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            for order in ("asc", "desc"):
                page = await store.load_threads(20, None, order, self.alice)
                assert page.data == []
                assert not page.has_more

        self.run(scenario)

    def test_pages_of_threads(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            saved = [(await self.thread(store)).id for _ in range(7)]
            for order in ("asc", "desc"):
                whole = [
                    thread.id for thread in (await store.load_threads(9999, None, order, self.alice)).data
                ]
                assert sorted(whole) == sorted(saved)
                for limit in range(1, 9):
                    seen: list[str] = []
                    after: str | None = None
                    while True:
                        page = await store.load_threads(limit, after, order, self.alice)
                        seen += [thread.id for thread in page.data]
                        assert len(page.data) == min(limit, 7 - (len(seen) - len(page.data)))
                        assert page.has_more == (len(seen) < 7)
                        if not page.has_more:
                            break
                        assert page.after == page.data[-1].id
                        after = page.after
                    assert seen == whole

        self.run(scenario)

    def test_order_of_threads_is_that_of_creation(self) -> None:
        self.need("orders_by_creation")

        async def scenario(store: Store[Any]) -> None:
            now = datetime.now(UTC)
            ids = [f"thr_{name}" for name in "zaqbx"]
            for age, thread_id in enumerate(ids):
                thread = ThreadMetadata(id=thread_id, created_at=now - timedelta(days=age))
                await store.save_thread(thread, self.alice)
            await store.save_thread(ThreadMetadata(id=ids[1], title="Saved again"), self.alice)
            for order, expected in (("asc", ids), ("desc", ids[::-1])):
                page = await store.load_threads(10, None, order, self.alice)
                assert [thread.id for thread in page.data] == expected

        self.run(scenario)

    def test_unknown_cursor_of_threads(self) -> None:
        self.need("reports_missing_cursors")

        async def scenario(store: Store[Any]) -> None:
            await self.thread(store)
            await raises_not_found(store.load_threads(5, "thr_unknown", "desc", self.alice))

        self.run(scenario)

    def test_a_page_of_size_zero_is_empty(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            assert (await store.load_threads(0, None, "desc", self.alice)).data == []
            assert (await store.load_thread_items(thread.id, None, 0, "asc", self.alice)).data == []

        self.run(scenario)

    def test_given_and_returned_threads_are_the_callers_own(self) -> None:
        self.need("copies_objects")
        self.need("keeps_thread_details")

        async def scenario(store: Store[Any]) -> None:
            thread = ThreadMetadata(id="thr_own", title="Stored", metadata={"list": [1]})
            await store.save_thread(thread, self.alice)
            thread.title = "Changed"
            thread.metadata["list"].append(2)
            loaded = await store.load_thread("thr_own", self.alice)
            assert (loaded.title, loaded.metadata) == ("Stored", {"list": [1]})
            loaded.metadata["list"].append(3)
            listed = (await store.load_threads(1, None, "desc", self.alice)).data[0]
            listed.metadata.clear()
            again = await store.load_thread("thr_own", self.alice)
            assert (again.title, again.metadata) == ("Stored", {"list": [1]})

        self.run(scenario)

    def test_attachment_round_trip(self) -> None:
        self.need("stores_attachments")

        async def scenario(store: Store[Any]) -> None:
            for attachment in attachments():
                await store.save_attachment(attachment, self.alice)
            for attachment in attachments():
                assert await store.load_attachment(attachment.id, self.alice) == attachment

        self.run(scenario)

    def test_attachments_that_no_message_came_for_are_swept(self) -> None:
        self.need("sweeps_attachments")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            for context in (self.alice, self.bob):
                for number, entry in enumerate(attachments()):
                    used = thread.id if number == 0 and context == self.alice else None
                    update = {"id": f"atc_{number}", "thread_id": used}
                    await store.save_attachment(entry.model_copy(update=update), context)
            assert await store.unclaimed_attachments(3600) == []
            assert await store.sweep_attachments(3600) == 0
            unclaimed = await store.unclaimed_attachments(0)
            assert ("alice", "atc_0") not in unclaimed
            assert not self.isolates_owners or {("alice", "atc_1"), ("bob", "atc_0")} <= set(unclaimed)
            swept = await store.sweep_attachments(0)
            assert swept == 2 * len(attachments()) - 1 or not self.isolates_owners
            assert (await store.load_attachment("atc_0", self.alice)).thread_id == thread.id
            await raises_not_found(store.load_attachment("atc_1", self.alice))
            assert await store.sweep_attachments(0) == 0
            assert await store.unclaimed_attachments(0) == []

        self.run(scenario)

    def test_attachments_of_a_thread_are_those_that_its_messages_name(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            named = [
                entry.model_copy(update={"id": f"atc_{number}"}) for number, entry in enumerate(attachments())
            ]
            messages = [_asking(f"m{number}", [entry, named[0]]) for number, entry in enumerate(named)]
            thread = await self.thread(store, [message("plain"), *messages])
            other = await self.thread(store, [_asking("a", attachments()[:1])])
            found = await store.attachment_ids(thread.id, self.alice)
            assert sorted(found) == sorted(entry.id for entry in named)
            assert await store.attachment_ids(other.id, self.alice) == [attachments()[0].id]
            if self.reports_missing_threads:
                await raises_not_found(store.attachment_ids("thr_missing", self.alice))

        self.run(scenario)

    def test_attachments_change_and_go(self) -> None:
        self.need("stores_attachments")

        async def scenario(store: Store[Any]) -> None:
            first, second = attachments()
            await store.save_attachment(first, self.alice)
            await store.save_attachment(second, self.alice)
            changed = first.model_copy(update={"upload_descriptor": None, "thread_id": "thr_x"})
            await store.save_attachment(changed, self.alice)
            assert await store.load_attachment(first.id, self.alice) == changed
            await store.delete_attachment(first.id, self.alice)
            await raises_not_found(store.load_attachment(first.id, self.alice))
            await store.delete_attachment(first.id, self.alice)
            assert await store.load_attachment(second.id, self.alice) == second
            await raises_not_found(store.load_attachment("atc_unknown", self.alice))

        self.run(scenario)

    def test_attachments_go_with_their_thread(self) -> None:
        self.need("stores_attachments")

        async def scenario(store: Store[Any]) -> None:
            thread, other = await self.thread(store), await self.thread(store)
            for name, thread_id in (("mine", thread.id), ("other", other.id), ("unsent", None)):
                attachment = FileAttachment(id=name, name=name, mime_type="text/plain", thread_id=thread_id)
                await store.save_attachment(attachment, self.alice)
            await store.delete_thread(thread.id, self.alice)
            await raises_not_found(store.load_attachment("mine", self.alice))
            assert (await store.load_attachment("other", self.alice)).id == "other"
            assert (await store.load_attachment("unsent", self.alice)).id == "unsent"

        self.run(scenario)

    def test_check(self) -> None:
        async def scenario(store: Store[Any]) -> None:
            await store.check()
            await self.thread(store)
            await store.check()

        self.run(scenario)

    def test_one_store_in_one_event_loop_after_another(self) -> None:
        self.need("survives_event_loops")

        async def first() -> Store[Any]:
            store = self.make_store()
            thread = ThreadMetadata(id="thr_loops")
            await store.save_thread(thread, self.alice)
            await asyncio.gather(
                *(store.add_thread_item(thread.id, message(f"m{n}"), self.alice) for n in range(5))
            )
            return store

        async def second(store: Store[Any]) -> None:
            await store.add_thread_item("thr_loops", message("last"), self.alice)
            page = await store.load_thread_items("thr_loops", None, 10, "asc", self.alice)
            assert sorted(item.id for item in page.data[:5]) == ["m0", "m1", "m2", "m3", "m4"]
            assert page.data[5].id == "last"

        store = asyncio.run(first())
        try:
            asyncio.run(second(store))
        finally:
            asyncio.run(store.close())
