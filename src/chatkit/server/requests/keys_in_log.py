"""Idempotency keys that the stream log keeps, for stores that do not accept whole turns."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Final

from chatkit._outages import log_failure
from chatkit.errors import (
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    TurnNotFoundError,
)
from chatkit.ids import new_id
from chatkit.server.requests.accepted import turn_of_stored
from chatkit.server.requests.sendings import OTHER_REQUEST, MakeTurn, Sending, stored_frames
from chatkit.server.requests.turns import begin
from chatkit.server.turns.acceptance import KeyHold
from chatkit.server.turns.recovery import end_in_store
from chatkit.server.turns.registry import KeyPassedOnError
from chatkit.server.turns.results import ResentFeed, StreamingResult, TurnFeed
from chatkit.server.turns.turn import Turn
from chatkit.store.base import find_item
from chatkit.streams.base import EndState, KeyClaim, TurnInfo
from chatkit.types import ThreadsCreateReq

__all__ = ["begin_keyed"]

logger = logging.getLogger("chatkit.server")

_BEGINNING_SECONDS: Final = 5.0
"""How long a message that was sent again waits for the worker that got it first to begin its turn."""
_BEGINNING_PAUSE_SECONDS: Final = 0.1
_UNSAVED_SECONDS: Final = 1.0
"""How long it waits for the log to learn of a turn whose message is stored: a worker that was alone saves it soon."""
_SAFE_SECONDS: Final = 4.0
"""How long no other worker gives up waiting for a turn to begin, so that its key need not be asked for."""


async def _claim(sent: Sending, claim: KeyClaim) -> KeyClaim:
    """Binds the key to a turn unless it is bound; returns what it is bound to."""
    return await sent.scope.turns.log.claim_key(sent.scope.owner, sent.key, claim)


async def _release(sent: Sending, claim: KeyClaim) -> None:
    """Frees the key if it is bound to this turn."""
    await sent.scope.turns.log.release_key(sent.scope.owner, sent.key, claim)


async def begin_keyed(sent: Sending, make_turn: MakeTurn | None = None) -> StreamingResult:
    """Begins a turn under a key, or joins the one that the key was bound to.

    Args:
        sent: The request.
        make_turn: Makes its turn where the message is stored, which keeps the key then whatever becomes of the turn; by
            default the request says how.
    """
    is_stored, make_turn = make_turn is not None, make_turn or sent.make_turn
    scope, log, mark = sent.scope, sent.scope.turns.log, sent.fingerprint.kept
    turn: Turn | RequestError
    try:
        scope.turns.check_room(scope)
        turn = await make_turn()
        info = turn.info
        mine = KeyClaim(info.id, info.thread_id, mark, fresh=True, user_item_id=info.user_item_id)
    except RequestError as refused:
        # The first sending may be what made the thread refuse messages.
        turn = refused
        mine = KeyClaim(new_id("turn"), "", mark, fresh=True)
    claimed_at = time.monotonic()
    claim = await _claim(sent, mine)
    waited_for, since = "", 0.0
    while not claim.fresh:
        if claim.fingerprint not in sent.fingerprint.known:
            raise InvalidRequestError(OTHER_REQUEST)
        if claim.turn_id != waited_for:
            # Of several sendings that gave up a turn of a dead worker, one has the key now, and begins.
            waited_for, since = claim.turn_id, time.monotonic()
        waited = time.monotonic() - since
        earlier = await _sent_before(sent, claim, waited)
        if earlier is not None:
            return earlier
        if isinstance(turn, RequestError):
            raise turn
        if await log.ended(claim) is None and waited < _BEGINNING_SECONDS:
            # Another worker may be about to begin it, and has to stop an earlier turn first.
            await asyncio.sleep(_BEGINNING_PAUSE_SECONDS)
            claim = await _claim(sent, mine)
            continue
        # The message was deleted since, or its process died before it was stored: it is a new one.
        await _release(sent, claim)
        if await log.ended(claim) is None and await log.find(claim.turn_id, scope.owner) is not None:
            # It has begun at this very moment.
            claim = replace(await _claim(sent, claim), fresh=False)
        else:
            claimed_at = time.monotonic()
            claim = await _claim(sent, mine)
    return await _begin_first(sent, make_turn, turn, mine, claimed_at, is_stored=is_stored)


async def _begin_first(
    sent: Sending,
    make_turn: MakeTurn,
    turn: Turn | RequestError,
    mine: KeyClaim,
    claimed_at: float,
    *,
    is_stored: bool,
) -> StreamingResult:
    """Begins the turn that the key was bound to just now."""

    async def release() -> None:
        if not is_stored or isinstance(turn, RequestError):
            await _release(sent, mine)

    async def still_held() -> bool:
        if time.monotonic() - claimed_at < _SAFE_SECONDS:
            return True
        return (await _claim(sent, mine)).turn_id == mine.turn_id

    hold = KeyHold(release=release, still_held=still_held)
    try:
        if isinstance(turn, RequestError):
            raise turn
        turn.key = hold
        try:
            async with sent.scope.use_turn():
                return await begin(turn)
        except RateLimitedError:
            await turn.release_attachments()
            raise
    except KeyPassedOnError:
        return await begin_keyed(sent, make_turn if is_stored else None)
    except BaseException:
        if not hold.passed_on:
            await _uninterrupted(hold.release)
        raise


async def _sent_before(sent: Sending, claim: KeyClaim, waited: float) -> StreamingResult | None:
    """Returns the stream of a message that was sent before; None if nothing of it is there (so far).

    Args:
        sent: The request.
        claim: The turn that its key is bound to.
        waited: Seconds for which it has waited for that.
    """
    turns, owner = sent.scope.turns, sent.scope.owner
    await turns.wait_begun(claim.turn_id)
    info = await turns.log.find(claim.turn_id, owner)
    if info is None:
        replayed = await _replayed(sent, claim, waited)
        # A turn is opened in the log before its message is stored: it may have begun since the log was asked.
        info = None if replayed is None else await turns.log.find(claim.turn_id, owner)
        if info is None:
            return replayed
    try:
        return await _attached(sent, claim, info)
    except TurnNotFoundError:
        # It ended long ago, and the log has just forgotten it.
        return await _replayed(sent, claim, math.inf)


async def _attached(sent: Sending, claim: KeyClaim, info: TurnInfo) -> StreamingResult:
    scope = sent.scope
    feed = await scope.turns.attach(info, None, with_ids=scope.resumable)
    if await scope.turns.log.ended(claim) is None:
        return StreamingResult.of(ResentFeed(feed, lambda ended: _go_on_later(sent, claim, ended)))
    if await feed.tells_something():
        return StreamingResult.of(feed)
    return await _go_on(sent, claim, feed)


async def _go_on_later(sent: Sending, claim: KeyClaim, ended: TurnFeed) -> StreamingResult:
    """Does what ``_go_on`` does when the request is over, and with it its use of the thread."""
    if claim.user_item_id is None or isinstance(sent.scope.request, ThreadsCreateReq):
        return await _go_on(sent, claim, ended)
    async with sent.scope.use_thread(claim.thread_id):
        return await _go_on(sent, claim, ended)


async def _go_on(sent: Sending, claim: KeyClaim, ended: TurnFeed) -> StreamingResult:
    """Returns the stream of a message whose turn ended and told nothing but errors."""
    scope, item_id = sent.scope, claim.user_item_id
    if item_id is None:
        return StreamingResult.of(ended)
    if await find_item(scope.store, claim.thread_id, item_id, scope.context) is None:
        # It never began: the message is taken now.
        await _release(sent, claim)
        return await begin_keyed(sent)
    if ended.end is EndState.FAILED:
        # It could not begin, for it was not known whether the message is stored: it is, and is answered now.
        await _release(sent, claim)
        return await begin_keyed(sent, lambda: turn_of_stored(scope, claim.thread_id, item_id))
    stored = await stored_frames(scope, claim.turn_id, claim.thread_id, item_id, None)

    async def frames() -> AsyncGenerator[bytes, None]:
        async for frame in stored:
            yield frame
        async for frame in ended.frames():
            yield frame

    return StreamingResult(frames())


async def _replayed(sent: Sending, claim: KeyClaim, waited: float) -> StreamingResult | None:
    scope = sent.scope
    end = await scope.turns.log.ended(claim)
    end = end or await end_in_store(scope.store, claim.turn_id, scope.context)
    if end is None and waited < (_BEGINNING_SECONDS if claim.user_item_id is None else _UNSAVED_SECONDS):
        # Without a message nothing in the store shows whether it began; with one, nothing whether it still runs.
        return None
    try:
        frames = await stored_frames(
            scope,
            claim.turn_id,
            claim.thread_id,
            claim.user_item_id,
            # A turn of which nothing is known may have been cut off with its process, or may be whole.
            end or EndState.INTERRUPTED,
            tells_why=end is not None,
        )
    except NotFoundError:
        if end in {EndState.COMPLETED, EndState.STOPPED}:
            # It was stored, for else its key were free: what was deleted since is not to come back.
            raise
        return None
    return StreamingResult(frames)


_releases: set[asyncio.Future[None]] = set()


async def _uninterrupted(release: Callable[[], Awaitable[None]]) -> None:
    """Frees a key, for a request that may have been cancelled."""
    task = asyncio.ensure_future(_released(release))
    _releases.add(task)
    task.add_done_callback(_releases.discard)
    await asyncio.shield(task)


async def _released(release: Callable[[], Awaitable[None]]) -> None:
    try:
        await release()
    except Exception as error:  # noqa: BLE001 -- the first error says what is wrong
        log_failure(logger, "An idempotency key could not be freed", error, brief=True)
