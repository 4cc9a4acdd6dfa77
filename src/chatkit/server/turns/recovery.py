"""Turns whose worker died: they are run again where the application allows it, or else their partial items are kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from contextvars import Token
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import accepting_store, newest_items
from chatkit.errors import NotFoundError, StaleTurnError, StoreError
from chatkit.server.turns.continued import ContinuedItems, can_continue, told_items
from chatkit.server.turns.journal import keeps_journals
from chatkit.server.turns.observed import find_trace, tell_taken_over
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.state import TurnState
from chatkit.server.turns.storage import stored_items
from chatkit.server.wire import INTERRUPTED, interrupted_event, is_hidden
from chatkit.store.acceptance import AcceptedTurn, TurnStatus
from chatkit.store.base import Fence, OwnerContext, Store, current_fence, find_item, plain_metadata
from chatkit.streams.base import (
    EndState,
    InterruptedTurn,
    LogEntry,
    StreamLog,
    ThreadKey,
    TurnInfo,
    load_end,
)
from chatkit.types import (
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    UserMessageItem,
    WorkflowItem,
)

__all__ = ["Recovery", "end_in_store", "find_opening", "fold_log", "known_end", "take_back", "unseen_items"]

logger = logging.getLogger("chatkit.server")

_RECENT_ITEMS: Final = 50
"""Items of a thread among which those are looked for that a dead worker stored last."""
_RERUN_LIMIT_SECONDS: Final = 60.0
"""Time in which a turn must have begun again: what ``load_context()`` waits for must not hold up other turns."""
_TURNS_AT_ONCE: Final = 8
"""Turns that are ended side by side: a worker may have had hundreds, and their readers wait."""

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


def fold_log(entries: Sequence[LogEntry], *, resumable: bool = True) -> TurnState:
    """Returns the state of a turn at the point where its log breaks off.

    Args:
        entries: The turn's events, or a snapshot of it and the events after that.
        resumable: Whether readers of the turn may come back, and may need its state.
    """
    state = TurnState(resumable=resumable)
    covered = next((entry.seq for entry in entries if entry.seq), 0)
    for entry in entries:
        try:
            event = _EVENTS.validate_json(entry.data)
        except ValidationError:
            logger.warning("An event of a turn that was cut off cannot be read and is left out")
            continue
        if isinstance(event, ThreadItemDoneEvent) and event.added_id is None:
            event.added_id = _added_id(state, event.item)
        state.apply(event, entry.seq or covered, entry.data)
        if isinstance(event, ThreadItemDoneEvent | ThreadItemReplacedEvent) and event.added_id is not None:
            state.record(event.item.id).put_as = event.added_id
    return state


def _added_id(state: TurnState, item: ThreadItem) -> str | None:
    """Returns the id of the pending item that is this one, in a stream that does not tell which one it is."""
    if item.id in state.pending:
        return None
    for record in state.pending.values():
        # One that is stored was added again under its own id.
        if (
            not record.stored
            and record.accumulator.type == item.type
            and item == record.item().model_copy(update={"id": item.id})
        ):
            return record.id
    return None


async def find_opening(
    state: TurnState, info: TurnInfo, store: Store[Any], context: object
) -> Callable[[Pipeline], None]:
    """Looks for what a turn had stored as it began and its log does not have: the user's message, perhaps its thread.

    Its worker died in the moment between storing it and saving that for readers, or the log's server lost it: a client
    that sends its message again, for it heard nothing, learns its thread from it.

    Returns:
        What sends it.
    """
    if state.knows_options or info.user_item_id is None:
        return lambda pipeline: None
    message = await find_item(store, info.thread_id, info.user_item_id, context)
    if message is None:
        return lambda pipeline: None
    oldest = await store.load_thread_items(info.thread_id, None, 1, "asc", context)
    began_thread = [item.id for item in oldest.data[:1]] == [message.id]

    def announce(pipeline: Pipeline) -> None:
        if began_thread and not state.knows_thread:
            pipeline.announce_thread(created=True)
        if not state.record(message.id).shown:
            pipeline.announce_stored(message)

    return announce


async def unseen_items(
    state: TurnState, info: TurnInfo, store: Store[Any], context: object
) -> list[ThreadItem]:
    """Returns what a turn had stored, oldest first, and had not sent when its worker died."""
    unseen, message_id = list[ThreadItem](), info.user_item_id
    if message_id is not None and await find_item(store, info.thread_id, message_id, context) is None:
        return unseen
    for item in await newest_items(store, info.thread_id, _RECENT_ITEMS, context):
        if item.id == message_id:
            break
        record = state.records.get(item.id)
        # An older one is of another turn, which may have stored it later.
        if (record is not None and record.shown) or item.created_at < info.started_at:
            continue
        if isinstance(item, UserMessageItem):
            # What came after a later message answers that one.
            unseen.clear()
        elif not is_hidden(item):
            unseen.append(item)
    unseen.reverse()
    return unseen


async def take_back(
    pipeline: Pipeline, info: TurnInfo, store: Store[Any], context: object, *, others: Collection[str] | None
) -> None:
    """Takes back what earlier attempts at a turn have stored and shown, for the one that begins.

    It is deleted from the store, which the handler may read. Where that keeps journals, by which attempts come to the
    same items, readers go on to see those whose ids were made for them, until the attempt comes to them or ends.

    Args:
        pipeline: That of the attempt that begins.
        info: The turn.
        store: The full store.
        context: The request's context.
        others: Ids of items that other turns have told, which stay; None where all that was not told may be theirs.
    """
    state, keep = pipeline.state, info.user_item_id
    stored = [record for record in state.records.values() if record.stored and record.id not in state.pending]
    told = [record for record in (*state.pending.values(), *stored) if record.id != keep]
    # One that is held back until it is done could not be seen in its place meanwhile.
    in_place = keeps_journals(store) and not pipeline.holds_back
    continued = [record for record in told if in_place and can_continue(record)]
    continued.sort(key=lambda record: record.place)
    # Before anything is deleted: if that fails, they are what the turn has.
    pipeline.continued = ContinuedItems(continued, state, pipeline.storage)
    # At once: a reader that comes now is not to take them for the next attempt's.
    for record in told:
        if record in continued:
            continue
        pipeline.announce_removal(record)
        record.shown = True
    unseen = await unseen_items(state, info, store, context)
    # The newest first: if it fails on the way, what is left is in its place, and what is not comes after it again.
    for record in sorted(told, key=lambda record: record.place, reverse=True):
        # One that is pending in the log may have been stored in the moment before the worker died.
        if record.stored or await find_item(store, info.thread_id, record.id, context) is not None:
            await store.delete_thread_item(info.thread_id, record.id, context)
        if record in continued:
            record.stored = False
            continue
        state.forget(record)
        record.shown = False
    for item in unseen:
        if others is None or item.id in others:
            pipeline.announce_stored(item)
            continue
        await store.delete_thread_item(info.thread_id, item.id, context)
        # The readers of the worker that died may have heard of it.
        pipeline.announce_removal(state.record(item.id))


class Recovery:
    """Ends turns of a log whose worker died.

    Args:
        log: The log.
    """

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._orphans: dict[ThreadKey, dict[str, InterruptedTurn]] = {}

    async def recover(
        self,
        store: Store[Any],
        context_of: Callable[[str | None, str], Any],
        rerun: Callable[[InterruptedTurn], Awaitable[bool]],
    ) -> int:
        """Runs the turns whose worker died again, or finalises them; returns how many.

        Args:
            store: The full store.
            context_of: Returns a context for an owner and a thread id, or None: then the turn waits for the next
                request in its thread.
            rerun: Begins a turn again, and returns whether it did.
        """
        gate = asyncio.Semaphore(_TURNS_AT_ONCE)

        async def end(turn: InterruptedTurn) -> bool:
            async with gate:
                if not self._log.holds_claim(turn.info.id):
                    # This process stood still, or had many others to end: another worker may have begun it again.
                    return False
                begun = await self._begun_again(turn, rerun)
                if begun is not False:
                    if begun:
                        tell_taken_over(turn.info, None)
                    return bool(begun)
                takes_owners = store.knows_owners and turn.info.owner is not None
                context = (
                    OwnerContext(str(turn.info.owner)) if takes_owners else _context_of(turn, context_of)
                )
                if context is None:
                    self._wait_for_owner(turn)
                    return False
                return await self._finalise(turn, store, context)

        claimed = await self._log.claim_interrupted()
        # What another worker may have ended by now, or was deleted with its thread, is not kept: a log hands out again
        # what was not settled in time.
        waiting = [turn for turns in self._orphans.values() for turn in turns.values()]
        self._orphans = {}
        for turn in waiting:
            self._wait_for_owner(turn)
        return sum(await asyncio.gather(*(end(turn) for turn in claimed)))

    def _wait_for_owner(self, turn: InterruptedTurn) -> None:
        if self._log.holds_claim(turn.info.id):
            self._orphans.setdefault(turn.info.thread, {})[turn.info.id] = turn

    async def finalise_orphans(self, thread: ThreadKey, store: Store[Any], context: object) -> None:
        """Finalises turns of a thread that waited for a request of its owner, now that there is one.

        Raises:
            NotFoundError: The store does not have the thread for this context.
        """
        if thread not in self._orphans:
            return
        await store.load_thread(thread.thread_id, context)
        for turn in self._orphans.pop(thread, {}).values():
            await self._finalise(turn, store, context)

    async def _begun_again(
        self, turn: InterruptedTurn, rerun: Callable[[InterruptedTurn], Awaitable[bool]]
    ) -> bool | None:
        """Returns whether it was begun again; None if that, or its end, has to be tried later, here or elsewhere."""
        try:
            async with asyncio.timeout(_RERUN_LIMIT_SECONDS):
                return await rerun(turn)
        except StoreError as error:
            _log_postponed(f"Running turn {turn.info.id} again", error)
            return None
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Turn {turn.info.id} of a worker that died could not be run again", error)
            return False

    async def _finalise(self, turn: InterruptedTurn, store: Store[Any], context: object) -> bool:
        info, token = turn.info, 0
        fence: Token[Fence | None] | None = None
        try:
            # Its worker died between telling the store and telling the log, or was cut off from the log's server:
            # it has left all that it was to leave, and nothing is to be written.
            info = await find_trace(info, store, context)
            if await _ended_unopened(store, info, context):
                await self._log.settle(info.id, [INTERRUPTED])
                return True
            ended = await end_in_store(store, info.id, context)
            completed = ended is not None
            token = 0 if completed else await store.begin_turn(info.thread_id, info.id, context)
            # If this takes too long, only the worker that claims the turn next may write.
            fence = current_fence.set(Fence(info.id, token))
            thread = plain_metadata(await store.load_thread(info.thread_id, context))
            state = fold_log(turn.entries)
            kept = state.closed_pending()
            for item in _in_order(state, kept, told_items(state) if info.attempt > 1 else ()):
                # An attempt may have died before it came to what the one before had told as done.
                if not completed and not await _is_stored(store, info.thread_id, item, context):
                    await store.put_thread_item(info.thread_id, item, context)
            announce_opening = await find_opening(state, info, store, context)
            unseen = await unseen_items(state, info, store, context)
            stored = await stored_items(store, info.thread_id, kept, context)
            if not completed:
                # Before its log: who reads the end may send the next message at once, and whoever goes on with what
                # this worker has not told finds here how it ended.
                await store.end_turn(info.id, token, context)
            # This is one more attempt at the turn: should it be cut off, the next one's events have other numbers.
            writer = await self._log.take_over(
                replace(turn, info=replace(info, attempt=info.attempt + 1)),
                snapshot=state,
                on_stop=lambda: None,
            )
            try:
                if writer is not None:
                    pipeline = Pipeline(
                        thread=thread,
                        store=store,
                        context=context,
                        state=state,
                        writer=writer,
                        save_fields=lambda changed: store.save_thread_fields(
                            info.thread_id, changed, context
                        ),
                    )
                    announce_opening(pipeline)
                    for item in unseen:
                        pipeline.announce_stored(item)
                    await pipeline.announce_closed(stored)
                    if ended not in {EndState.COMPLETED, EndState.STOPPED}:
                        pipeline.accept(interrupted_event())
            finally:
                if writer is not None:
                    await writer.close(ended or EndState.INTERRUPTED)
            if writer is None:
                await self._log.settle(info.id)
            tell_taken_over(info, ended or EndState.INTERRUPTED)
        except StoreError as error:
            _log_postponed(f"Finalising turn {info.id}", error)
            return False
        except NotFoundError:
            await self._interrupt(info)
            with suppress(StoreError):
                await store.end_turn(info.id, token, context)
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Turn {info.id} of a worker that died could not be finalised", error)
            await self._interrupt(info)
        finally:
            if fence is not None:
                current_fence.reset(fence)
        return True

    async def _interrupt(self, info: TurnInfo) -> None:
        await self._log.settle(info.id, [INTERRUPTED])
        tell_taken_over(info, EndState.INTERRUPTED)


def _in_order(state: TurnState, *items: Iterable[ThreadItem]) -> list[ThreadItem]:
    """Returns items in the order in which readers see them."""
    return sorted(chain(*items), key=lambda item: state.record(item.id).place)


def _log_postponed(what: str, error: StoreError) -> None:
    # Another worker may have the turn, or have ended it, since it was claimed: no failure.
    if not isinstance(error, StaleTurnError):
        log_failure(logger, f"{what} failed; it is tried again later", error)


async def _ended_unopened(store: Store[Any], info: TurnInfo, context: object) -> bool:
    """Ends a turn whose worker died before it noted that it had opened it: no handler was called for it.

    Nothing is told of it, so that its request, sent again, has it answered.
    """
    accepting = accepting_store(store, whole=False)
    accepted = None if accepting is None else await accepting.find_turn(info.id, context)
    if accepted is None or accepted.opened or accepted.status is not TurnStatus.BEGUN:
        return False
    token = await store.begin_turn(info.thread_id, info.id, context)
    await store.end_turn(info.id, token, context)
    return True


async def end_in_store(store: Store[Any], turn_id: str, context: object) -> EndState | None:
    """Returns how a turn ended that its log does not know to have ended; None if it did not, or that is not known."""
    accepting = accepting_store(store, whole=False)
    if accepting is not None:
        accepted = await accepting.find_turn(turn_id, context)
        if accepted is not None and accepted.status is TurnStatus.ENDED:
            return known_end(accepted)
    return EndState.COMPLETED if await store.has_completed(turn_id, context) else None


def known_end(turn: AcceptedTurn) -> EndState:
    """Returns how an accepted turn ended."""
    return load_end(turn.end) or EndState.INTERRUPTED


def _context_of(turn: InterruptedTurn, context_of: Callable[[str | None, str], Any]) -> Any:
    try:
        return context_of(turn.info.owner, turn.info.thread_id)
    except Exception as error:  # noqa: BLE001 -- it is logged
        log_failure(
            logger, f"recovery_context() failed; turn {turn.info.id} waits for the next request", error
        )
        return None


async def _is_stored(store: Store[Any], thread_id: str, item: ThreadItem, context: object) -> bool:
    """Returns whether the store has the item already: done in the moment between the last checkpoint and the crash."""
    stored = await find_item(store, thread_id, item.id, context)
    if stored is None:
        return False
    # A workflow is stored open at a client tool call, and the next turn adds to it.
    if isinstance(item, WorkflowItem) and isinstance(stored, WorkflowItem):
        return len(stored.workflow.tasks) >= len(item.workflow.tasks)
    return True
