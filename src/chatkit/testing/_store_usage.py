"""The store contract: what calls of models have used, and how much room there is for files."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from chatkit.quotas import Quota
from chatkit.store.base import Store
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.testing._store_base import StoreContractBase, raises_not_found
from chatkit.types import FileAttachment
from chatkit.usage import Usage, UsageRecord

__all__ = ["UsageContract"]

_NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
_FOREVER = (_NOON - timedelta(days=400), _NOON + timedelta(days=400))


def _record(turn_id: str = "turn_1", step: str = "1", **more: Any) -> UsageRecord:
    usage = Usage("m", input_tokens=100, cached_tokens=40, output_tokens=10, reasoning_tokens=3)
    given: dict[str, Any] = {"thread_id": "thr", "group": None, "usage": usage, "cost": Decimal("0.1")}
    given["created_at"] = _NOON
    return UsageRecord(turn_id, step, **{**given, **more})


class UsageContract(StoreContractBase):
    """Tests of a :class:`chatkit.store.UsageKeeper`, and of :class:`chatkit.store.BoundedFiles`."""

    def _keeper(self, store: Store[Any]) -> UsageKeeper[Any]:
        assert isinstance(store, UsageKeeper)
        return store

    def test_usage_adds_up_by_day_group_and_model_of_the_owner(self) -> None:
        self.need("keeps_usage")

        async def scenario(store: Store[Any]) -> None:
            keeper = self._keeper(store)
            night = _NOON.replace(hour=23, minute=59)
            records = [
                _record(),
                _record(step="2", created_at=night),
                _record("turn_2", cost=None),
                _record("turn_3", created_at=night + timedelta(minutes=1)),
                _record("turn_4", group="red"),
                _record("turn_5", usage=Usage("n", input_tokens=7), cost=Decimal("0.000000001")),
            ]
            for record in records:
                assert await keeper.add_usage(record, self.alice)
            totals = await keeper.sum_usage(*_FOREVER, self.alice)
            assert [(each.day, each.group, each.model, each.calls, each.unpriced) for each in totals] == [
                (date(2026, 3, 4), None, "m", 3, 1),
                (date(2026, 3, 4), None, "n", 1, 0),
                (date(2026, 3, 4), "red", "m", 1, 0),
                (date(2026, 3, 5), None, "m", 1, 0),
            ]
            first, second = totals[:2]
            counts = (first.input_tokens, first.cached_tokens, first.output_tokens, first.reasoning_tokens)
            assert counts == (300, 120, 30, 9)
            assert (first.owner, first.cost) == (store.owner(self.alice), Decimal("0.2"))
            assert second.cost == Decimal("0.000000001")
            # From the first moment on, up to the last.
            assert await keeper.sum_usage(_NOON + timedelta(seconds=1), night, self.alice) == []
            assert len(await keeper.sum_usage(_NOON, night, self.alice)) == 3

        self.run(scenario)

    def test_a_step_is_kept_once(self) -> None:
        self.need("keeps_usage")

        async def scenario(store: Store[Any]) -> None:
            keeper = self._keeper(store)
            assert await keeper.add_usage(_record(), self.alice)
            again = _record(usage=Usage("m", input_tokens=9_999))
            assert not any(await asyncio.gather(*(keeper.add_usage(again, self.alice) for _ in range(3))))
            (total,) = await keeper.sum_usage(*_FOREVER, self.alice)
            assert (total.calls, total.input_tokens) == (1, 100)
            # Of several at once one is kept.
            at_once = (keeper.add_usage(_record("turn_2"), self.alice) for _ in range(5))
            assert sum(await asyncio.gather(*at_once)) == 1

        self.run(scenario)

    def test_usage_of_others_is_not_seen_but_by_the_operator(self) -> None:
        self.need("keeps_usage")

        async def scenario(store: Store[Any]) -> None:
            keeper = self._keeper(store)
            # Each owner has a turn of that id.
            assert await keeper.add_usage(_record(), self.alice)
            assert await keeper.add_usage(_record(), self.bob)
            for context in (self.alice, self.bob):
                (total,) = await keeper.sum_usage(*_FOREVER, context)
                assert (total.owner, total.calls) == (store.owner(context), 1)
            assert await keeper.sum_usage(*_FOREVER, self.make_context("carol")) == []
            owners = [total.owner for total in await keeper.survey_usage(*_FOREVER)]
            assert owners == [store.owner(self.alice), store.owner(self.bob)]

        self.run(scenario)

    def test_usage_outlives_its_thread_until_it_is_deleted(self) -> None:
        self.need("keeps_usage")

        async def scenario(store: Store[Any]) -> None:
            keeper = self._keeper(store)
            thread = await self.thread(store)
            await keeper.add_usage(_record(thread_id=thread.id), self.alice)
            await keeper.add_usage(_record("turn_2", created_at=_NOON - timedelta(days=90)), self.bob)
            await store.delete_thread(thread.id, self.alice)
            assert await keeper.delete_usage(_NOON) == 1
            assert [total.calls for total in await keeper.survey_usage(*_FOREVER)] == [1]
            assert len(await keeper.sum_usage(*_FOREVER, self.alice)) == 1

        self.run(scenario)

    def _files(self, store: Store[Any]) -> BoundedFiles[Any]:
        assert isinstance(store, BoundedFiles)
        return store

    def test_files_are_added_within_the_bytes_that_there_may_be(self) -> None:
        self.need("bounds_files")

        async def scenario(store: Store[Any]) -> None:
            files, quotas = self._files(store), [Quota("stored_bytes", 100)]
            assert await files.add_attachment(_file("a"), 60, None, quotas, self.alice) is None
            assert await files.add_attachment(_file("b"), 41, None, quotas, self.alice) == quotas[0]
            await self._no_file(store, "b")
            # Others have room of their own.
            assert await files.add_attachment(_file("b"), 100, None, quotas, self.bob) is None
            copied = await files.add_attachment(_file("c"), None, None, quotas, self.alice, copy_of="a")
            assert copied == quotas[0]
            # Saved again, as by a message, it has the bytes that it had.
            await store.save_attachment(_file("a", "thr"), self.alice)
            assert await files.add_attachment(_file("b"), 41, None, quotas, self.alice) == quotas[0]
            assert await files.add_attachment(_file("b"), 41, None, [], self.alice) is None
            for name in ("a", "b"):
                await store.delete_attachment(name, self.alice)
            assert await files.add_attachment(_file("a"), 100, None, quotas, self.alice) is None

        self.run(scenario)

    def test_files_that_no_message_has_come_for_are_counted(self) -> None:
        self.need("bounds_files")

        async def scenario(store: Store[Any]) -> None:
            files, quotas = self._files(store), [Quota("unclaimed_files", 1), Quota("stored_bytes", 9)]
            assert await files.add_attachment(_file("a"), 1, None, quotas, self.alice) is None
            assert await files.add_attachment(_file("b"), 1, None, quotas, self.alice) == quotas[0]
            await store.save_attachment(_file("a", "thr"), self.alice)
            assert await files.add_attachment(_file("b"), 1, None, quotas, self.alice) is None

        self.run(scenario)

    def test_files_of_a_group_are_counted_together_also_at_once(self) -> None:
        self.need("bounds_files")

        async def scenario(store: Store[Any]) -> None:
            files, quotas = self._files(store), [Quota("stored_bytes", 50, by="group")]
            owners = (self.alice, self.bob)
            found = await asyncio.gather(
                *(
                    files.add_attachment(_file(f"{n}"), 10, "red", quotas, owner)
                    for n in range(6)
                    for owner in owners
                )
            )
            assert found.count(None) == 5
            assert await files.add_attachment(_file("x"), 50, "blue", quotas, self.alice) is None
            assert await files.add_attachment(_file("y"), 99, None, quotas, self.alice) is None

        self.run(scenario)

    async def _no_file(self, store: Store[Any], name: str) -> None:
        await raises_not_found(store.load_attachment(name, self.alice))


def _file(name: str, thread_id: str | None = None) -> FileAttachment:
    return FileAttachment(id=name, name=f"{name}.txt", mime_type="text/plain", thread_id=thread_id)
