"""The store contract: leases of accepted turns, what becomes of dead workers' turns, and how turns end."""

from __future__ import annotations

import asyncio
from typing import Any

from chatkit.errors import StaleTurnError
from chatkit.ids import utc_now
from chatkit.store.acceptance import DELETED, Acceptance, TurnStatus, TurnWrites
from chatkit.store.base import Fence, Store
from chatkit.testing._store_acceptance import LONG, AcceptanceBase
from chatkit.testing._store_base import all_ids, all_raise, raises, raises_not_found, writing_as
from chatkit.testing._store_samples import message, user_message
from chatkit.types import ThreadMetadata

__all__ = ["TurnEndsContract"]

_OVER = -1.0
"""A lease that has run out as it begins."""
_MANY = 250
"""More turns than a store returns at once."""


class TurnEndsContract(AcceptanceBase):
    """Tests of leases and ends of turns, for stores with ``accepts_turns``."""

    def test_turns_beside_one_run_or_have_ended_since(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread, other = await self.thread(store), await self.thread(store)
            early = await self._accept(store, "early", thread.id)
            assert await store.finish_turn("early", early.token, "completed", self.alice)
            assert not await store.finish_turn("early", early.token, "completed", self.alice)
            began = utc_now()
            ended = await self._accept(store, "ended", thread.id)
            await self._accept(store, "one", thread.id)
            await self._accept(store, "running", thread.id)
            await self._accept(store, "elsewhere", other.id)
            await self._accept(store, "waiting", thread.id, policy="enqueue")
            await store.finish_turn("ended", ended.token, "completed", self.alice)
            assert await store.turns_beside(thread.id, "one", began, self.alice) == ["ended", "running"]
            assert await store.turns_beside(thread.id, "one", None, self.alice) == ["running"]
            assert await store.turns_beside(thread.id, "early", None, self.alice) == [
                "ended",
                "one",
                "running",
            ]
            assert await store.turns_beside(thread.id, "elsewhere", None, self.alice) == []
            if self.isolates_owners:
                assert await store.turns_beside(thread.id, "one", began, self.bob) == []

        self.run(scenario)

    def test_a_lapsed_turn_is_claimed_by_one(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            alive = await self._accept(store, "alive", thread.id)
            assert await store.claim_turn(alive, LONG, self.alice) is None
            dead = await self._accept(store, "dead", thread.id, lease=_OVER)
            found = await store.find_turn("dead", self.alice)
            assert found is not None
            assert found.lapsed
            late = await self._accept(store, "late", thread.id, lease=_OVER)
            await store.open_turn("late", late.token, self.alice)
            assert await store.claim_turn(late, LONG, self.alice) is None, "it was opened since"
            claims = await asyncio.gather(*(store.claim_turn(found, LONG, self.alice) for _ in range(5)))
            claimed = [claim for claim in claims if claim is not None]
            assert len(claimed) == 1
            assert claimed[0].token > dead.token
            assert claimed[0].claimed
            await raises(StaleTurnError, store.open_turn("dead", dead.token, self.alice))
            assert not await store.finish_turn("dead", dead.token, "completed", self.alice)
            with writing_as("dead", dead.token):
                await raises(StaleTurnError, store.add_thread_item(thread.id, message("late"), self.alice))
            with writing_as("dead", claimed[0].token):
                await store.add_thread_item(thread.id, message("a"), self.alice)
            await store.open_turn("dead", claimed[0].token, self.alice)
            found = await store.find_turn("dead", self.alice)
            assert found is not None
            assert found.opened
            assert not found.lapsed
            assert await store.resolve_turn("dead", thread.id, self.alice) is None, "it is another worker's"

        self.run(scenario)

    def test_a_lost_answer_is_resolved(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            accepted = await self._accept(store, "turn", thread.id)
            resolved = await store.resolve_turn("turn", thread.id, self.alice)
            assert resolved is not None
            assert resolved.token == accepted.token
            assert await store.resolve_turn("never", thread.id, self.alice) is None
            await raises(StaleTurnError, self._accept(store, "never", thread.id))
            assert await store.resolve_turn("never", thread.id, self.alice) is None
            assert await all_ids(store, thread.id, self.alice) == ["m_turn"]

        self.run(scenario)

    def test_lapsed_turns_are_found_now_and_then(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            await self._accept(store, "alive", thread.id)
            dead = await self._accept(store, "dead", thread.id, lease=_OVER)
            ended = await self._accept(store, "ended", thread.id, lease=_OVER)
            await store.finish_turn("ended", ended.token, "failed", self.alice)
            found = await store.lapsed_turns(0)
            assert [entry.turn.turn_id for entry in found] == ["dead"]
            assert found[0].turn.token == dead.token
            if self.isolates_owners:
                assert found[0].owner == "alice"
            again = await store.lapsed_turns(LONG)
            assert [entry.turn.turn_id for entry in again] == ["dead"]
            assert await store.lapsed_turns(LONG) == []

        self.run(scenario)

    def test_a_turn_that_ended_stays_so(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            for end in ("completed", "stopped", "failed", "interrupted"):
                accepted = await self._accept(store, end, thread.id, lease=_OVER)
                await store.finish_turn(end, accepted.token, end, self.alice)
                await store.finish_turn(end, accepted.token, "other", self.alice)
                found = await store.find_turn(end, self.alice)
                assert found is not None
                assert (found.status, found.end, found.info) == (TurnStatus.ENDED, end, "")
                assert await store.has_completed(end, self.alice) is (end == "completed")
                assert await store.claim_turn(found, LONG, self.alice) is None
                await all_raise(
                    StaleTurnError,
                    [
                        store.begin_turn(thread.id, end, self.alice),
                        store.open_turn(end, accepted.token, self.alice),
                        store.begin_waiting_turn(end, accepted.token, self.alice),
                    ],
                )
                with writing_as(end, accepted.token):
                    await raises(
                        StaleTurnError, store.add_thread_item(thread.id, message("late"), self.alice)
                    )

        self.run(scenario)

    def test_turns_of_a_deleted_thread_are_over_and_their_keys_are_kept(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread, other = await self.thread(store), await self.thread(store)
            ended = await self._accept(store, "ended", thread.id, key="key", lease=_OVER)
            await store.finish_turn("ended", ended.token, "failed", self.alice)
            running = await self._accept(store, "running", thread.id, policy="enqueue", lease=_OVER)
            waiting = await self._accept(store, "waiting", thread.id, key="key_2", policy="enqueue")
            await self._accept(store, "elsewhere", other.id, key="key_3")
            await store.delete_thread(thread.id, self.alice)
            assert await store.find_turn("running", self.alice) is None
            for turn, key in ((ended, "key"), (waiting, "key_2")):
                found = await store.find_keyed_turn(key, self.alice)
                assert found is not None
                assert found == await store.find_turn(turn.turn_id, self.alice)
                assert (found.status, found.end) == (TurnStatus.ENDED, DELETED)
                assert (found.fingerprint, found.info, found.opened) == ("print", "", True)
                await all_raise(
                    StaleTurnError,
                    [
                        store.begin_waiting_turn(turn.turn_id, turn.token, self.alice),
                        store.open_turn(turn.turn_id, turn.token, self.alice),
                        store.begin_turn(thread.id, turn.turn_id, self.alice),
                    ],
                )
                again = Acceptance(
                    f"again_{key}",
                    "thr_again",
                    LONG,
                    TurnWrites(ThreadMetadata(id="thr_again"), user_message("m")),
                    "m",
                    key,
                    replaces=turn.turn_id,
                )
                accepted = await store.accept_turn(again, self.alice)
                assert (accepted.fresh, accepted.turn_id) == (False, turn.turn_id)
            await raises_not_found(store.load_thread("thr_again", self.alice))
            await raises(StaleTurnError, store.open_turn("running", running.token, self.alice))
            assert await store.lapsed_turns(0) == []
            kept = await store.find_turn("elsewhere", self.alice)
            assert kept is not None
            assert kept.status is TurnStatus.BEGUN

        self.run(scenario)

    def test_leases_are_renewed_by_those_who_hold_them(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            tokens = {
                name: (await self._accept(store, name, thread.id, lease=_OVER)).token
                for name in ("held", "stale", "ended", "dead")
            }
            owner = store.owner(self.alice) or ""
            await store.finish_turn("ended", tokens["ended"], "failed", self.alice)
            held = [
                (owner, Fence(name, tokens[name] + (name == "stale"))) for name in ("held", "stale", "ended")
            ]
            await store.renew_turns([*held, (owner, Fence("unknown", 1)), ("nobody", held[0][1])], LONG)
            lapsed = await store.lapsed_turns(0)
            assert sorted(entry.turn.turn_id for entry in lapsed) == ["dead", "stale"]
            found = await store.find_turn("held", self.alice)
            assert found is not None
            assert not found.lapsed
            assert await store.claim_turn(found, LONG, self.alice) is None
            ended = await store.find_turn("ended", self.alice)
            assert ended is not None
            assert (ended.status, ended.end) == (TurnStatus.ENDED, "failed")

        self.run(scenario)

    def test_a_dead_turn_is_found_among_many_that_run(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            for number in range(_MANY):
                await self._accept(store, f"t{number}", thread.id, lease=_OVER)
            await self._accept(store, "dead", thread.id, lease=_OVER / 2)
            seen: set[str] = set()
            while found := await store.lapsed_turns(LONG):
                seen |= {entry.turn.turn_id for entry in found}
            assert "dead" in seen
            assert len(seen) == _MANY + 1

        self.run(scenario)
