"""Idempotency keys that the store keeps, together with the turns that it accepts under them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final, cast

from chatkit.errors import (
    InvalidRequestError,
    NotFoundError,
    RequestError,
    ThreadBusyError,
    TurnNotFoundError,
)
from chatkit.server.requests.accepted import turn_of_stored
from chatkit.server.requests.keys_in_log import begin_keyed
from chatkit.server.requests.sendings import OTHER_REQUEST, Sending, stored_frames
from chatkit.server.requests.turns import begin
from chatkit.server.turns.acceptance import AcceptedBeforeError, SentKey
from chatkit.server.turns.recovery import known_end
from chatkit.server.turns.results import ResentFeed, StreamingResult, TurnFeed
from chatkit.server.turns.turn import Turn
from chatkit.store.acceptance import DELETED, AcceptedTurn, AcceptingStore, TurnStatus
from chatkit.streams.base import EndState, load_info
from chatkit.types import ThreadsCreateReq

__all__ = ["begin_accepted"]

_PAUSE_SECONDS: Final = 0.1
_UNSHARED_SECONDS: Final = 5.0
"""How long a message that was sent again waits for a turn that may run in a process whose log is not known here."""


async def begin_accepted(sent: Sending, replaces: AcceptedTurn | None = None) -> StreamingResult:
    """Begins a turn under a key, or joins the one that was accepted with it.

    Args:
        sent: The request.
        replaces: A turn that was accepted with the key, and ended before its handler was called.
    """
    scope = sent.scope
    store = cast("AcceptingStore[Any]", scope.accepting)
    found = None
    if replaces is None:
        found = await store.find_keyed_turn(sent.key, scope.context)
        # Workers of the version before keep their keys in the log.
        if found is None and await scope.turns.log.find_key(scope.owner, sent.key) is not None:
            return await begin_keyed(sent)
    if found is None:
        try:
            async with scope.use_turn(again=replaces is not None):
                turn = await sent.make_turn() if replaces is None else await _turn_anew(sent, replaces)
                turn.sent_key = SentKey(sent.key, sent.fingerprint.kept, replaces and replaces.turn_id)
                return await begin(turn)
        except AcceptedBeforeError as before:
            found = before.found
        except RequestError:
            # The first sending may be what made the thread refuse it.
            found = await store.find_keyed_turn(sent.key, scope.context)
            if found is None or (replaces is not None and found.turn_id == replaces.turn_id):
                raise
    if found.fingerprint not in sent.fingerprint.known:
        raise InvalidRequestError(OTHER_REQUEST)
    if replaces is not None and found.turn_id == replaces.turn_id:
        # Other messages of its thread came after it: an answer to it would stand after theirs.
        return await _told_from_store(sent, found)
    return await _join(sent, store, found)


async def _join(sent: Sending, store: AcceptingStore[Any], accepted: AcceptedTurn) -> StreamingResult:
    """Returns the stream of a turn that was accepted before, from the log or from the store, or begins it.

    Raises:
        NotFoundError: Its thread was deleted since.
    """
    if accepted.end == DELETED:
        raise NotFoundError("The thread of this request was deleted.")
    scope, turns = sent.scope, sent.scope.turns
    found, log = accepted, turns.log
    until = time.monotonic() + (6 * log.lease if log.shared else _UNSHARED_SECONDS)
    while True:
        await turns.wait_begun(found.turn_id)
        info = await turns.log.find(found.turn_id, scope.owner)
        if info is not None:
            with suppress(TurnNotFoundError):
                feed = await turns.attach(info, None, with_ids=scope.resumable)
                return StreamingResult.of(ResentFeed(feed, lambda ended: _join_again(sent, store, ended)))
        # The log does not know it yet, any more, or ever: the store says which.
        stored = await store.find_turn(found.turn_id, scope.context)
        if stored is None:
            # It was taken back.
            return await begin_accepted(sent)
        found = stored
        if found.status is TurnStatus.ENDED:
            return await (begin_accepted if _never_ran(found) else _told_from_store)(sent, found)
        if found.lapsed and not found.opened:
            claimed = await store.claim_turn(found, turns.log.lease, scope.context)
            if claimed is not None:
                # It may have become another worker's in the log.
                with suppress(ThreadBusyError):
                    return await _begin_claimed(sent, claimed)
        elif found.opened and time.monotonic() > until:
            # It may run in a process whose log is not known here.
            return await _told_from_store(sent, found)
        elif found.opened:
            # A log that has lost its data hears of it again, if its worker lives; else a sweep ends it.
            await turns.sweep()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _begin_claimed(sent: Sending, claimed: AcceptedTurn) -> StreamingResult:
    """Begins a turn whose worker died before it could."""
    scope = sent.scope
    turn = await _turn_anew(sent, claimed)
    turn.info, turn.accepted = load_info(claimed.info), claimed
    return await scope.turns.start(turn)


async def _turn_anew(sent: Sending, accepted: AcceptedTurn) -> Turn:
    """Returns a turn that does what an accepted one was to do; what that writes first is stored already."""
    if sent.make_again is not None:
        return await sent.make_again()
    return await turn_of_stored(sent.scope, accepted.thread_id, accepted.user_item_id)


async def _join_again(sent: Sending, store: AcceptingStore[Any], ended: TurnFeed) -> StreamingResult:
    """Returns what to read in the place of a turn that ended in the log and told nothing but errors."""
    if isinstance(sent.scope.request, ThreadsCreateReq):
        return await _begin_again(sent, store, ended)
    # The request is over, and with it its use of the thread.
    async with sent.scope.use_thread(ended.info.thread_id):
        return await _begin_again(sent, store, ended)


async def _begin_again(sent: Sending, store: AcceptingStore[Any], ended: TurnFeed) -> StreamingResult:
    scope = sent.scope
    found = await store.find_turn(ended.info.id, scope.context)
    until = time.monotonic() + 4 * scope.turns.log.lease
    while found is not None and _may_begin(found) and time.monotonic() < until:
        # Its worker was to end, or could not begin it: another one, or a sweep, goes on with it.
        await scope.turns.sweep()
        await asyncio.sleep(_PAUSE_SECONDS)
        found = await store.find_turn(ended.info.id, scope.context)
    if found is None or _never_ran(found):
        # No handler was called for it: it begins now.
        return await begin_accepted(sent, found)
    if ended.is_uncertain:
        # Another worker has begun it meanwhile, or this one.
        return await _join(sent, store, found)
    return StreamingResult.of(ended)


def _never_ran(turn: AcceptedTurn) -> bool:
    """Returns whether a turn ended before its handler was called, and not because a user stopped it."""
    return turn.status is TurnStatus.ENDED and not turn.opened and turn.end != EndState.STOPPED


def _may_begin(turn: AcceptedTurn) -> bool:
    return turn.status is TurnStatus.WAITING or (turn.status is TurnStatus.BEGUN and not turn.opened)


async def _told_from_store(sent: Sending, found: AcceptedTurn) -> StreamingResult:
    message_id, end = found.user_item_id, known_end(found)
    since = load_info(found.info).started_at if message_id is None and found.info else None
    return StreamingResult(
        await stored_frames(sent.scope, found.turn_id, found.thread_id, message_id, end, since=since)
    )
