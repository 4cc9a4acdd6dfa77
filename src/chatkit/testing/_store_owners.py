"""The store contract: owners see, change and delete their own data only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chatkit.errors import ConfigurationError, NotFoundError
from chatkit.store.base import OwnedThread, OwnerContext, Store
from chatkit.testing._store_base import StoreContractBase, all_ids, all_raise, raises_not_found
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata

__all__ = ["OwnerContract"]


def _file(name: str, thread_id: str | None = None) -> FileAttachment:
    return FileAttachment(id="atc_same", name=name, mime_type="text/plain", thread_id=thread_id)


class OwnerContract(StoreContractBase):
    """Tests of the isolation of owners."""

    def test_another_owners_thread_is_not_found_by_any_method(self) -> None:
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a"), message("b")])
            before = await store.load_thread(thread.id, self.alice)
            own = ThreadMetadata(id="thr_own")
            await store.save_thread(own, self.bob)
            attempts = [
                store.load_thread(thread.id, self.bob),
                store.load_thread_items(thread.id, None, 5, "asc", self.bob),
                store.load_thread_items(thread.id, "a", 5, "desc", self.bob),
                store.load_item(thread.id, "a", self.bob),
                store.add_thread_item(thread.id, message("c"), self.bob),
                store.add_thread_item(thread.id, message("a"), self.bob),
                store.save_item(thread.id, message("a", "changed"), self.bob),
                store.save_item(thread.id, message("c"), self.bob),
                store.put_thread_item(thread.id, message("a", "changed"), self.bob),
                store.save_item_if_unchanged(thread.id, message("a"), message("a", "changed"), self.bob),
                store.save_thread_fields(thread.id, {"title": "changed"}, self.bob),
                store.delete_thread_item(thread.id, "a", self.bob),
                store.delete_items_after(thread.id, "a", self.bob),
                store.delete_thread(thread.id, self.bob),
                store.load_threads(5, thread.id, "desc", self.bob),
            ]
            await all_raise(NotFoundError, attempts)
            listed = await store.load_threads(99, None, "desc", self.bob)
            assert [found.id for found in listed.data] == [own.id]
            assert await store.load_thread(thread.id, self.alice) == before
            page = await store.load_thread_items(thread.id, None, 9, "asc", self.alice)
            assert page.data == [message("a"), message("b")]

        self.run(scenario)

    def test_owners_may_use_the_same_ids(self) -> None:
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            contexts = {"alice": self.alice, "bob": self.bob}
            for name, context in contexts.items():
                await store.save_thread(ThreadMetadata(id="thr_same", title=name), context)
                await store.add_thread_item("thr_same", message("same", name), context)
            for name, context in contexts.items():
                assert (await store.load_thread("thr_same", context)).title == name
                assert await store.load_item("thr_same", "same", context) == message("same", name)
                assert [
                    found.title for found in (await store.load_threads(9, None, "asc", context)).data
                ] == [name]
                assert await all_ids(store, "thr_same", context) == ["same"]
            await store.save_item("thr_same", message("same", "changed"), self.bob)
            await store.put_thread_item("thr_same", message("more"), self.bob)
            await store.delete_items_after("thr_same", "same", self.bob)
            assert await store.load_item("thr_same", "same", self.alice) == message("same", "alice")
            await store.delete_thread("thr_same", self.bob)
            assert (await store.load_thread("thr_same", self.alice)).title == "alice"
            assert await all_ids(store, "thr_same", self.alice) == ["same"]

        self.run(scenario)

    def test_attachments_of_owners_are_apart(self) -> None:
        self.need("isolates_owners")
        self.need("stores_attachments")

        async def scenario(store: Store[Any]) -> None:
            await store.save_attachment(_file("alice"), self.alice)
            await raises_not_found(store.load_attachment("atc_same", self.bob))
            await store.delete_attachment("atc_same", self.bob)
            assert await store.load_attachment("atc_same", self.alice) == _file("alice")
            await store.save_attachment(_file("bob"), self.bob)
            assert await store.load_attachment("atc_same", self.alice) == _file("alice")
            assert await store.load_attachment("atc_same", self.bob) == _file("bob")
            await store.delete_attachment("atc_same", self.bob)
            assert await store.load_attachment("atc_same", self.alice) == _file("alice")

        self.run(scenario)

    def test_deleting_a_thread_leaves_other_owners_attachments(self) -> None:
        self.need("isolates_owners")
        self.need("stores_attachments")

        async def scenario(store: Store[Any]) -> None:
            for name, context in (("alice", self.alice), ("bob", self.bob)):
                await store.save_thread(ThreadMetadata(id="thr_same"), context)
                await store.save_attachment(_file(name, "thr_same"), context)
            await store.delete_thread("thr_same", self.bob)
            await raises_not_found(store.load_attachment("atc_same", self.bob))
            assert await store.load_attachment("atc_same", self.alice) == _file("alice", "thr_same")

        self.run(scenario)

    def test_an_owner_context_stands_for_a_request(self) -> None:
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            owner = store.owner(self.alice)
            assert owner is not None
            context = OwnerContext(owner)
            assert store.owner(context) == owner
            assert (await store.load_thread(thread.id, context)).id == thread.id
            await store.add_thread_item(thread.id, message("b"), context)
            assert await all_ids(store, thread.id, self.alice) == ["a", "b"]

        self.run(scenario)

    def test_no_owner_is_an_error_in_every_method(self) -> None:
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("a")])
            for owner in (None, ""):
                nobody = self.make_context(owner)  # pyright: ignore[reportArgumentType] -- that is the test
                attempts = [
                    store.load_thread(thread.id, nobody),
                    store.save_thread(thread, nobody),
                    store.load_threads(5, None, "desc", nobody),
                    store.delete_thread(thread.id, nobody),
                    store.load_thread_items(thread.id, None, 5, "asc", nobody),
                    store.load_item(thread.id, "a", nobody),
                    store.add_thread_item(thread.id, message("b"), nobody),
                    store.save_item(thread.id, message("a", "changed"), nobody),
                    store.put_thread_item(thread.id, message("a", "changed"), nobody),
                    store.save_item_if_unchanged(thread.id, message("a"), message("a", "changed"), nobody),
                    store.save_thread_fields(thread.id, {"title": "changed"}, nobody),
                    store.delete_thread_item(thread.id, "a", nobody),
                    store.delete_items_after(thread.id, "a", nobody),
                ]
                if self.stores_attachments:
                    attempts += [
                        store.save_attachment(_file("nobody"), nobody),
                        store.load_attachment("atc_same", nobody),
                        store.delete_attachment("atc_same", nobody),
                    ]
                if self.fences_turns:
                    attempts += [
                        store.begin_turn(thread.id, "turn", nobody),
                        store.end_turn("turn", 1, nobody),
                        store.complete_turn("turn", 1, nobody),
                        store.has_completed("turn", nobody),
                    ]
                await all_raise(ConfigurationError, attempts)
            assert await all_ids(store, thread.id, self.alice) == ["a"]

        self.run(scenario)

    def test_threads_of_several_owners_are_surveyed(self) -> None:
        self.need("surveys_threads")

        async def scenario(store: Store[Any]) -> None:
            moments = [datetime(2026, 1, day, hour=1, microsecond=day % 2, tzinfo=UTC) for day in range(1, 6)]
            # Two of one moment, told apart by their ids, and made in another order.
            rows = [
                ("acme/ada", "thr_c", moments[2]),
                ("acme/ada", "thr_a", moments[0]),
                ("acme/bob", "thr_b", moments[0]),
                ("acme/bob", "thr_d", moments[3]),
                ("acme0", "thr_e", moments[1]),
                ("acme", "thr_f", moments[1]),
                ("other/ada", "thr_a", moments[4]),
            ]
            for owner, thread_id, moment in rows:
                await store.save_thread(
                    ThreadMetadata(id=thread_id, created_at=moment, title=owner), OwnerContext(owner)
                )

            async def names(prefix: str, limit: int, after: OwnedThread | None, order: str) -> list[str]:
                found = await store.survey_threads(prefix, limit, after, order)
                assert all(entry.thread.title == entry.owner for entry in found)
                return [entry.thread.id for entry in found]

            assert await names("acme/", 9, None, "asc") == ["thr_a", "thr_b", "thr_c", "thr_d"]
            assert await names("acme/", 9, None, "desc") == ["thr_d", "thr_c", "thr_b", "thr_a"]
            assert await names("acme/", 2, None, "desc") == ["thr_d", "thr_c"]
            assert await names("acme/ada", 9, None, "asc") == ["thr_a", "thr_c"]
            assert await names("nobody/", 9, None, "asc") == []
            everyone = ["thr_a", "thr_b", "thr_e", "thr_f", "thr_c", "thr_d", "thr_a"]
            assert await names("", 9, None, "asc") == everyone
            (cursor,) = await store.survey_threads("acme/", 1, None, "asc")
            assert await names("acme/", 2, cursor, "asc") == ["thr_b", "thr_c"]
            assert await names("acme/", 9, cursor, "desc") == []
            # A cursor of an owner that is not asked for is a place all the same.
            (foreign,) = await store.survey_threads("acme0", 1, None, "asc")
            assert await names("acme/", 9, foreign, "asc") == ["thr_c", "thr_d"]
            assert await names("acme/", 9, foreign, "desc") == ["thr_b", "thr_a"]
            found = await store.survey_threads("acme/", 9, None, "asc", thread_id="thr_b")
            assert [(entry.owner, entry.thread.id) for entry in found] == [("acme/bob", "thr_b")]
            assert await store.survey_threads("acme/", 9, None, "asc", thread_id="thr_e") == []

        self.run(scenario)
