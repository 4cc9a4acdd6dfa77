"""What a turn writes before its handler runs: in one transaction where the store can do so, else one by one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.errors import (
    ConfigurationError,
    NotFoundError,
    RequestError,
    StaleTurnError,
    StoreUnavailableError,
    ThreadBusyError,
)
from chatkit.store.acceptance import (
    DELETED,
    Acceptance,
    AcceptedTurn,
    AcceptingStore,
    Policy,
    ThreadTakenError,
    TurnStatus,
)
from chatkit.store.base import current_fence, find_item
from chatkit.streams.base import EndState, dump_info, load_end
from chatkit.types import ThreadItem

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope
    from chatkit.server.turns.turn import Turn

__all__ = [
    "AcceptedBeforeError",
    "KeyHold",
    "SentKey",
    "accept",
    "begin_place",
    "finish",
    "store_of",
    "take_back",
    "withdraw",
    "write_one_by_one",
]

logger = logging.getLogger("chatkit.server")

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0
_LATER_SECONDS: Final = 3600.0
"""How long it is tried to store the end of a turn. A sweep, here or elsewhere, does so too."""


class AcceptedBeforeError(Exception):
    """A turn was accepted with the same idempotency key before.

    Attributes:
        found: That turn.
    """

    def __init__(self, found: AcceptedTurn) -> None:
        super().__init__(found.turn_id)
        self.found = found


@dataclass(frozen=True, slots=True)
class SentKey:
    """The idempotency key that a request was sent under.

    Attributes:
        key: The key.
        fingerprint: What two requests have in common that ask for the same.
        replaces: The turn that was accepted under it and never ran.
    """

    key: str
    fingerprint: str
    replaces: str | None = None


@dataclass(slots=True)
class KeyHold:
    """The idempotency key of a turn that may yet fail to begin.

    Attributes:
        release: Frees the key, for the turn has left nothing.
        still_held: Returns whether the key is bound to this turn: another worker may have given it up.
        passed_on: Whether the turn releases the key if need be; before, the request does.
    """

    release: Callable[[], Awaitable[None]]
    still_held: Callable[[], Awaitable[bool]]
    passed_on: bool = False


# In one transaction.


async def accept(turn: Turn, store: AcceptingStore[Any], policy: Policy, lease: float) -> AcceptedTurn:
    """Accepts a turn with all that it writes before its handler runs.

    Raises:
        ThreadTakenError: Others run or wait in the thread, and the policy is ``"reject"``.
        AcceptedBeforeError: A turn was accepted with the same key before.
        Exception: Whatever else the store raises; nothing was written then, or that cannot be known.
    """
    acceptance = _acceptance(turn, policy, lease)
    work = asyncio.ensure_future(_accepted(turn, store, acceptance))
    try:
        accepted = await asyncio.shield(work)
    except asyncio.CancelledError:
        # The request was cut off, and nobody was told anything.
        turn.scope.turns.background.run(
            _withdraw_when_accepted(work, turn, store, acceptance),
            name=f"Withdrawing turn {turn.info.id}",
            seconds=60.0,
        )
        raise
    except ThreadTakenError:
        # It may be tried again.
        raise
    except RequestError as error:
        await turn.release_attachments()
        raise turn.refusal(error) from error
    except StaleTurnError:
        await turn.release_attachments()
        raise ThreadBusyError("This message could not be taken. Send it again.") from None
    if not accepted.fresh:
        await turn.release_attachments(accepted_before=True)
        raise AcceptedBeforeError(accepted)
    return accepted


def _acceptance(turn: Turn, policy: Policy, lease: float) -> Acceptance:
    info, sent = turn.info, turn.sent_key
    return Acceptance(
        info.id,
        info.thread_id,
        lease,
        turn.writes,
        user_item_id=info.user_item_id,
        key=None if sent is None else sent.key,
        fingerprint="" if sent is None else sent.fingerprint,
        policy=policy,
        info=dump_info(info),
        replaces=None if sent is None else sent.replaces,
    )


async def _accepted(turn: Turn, store: AcceptingStore[Any], acceptance: Acceptance) -> AcceptedTurn:
    context = turn.scope.context
    await _claim_attachments(turn)
    try:
        return await store.accept_turn(acceptance, context)
    except (RequestError, ConfigurationError, StaleTurnError):
        raise
    except Exception as error:
        try:
            resolved = await store.resolve_turn(acceptance.turn_id, acceptance.thread_id, context)
        except Exception:  # noqa: BLE001 -- the first error says what is wrong
            raise error from None
        if resolved is None:
            raise
        message = f"Turn {acceptance.turn_id} was accepted although the answer was lost"
        log_failure(logger, message, error, brief=True)
        return replace(resolved, fresh=True)


async def _claim_attachments(turn: Turn) -> None:
    files, message = turn.scope.files, turn.writes.message
    if files is not None and message is not None:
        for attachment in message.attachments:
            await files.claim_attachment(attachment, turn.scope.context)


async def _withdraw_when_accepted(
    work: asyncio.Future[AcceptedTurn], turn: Turn, store: AcceptingStore[Any], acceptance: Acceptance
) -> None:
    accepted = None
    with suppress(RequestError, StaleTurnError):
        accepted = await work
    if accepted is None or (
        accepted.fresh and await store.withdraw_turn(acceptance, accepted.token, turn.scope.context)
    ):
        await turn.release_attachments()


async def begin_place(turn: Turn, *, at_once: bool = False) -> tuple[str, ...]:
    """Moves the message of a turn that waits into the thread, unless others come first: then returns those."""
    store, accepted = store_of(turn), cast("AcceptedTurn", turn.accepted)
    others = await store.begin_waiting_turn(turn.info.id, accepted.token, turn.scope.context, at_once=at_once)
    if not others:
        turn.accepted = replace(accepted, status=TurnStatus.BEGUN)
    return others


async def finish(turn: Turn, token: int, end: EndState) -> EndState | None:
    """Says to the store how a turn ended; where the store is away, says so when it is back.

    Where workers share turns, readers of a complete answer wait for that, for two leases: another worker that finds the
    turn without an end in the store would call it interrupted.

    Returns:
        How it ended for the store, where a sweep may have ended it before; None where the store does not say that, or
        another worker has the turn in the log, which will.
    """
    try:
        return await _finish(turn, token, end)
    except StoreUnavailableError as error:
        log_failure(
            logger,
            f"The end of turn {turn.info.id} cannot be stored, which is tried again",
            error,
            brief=True,
        )
        return await _begin_to_finish(turn, token, end)


async def _begin_to_finish(turn: Turn, token: int, end: EndState) -> EndState | None:
    turns, name = turn.scope.turns, f"Storing the end of turn {turn.info.id}"
    noted = list[EndState | None]()
    later = turns.background.run(_finish_later(turn, token, end, noted), name=name, seconds=_LATER_SECONDS)
    until = time.monotonic() + 2 * turns.log.lease
    while end is EndState.COMPLETED and turns.log.shared and not later.done() and time.monotonic() < until:
        await asyncio.wait({later}, timeout=_FIRST_PAUSE_SECONDS)
        if turns.shutting_down or turn.writer.lost:
            break
    return noted[0] if noted else None


async def _finish_later(turn: Turn, token: int, end: EndState, noted: list[EndState | None]) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        with suppress(StoreUnavailableError):
            noted.append(await _finish(turn, token, end))
            return


async def _finish(turn: Turn, token: int, end: EndState) -> EndState | None:
    if turn.writer.ends_elsewhere:
        return None
    store, turn_id, context = turn.scope.store, turn.info.id, turn.scope.context
    # One that wrote one by one, too.
    accepting = accepting_store(store, whole=False)
    if accepting is not None:
        # Items of a turn that answers no message are found by when it began, and so is the trace of items.
        is_kept = turn.info.user_item_id is None or turn.info.trace is not None
        kept = dump_info(replace(turn.info, context=None)) if is_kept else ""
        # A class derived from one of ours may return nothing.
        if await accepting.finish_turn(turn_id, token, end.value, context, info=kept) is not False:
            return end
        found = await accepting.find_turn(turn_id, context)
        # It may have been noted by an attempt whose answer was lost.
        if found is None or found.status is not TurnStatus.ENDED or found.end == DELETED:
            return None
        return load_end(found.end)
    if end is EndState.COMPLETED:
        await store.complete_turn(turn_id, token, context)
    else:
        await store.end_turn(turn_id, token, context)
    # Such a store does not say.
    return end


def store_of(turn: Turn) -> AcceptingStore[Any]:
    """Returns the store that has accepted a turn."""
    # Not only one that accepts whole turns: this one may have been accepted before the store's class was changed.
    return cast("AcceptingStore[Any]", accepting_store(turn.scope.store, whole=False))


async def withdraw(turn: Turn, accepted: AcceptedTurn) -> bool:
    """Takes back a turn that was accepted and cannot begin, and returns whether it did; logs why, if that fails."""
    try:
        acceptance = _acceptance(turn, "allow", 0.0)
        withdrawn = await store_of(turn).withdraw_turn(acceptance, accepted.token, turn.scope.context)
        if withdrawn:
            await turn.release_attachments()
    except Exception as error:  # noqa: BLE001 -- what keeps the turn from beginning is told
        message = f"Turn {turn.info.id}, which could not begin, stays accepted, and is ended when its lease runs out"
        log_failure(logger, message, error, brief=True)
        return False
    return withdrawn


# One by one.


async def write_one_by_one(turn: Turn) -> None:
    """Writes what a turn writes before its handler runs.

    Raises:
        Exception: What the first write that failed raised; ``take_back`` undoes what was written before it.
    """
    scope, writes, thread_id = turn.scope, turn.writes, turn.info.thread_id
    store, context = scope.store, scope.context
    if writes.created_thread is not None:
        await store.save_thread(writes.created_thread.model_copy(deep=True), context)
    if writes.delete_after is not None:
        await store.delete_items_after(thread_id, writes.delete_after, context)
    if writes.change is not None:
        change = writes.change
        try:
            await _write(
                scope,
                thread_id,
                store.save_item_if_unchanged(thread_id, change.before, change.after, context),
                lambda: _is_written(turn),
            )
        except RequestError as error:
            raise turn.refusal(error) from error
    if writes.message is not None:
        message = writes.message
        await _claim_attachments(turn)
        for attachment in message.attachments:
            await store.save_attachment(attachment, context)
        await _write(
            scope,
            thread_id,
            # Itself: the store may give it another id, which is the one that handler and client learn.
            store.add_thread_item(thread_id, message, context),
            lambda: _is_written(turn),
        )


async def _is_written(turn: Turn) -> bool:
    """Returns whether the store has what a turn adds to it; False where sending the request again does no harm."""
    writes = turn.writes
    if writes.message is not None:
        return await _found(turn.scope, writes.message) is not None
    if writes.change is not None:
        return await _found(turn.scope, writes.change.after) == writes.change.after
    return False


async def _found(scope: RequestScope, item: ThreadItem) -> ThreadItem | None:
    return await find_item(scope.store, item.thread_id, item.id, scope.context)


async def take_back(turn: Turn, error: BaseException) -> None:
    """Takes back what a turn that could not begin has written, as far as nobody was told of it."""
    if turn.accepted is not None:
        if turn.waits and isinstance(error, RequestError):
            await withdraw(turn, turn.accepted)
        return
    try:
        await _take_back_half(turn)
    except Exception as failure:  # noqa: BLE001 -- it is logged
        log_failure(logger, "Taking back a half-begun turn failed", failure)
    await _free_key(turn)


async def _free_key(turn: Turn) -> None:
    """Frees the turn's idempotency key, unless something of the turn is stored, or may be."""
    if turn.key is None:
        return
    try:
        if not await _is_written(turn):
            await turn.key.release()
    except Exception as error:  # noqa: BLE001 -- whatever it is, nothing is known
        log_failure(
            logger,
            f"It is not known whether turn {turn.info.id}, which could not begin, has stored its message: the "
            "idempotency key stays with it",
            error,
            brief=True,
        )


