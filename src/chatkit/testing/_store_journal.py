"""The store contract: the steps of a turn are kept while it runs, for the worker that has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chatkit.errors import StaleTurnError
from chatkit.store.base import Fence, Store
from chatkit.store.journal import JournalKeeper, RecordedStep, StepStatus
from chatkit.testing._store_base import StoreContractBase, raises

__all__ = ["JournalContract"]


def _step(position: int, status: StepStatus = StepStatus.STARTED, result: str = "") -> RecordedStep:
    return RecordedStep(position, "tool", "pay", f"print_{position}", "once", status, result)


class JournalContract(StoreContractBase):
    """Tests of a :class:`chatkit.store.JournalKeeper`."""

    def _journals(self, store: Store[Any]) -> JournalKeeper[Any]:
        assert isinstance(store, JournalKeeper)
        return store

    async def _begun(self, store: Store[Any], turn_id: str, context: Any) -> Fence:
        return Fence(turn_id, await store.begin_turn(f"thr_{turn_id}", turn_id, context))

    def test_steps_are_kept_under_their_positions(self) -> None:
        self.need("keeps_journals")

        async def scenario(store: Store[Any]) -> None:
            journals = self._journals(store)
            fence = await self._begun(store, "turn", self.alice)
            other = await self._begun(store, "other", self.alice)
            assert await journals.load_steps("turn", self.alice) == []
            result = '{"text":"\\u0000 \\ud800 Zoë","many":"' + "x" * 100_000 + '"}'
            steps = [_step(2), _step(1, StepStatus.ENDED, result), _step(3, StepStatus.FAILED, '{"a":1}')]
            await journals.save_steps(fence, steps, self.alice)
            await journals.save_steps(other, [_step(7)], self.alice)
            ordered = sorted(steps, key=lambda step: step.position)
            assert await journals.load_steps("turn", self.alice) == ordered
            later = RecordedStep(2, "model", "m", "another", "repeatable", StepStatus.LEFT, "")
            await journals.save_steps(fence, [later, replace(steps[2], effect="keyed")], self.alice)
            changed = [steps[1], later, replace(steps[2], effect="keyed")]
            assert await journals.load_steps("turn", self.alice) == changed
            assert await journals.load_steps("other", self.alice) == [_step(7)]
            assert await journals.load_steps("nobody", self.alice) == []

        self.run(scenario)

    def test_steps_are_their_owners(self) -> None:
        self.need("keeps_journals")
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            journals = self._journals(store)
            fence = await self._begun(store, "turn", self.alice)
            await journals.save_steps(fence, [_step(1)], self.alice)
            assert await journals.load_steps("turn", self.bob) == []
            await raises(StaleTurnError, journals.save_steps(fence, [_step(1)], self.bob))
            await self._begun(store, "turn", self.bob)
            assert await journals.load_steps("turn", self.bob) == []
            assert await journals.load_steps("turn", self.alice) == [_step(1)]

        self.run(scenario)

    def test_a_worker_that_lost_its_turn_records_nothing(self) -> None:
        self.need("keeps_journals")

        async def scenario(store: Store[Any]) -> None:
            journals = self._journals(store)
            fence = await self._begun(store, "turn", self.alice)
            await journals.save_steps(fence, [_step(1)], self.alice)
            taken = await self._begun(store, "turn", self.alice)
            late = [_step(1, StepStatus.ENDED, "1"), _step(2)]
            await raises(StaleTurnError, journals.save_steps(fence, late, self.alice))
            assert await journals.load_steps("turn", self.alice) == [_step(1)], (
                "they stay for the next worker"
            )
            await journals.save_steps(taken, late, self.alice)
            assert await journals.load_steps("turn", self.alice) == late
            await raises(StaleTurnError, journals.save_steps(Fence("never", 1), late, self.alice))

        self.run(scenario)

    def test_steps_go_with_their_turn(self) -> None:
        self.need("keeps_journals")

        async def scenario(store: Store[Any]) -> None:
            journals = self._journals(store)
            for end in (store.end_turn, store.complete_turn):
                fence = await self._begun(store, f"turn_{end.__name__}", self.alice)
                await journals.save_steps(fence, [_step(1, StepStatus.ENDED, "1")], self.alice)
                await end(fence.turn_id, fence.token, self.alice)
                assert await journals.load_steps(fence.turn_id, self.alice) == []
                await raises(StaleTurnError, journals.save_steps(fence, [_step(2)], self.alice))
            thread = await self.thread(store)
            fence = Fence("deleted", await store.begin_turn(thread.id, "deleted", self.alice))
            await journals.save_steps(fence, [_step(1)], self.alice)
            await store.delete_thread(thread.id, self.alice)
            assert await journals.load_steps("deleted", self.alice) == []
            await raises(StaleTurnError, journals.save_steps(fence, [_step(2)], self.alice))

        self.run(scenario)
