"""The store contract: a turn is accepted in one transaction, once, and in its thread's order."""

from __future__ import annotations

import asyncio
from typing import Any

from chatkit.errors import ConflictError, NotFoundError, StaleTurnError
from chatkit.store.acceptance import (
    Acceptance,
    AcceptedTurn,
    AcceptingStore,
    ItemChange,
    Policy,
    ThreadTakenError,
    TurnStatus,
    TurnWrites,
)
from chatkit.store.base import Store
from chatkit.testing._store_base import (
    StoreContractBase,
    all_ids,
    raises,
    raises_not_found,
    writing_as,
)
from chatkit.testing._store_samples import message, user_message
from chatkit.types import ThreadMetadata

__all__ = ["LONG", "AcceptanceBase", "AcceptanceContract"]

LONG = 600.0


class AcceptanceBase(StoreContractBase):
    """What tests of accepting turns have in common."""

    def _accepting(self, store: Any) -> AcceptingStore[Any]:
        return store

    async def _accept(
        self,
        store: Store[Any],
        turn_id: str,
        thread_id: str,
        *,
        key: str | None = None,
        policy: Policy = "allow",
        lease: float = LONG,
    ) -> AcceptedTurn:
        """Accepts a turn with a message ``m_`` and the turn's id."""
        item = user_message(f"m_{turn_id}", thread_id)
        acceptance = Acceptance(
            turn_id,
            thread_id,
            lease,
            TurnWrites(message=item),
            user_item_id=item.id,
            key=key,
            fingerprint="print",
            policy=policy,
            info="info",
        )
        return await self._accepting(store).accept_turn(acceptance, self.alice)