async def _take_back_half(turn: Turn) -> None:
    writes = turn.writes
    if writes.message is None:
        return
    if writes.created_thread is None:
        if not await _is_written(turn):
            await turn.release_attachments()
        return
    # Attachments first: a store deletes those that are the thread's together with it.
    try:
        await turn.release_attachments()
    finally:
        with suppress(NotFoundError):
            await turn.scope.store.delete_thread(turn.info.thread_id, turn.scope.context)


async def _write(
    scope: RequestScope,
    thread_id: str,
    writing: Awaitable[None],
    is_there: Callable[[], Awaitable[bool]],
) -> None:
    """Awaits a write; one whose answer was lost counts as carried out where the store says so.

    Raises:
        Exception: What the write raised: it was not carried out, or that cannot be known.
    """
    try:
        await writing
    except (RequestError, ConfigurationError, StaleTurnError):
        raise
    except Exception as error:
        try:
            fence = current_fence.get()
            if fence is not None and fence.token:
                # Waits for what a lost connection may still commit, and lets it write nothing afterwards.
                fence.token = await scope.store.begin_turn(thread_id, fence.turn_id, scope.context)
            written = await is_there()
        except Exception:  # noqa: BLE001 -- the first error says what is wrong
            raise error from None
        if not written:
            raise
        log_failure(logger, "A write was carried out although its answer was lost", error, brief=True)