class AcceptanceContract(AcceptanceBase):
    """Tests of accepting turns, for stores with ``accepts_turns``."""

    def test_a_thread_and_its_message_are_accepted_together(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread, item = ThreadMetadata(id="thr", title="New"), user_message("m")
            accepted = await store.accept_turn(
                Acceptance("turn", "thr", LONG, TurnWrites(thread, item), "m", "key", "print", info="info"),
                self.alice,
            )
            assert accepted.fresh
            assert accepted.token > 0
            assert accepted.status is TurnStatus.BEGUN
            assert (await store.load_thread("thr", self.alice)).title == "New"
            assert await store.load_item("thr", "m", self.alice) == item
            if self.stores_attachments:
                recorded = await store.load_attachment("atc_file", self.alice)
                assert recorded.thread_id == "thr"
            found = await store.find_turn("turn", self.alice)
            assert found is not None
            assert found == await store.find_keyed_turn("key", self.alice)
            assert (found.turn_id, found.thread_id, found.user_item_id) == ("turn", "thr", "m")
            assert (found.token, found.fingerprint, found.info) == (accepted.token, "print", "info")
            assert (found.status, found.end) == (TurnStatus.BEGUN, "")
            assert (found.fresh, found.opened, found.lapsed, found.claimed) == (False, False, False, False)
            with writing_as("turn", accepted.token):
                await store.add_thread_item("thr", message("a"), self.alice)
            assert await all_ids(store, "thr", self.alice) == ["m", "a"]

        self.run(scenario)

    def test_a_key_accepts_once(self) -> None:
        self.need("accepts_turns")

        async def scenario(store: Store[Any]) -> None:
            thread, other = await self.thread(store), await self.thread(store)
            first = await self._accept(store, "first", thread.id, key="key")
            again = await self._accept(store, "second", thread.id, key="key")
            elsewhere = await self._accept(store, "third", other.id, key="key")
            assert first.fresh
            assert not again.fresh
            assert again.turn_id == elsewhere.turn_id == "first"
            assert await all_ids(store, thread.id, self.alice) == ["m_first"]
            assert await all_ids(store, other.id, self.alice) == []
            assert await self._accepting(store).find_turn("second", self.alice) is None
            await self._accepting(store).finish_turn("first", first.token, "failed", self.alice)
            late = await self._accept(store, "late", thread.id, key="key", policy="reject")
            assert (late.turn_id, late.status, late.end) == ("first", TurnStatus.ENDED, "failed")

        self.run(scenario)

    def test_a_key_accepts_once_at_the_same_time(self) -> None:
        self.need("accepts_turns")

        async def scenario(store: Store[Any]) -> None:
            threads = [await self.thread(store) for _ in range(3)]
            sent = [
                self._accept(store, f"t{number}", threads[number % 3].id, key="key") for number in range(9)
            ]
            accepted = await asyncio.gather(*sent)
            assert sum(turn.fresh for turn in accepted) == 1
            assert len({turn.turn_id for turn in accepted}) == 1
            stored = [await all_ids(store, thread.id, self.alice) for thread in threads]
            assert sum(map(len, stored)) == 1

        self.run(scenario)

    def test_a_key_is_its_owners(self) -> None:
        self.need("accepts_turns")
        self.need("isolates_owners")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            accepted = await self._accept(store, "turn", thread.id, key="key")
            assert await store.find_keyed_turn("key", self.bob) is None
            assert await store.find_turn("turn", self.bob) is None
            await raises_not_found(
                store.accept_turn(Acceptance("theirs", thread.id, LONG, key="key"), self.bob)
            )
            await store.finish_turn("turn", accepted.token, "completed", self.bob)
            await store.withdraw_turn(Acceptance("turn", thread.id, LONG), accepted.token, self.bob)
            found = await store.find_turn("turn", self.alice)
            assert found is not None
            assert found.status is TurnStatus.BEGUN

        self.run(scenario)

    def test_what_cannot_be_accepted_leaves_nothing(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store, [message("a"), message("b")])
            changed = ItemChange(message("a", "not what is stored"), message("a", "new"))
            gone = ItemChange(message("gone"), message("gone", "new"))
            for error, writes in (
                (ConflictError, TurnWrites(change=changed)),
                (NotFoundError, TurnWrites(change=gone)),
                (NotFoundError, TurnWrites(delete_after="gone")),
            ):
                asked = Acceptance("turn", thread.id, LONG, writes, key="key")
                await raises(error, store.accept_turn(asked, self.alice))
            no_thread = TurnWrites(message=user_message("m", "thr_gone"))
            await raises_not_found(
                store.accept_turn(Acceptance("turn", "thr_gone", LONG, no_thread, "m", key="key"), self.alice)
            )
            assert await store.find_turn("turn", self.alice) is None
            assert await store.find_keyed_turn("key", self.alice) is None
            assert await all_ids(store, thread.id, self.alice) == ["a", "b"]
            if self.stores_attachments:
                await raises_not_found(store.load_attachment("atc_file", self.alice))

        self.run(scenario)

    def test_a_turn_is_accepted_once_without_a_key_too(self) -> None:
        self.need("accepts_turns")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store)
            await self._accept(store, "turn", thread.id)
            await raises(StaleTurnError, self._accept(store, "turn", thread.id))
            assert await all_ids(store, thread.id, self.alice) == ["m_turn"]

        self.run(scenario)

    def test_a_request_that_is_no_turn_is_accepted_for_its_key(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            asked = Acceptance("req_1", "", LONG, key="key", fingerprint="print")
            first = await store.accept_turn(asked, self.alice)
            again = await store.accept_turn(Acceptance("req_2", "", LONG, key="key"), self.alice)
            assert (first.fresh, again.fresh, again.turn_id) == (True, False, "req_1")
            await store.finish_turn("req_1", first.token, "completed", self.alice, info='{"a":"\\u0000"}')
            found = await store.find_keyed_turn("key", self.alice)
            assert found is not None
            assert (found.end, found.info, found.fingerprint) == ("completed", '{"a":"\\u0000"}', "print")
            freed = Acceptance("req_3", "", LONG, key="other")
            accepted = await store.accept_turn(freed, self.alice)
            assert await store.withdraw_turn(freed, accepted.token, self.alice)
            assert await store.find_keyed_turn("other", self.alice) is None

        self.run(scenario)

    def test_a_retry_deletes_and_an_answer_changes_what_it_names(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store, [message("a"), message("b"), message("c")])
            writes = TurnWrites(delete_after="a", change=ItemChange(message("a"), message("a", "new")))
            await store.accept_turn(Acceptance("turn", thread.id, LONG, writes), self.alice)
            assert await all_ids(store, thread.id, self.alice) == ["a"]
            assert await store.load_item(thread.id, "a", self.alice) == message("a", "new")

        self.run(scenario)

    def test_a_thread_that_is_taken_refuses(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread, other = await self.thread(store), await self.thread(store)
            first = await self._accept(store, "first", thread.id)
            refused = await raises(
                ThreadTakenError, self._accept(store, "second", thread.id, key="key", policy="reject")
            )
            assert refused.turn_ids == ("first",)
            await self._accept(store, "third", other.id, policy="reject")
            await store.finish_turn("first", first.token, "completed", self.alice)
            await self._accept(store, "second", thread.id, key="key", policy="reject")
            assert await all_ids(store, thread.id, self.alice) == ["m_first", "m_second"]

        self.run(scenario)

    def test_turns_wait_in_their_order(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            first = await self._accept(store, "first", thread.id, policy="enqueue")
            second = await self._accept(store, "second", thread.id, policy="enqueue")
            third = await self._accept(store, "third", thread.id, policy="enqueue")
            assert [turn.status for turn in (first, second, third)] == ["begun", "waiting", "waiting"]
            assert third.others == ("first", "second")
            assert await all_ids(store, thread.id, self.alice) == ["m_first"]
            assert await store.begin_waiting_turn("second", second.token, self.alice) == ("first",)
            with writing_as("first", first.token):
                await store.add_thread_item(thread.id, message("a_first"), self.alice)
            await store.finish_turn("first", first.token, "completed", self.alice)
            assert await store.begin_waiting_turn("third", third.token, self.alice) == ("second",)
            assert await store.begin_waiting_turn("second", second.token, self.alice) == ()
            assert await store.begin_waiting_turn("second", second.token, self.alice) == (), "again"
            assert await store.begin_waiting_turn("third", third.token, self.alice) == ("second",)
            await store.finish_turn("second", second.token, "stopped", self.alice)
            assert await store.begin_waiting_turn("third", third.token, self.alice) == ()
            stored = await all_ids(store, thread.id, self.alice)
            assert stored == ["m_first", "a_first", "m_second", "m_third"]
            item = await store.load_item(thread.id, "m_third", self.alice)
            assert item == user_message("m_third", thread.id).model_copy(
                update={"created_at": item.created_at}
            )

        self.run(scenario)

    def test_a_waiting_turn_may_begin_at_once_or_be_withdrawn(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store)
            await self._accept(store, "first", thread.id, policy="enqueue")
            second = await self._accept(store, "second", thread.id, key="key", policy="enqueue")
            third = await self._accept(store, "third", thread.id, policy="enqueue")
            asked = Acceptance(
                "second", thread.id, LONG, TurnWrites(message=user_message("m_second")), key="key"
            )
            await store.withdraw_turn(asked, second.token, self.alice)
            assert await store.find_keyed_turn("key", self.alice) is None
            await raises(StaleTurnError, store.begin_waiting_turn("second", second.token, self.alice))
            assert await store.begin_waiting_turn("third", third.token, self.alice) == ("first",)
            assert await store.begin_waiting_turn("third", third.token, self.alice, at_once=True) == ()
            assert await all_ids(store, thread.id, self.alice) == ["m_first", "m_third"]

        self.run(scenario)

    def test_what_is_withdrawn_is_gone(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            thread = await self.thread(store, [message("a")])
            created = Acceptance(
                "one", "thr", LONG, TurnWrites(ThreadMetadata(id="thr"), user_message("m")), "m", "key"
            )
            answered = Acceptance(
                "two", thread.id, LONG, TurnWrites(change=ItemChange(message("a"), message("a", "new")))
            )
            asked = Acceptance(
                "three", thread.id, LONG, TurnWrites(message=user_message("m", thread.id)), "m"
            )
            for acceptance in (created, answered, asked):
                accepted = await store.accept_turn(acceptance, self.alice)
                await store.withdraw_turn(acceptance, accepted.token + 1, self.alice)
                assert await store.find_turn(acceptance.turn_id, self.alice) is not None, "stale"
                await store.withdraw_turn(acceptance, accepted.token, self.alice)
                assert await store.find_turn(acceptance.turn_id, self.alice) is None
                with writing_as(acceptance.turn_id, accepted.token):
                    await raises(
                        StaleTurnError, store.add_thread_item(thread.id, message("late"), self.alice)
                    )
            await raises_not_found(store.load_thread("thr", self.alice))
            assert await store.find_keyed_turn("key", self.alice) is None
            assert await all_ids(store, thread.id, self.alice) == ["a"]
            assert await store.load_item(thread.id, "a", self.alice) == message("a")
            await store.accept_turn(created, self.alice)

        self.run(scenario)

    def test_a_turn_that_is_withdrawn_after_it_took_the_place_of_another_leaves_the_key(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            writes = TurnWrites(ThreadMetadata(id="thr"), user_message("m"))
            first = await store.accept_turn(Acceptance("0", "thr", LONG, writes, "m", "key"), self.alice)
            await store.finish_turn("0", first.token, "interrupted", self.alice)
            for number in range(1, 4):
                asked = Acceptance(
                    str(number), "thr", LONG, user_item_id="m", key="key", replaces=str(number - 1)
                )
                accepted = await store.accept_turn(asked, self.alice)
                assert accepted.fresh
                if number == 2:
                    await store.open_turn("2", accepted.token, self.alice)
                assert await store.withdraw_turn(asked, accepted.token, self.alice)
                found = await store.find_keyed_turn("key", self.alice)
                assert found is not None
                assert (found.turn_id, found.status) == (str(number), TurnStatus.ENDED)
                assert (found.end, found.opened) == ("interrupted", False)
                with writing_as(str(number), accepted.token):
                    await raises(StaleTurnError, store.add_thread_item("thr", message("late"), self.alice))
            assert await all_ids(store, "thr", self.alice) == ["m"]

        self.run(scenario)

    def test_a_turn_that_never_began_goes_on_only_in_order(self) -> None:
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store = self._accepting(given)
            cases: list[tuple[Policy, str]] = [
                (policy, later)
                for policy in ("enqueue", "reject", "allow")
                for later in ("none", "message", "waits")
            ]
            for policy, later in cases:
                thread = await self.thread(store)
                first = await self._accept(store, f"{policy} {later}", thread.id, key=f"{policy} {later}")
                if later == "waits":
                    acts = Acceptance(f"acts {policy}", thread.id, LONG)
                    await store.accept_turn(acts, self.alice)
                await store.finish_turn(first.turn_id, first.token, "interrupted", self.alice)
                if later != "none":
                    await self._accept(store, f"{policy} {later} later", thread.id, policy="enqueue")
                again = await store.accept_turn(
                    Acceptance(
                        f"{policy} {later} again",
                        thread.id,
                        LONG,
                        user_item_id=f"m_{policy} {later}",
                        key=f"{policy} {later}",
                        policy=policy,
                        replaces=first.turn_id,
                    ),
                    self.alice,
                )
                assert again.fresh is (policy == "allow" or later == "none"), (policy, later)
                if not again.fresh:
                    assert (again.turn_id, again.status, again.end) == (
                        first.turn_id,
                        TurnStatus.ENDED,
                        "interrupted",
                    )

        self.run(scenario)
