"""Beginning the turn of a request once, however often the request is sent under its idempotency key."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

from chatkit._outages import log_failure
from chatkit.errors import InvalidRequestError, NotFoundError, RequestError, TurnNotFoundError
from chatkit.ids import new_id
from chatkit.server.requests.accepted import claim_of, turn_of_accepted
from chatkit.server.requests.stored import stored_frames
from chatkit.server.requests.turns import begin, stream_options
from chatkit.server.scope import RequestScope
from chatkit.server.turns.acceptance import AcceptedBeforeError, KeyHold, SentKey
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.recovery import known_end
from chatkit.server.turns.registry import KeyPassedOnError
from chatkit.server.turns.results import ResentFeed, StreamingResult, TurnFeed
from chatkit.server.turns.turn import Turn
from chatkit.server.wire import FAILED, INTERRUPTED
from chatkit.store.acceptance import AcceptedTurn, AcceptingStore, TurnStatus
from chatkit.store.base import find_item
from chatkit.streams.base import EndState, KeyClaim, TurnInfo, load_info
from chatkit.types import BaseReq, ThreadsCreateReq, UserMessageItem

__all__ = ["OTHER_REQUEST", "begin_once", "fingerprint", "idempotency_key"]

logger = logging.getLogger("chatkit.server")

_BEGINNING_SECONDS: Final = 5.0
"""How long a message that was sent again waits for the worker that got it first to begin its turn."""
_BEGINNING_PAUSE_SECONDS: Final = 0.1
_SAFE_SECONDS: Final = 4.0
"""How long no other worker gives up waiting for a turn to begin, so that its key need not be asked for."""

OTHER_REQUEST: Final = "This idempotency key was used for another request. Make a new key."

MakeTurn: TypeAlias = Callable[[], Awaitable[Turn]]


async def begin_once(
    scope: RequestScope, make_turn: MakeTurn, make_again: MakeTurn | None = None
) -> StreamingResult:
    """Begins the turn of a request, or returns a reader of the one that the same request began before.

    Args:
        scope: The request, which uses its thread.
        make_turn: Makes its turn.
        make_again: Makes it where what it writes first is stored already; by default one that answers the message.

    Raises:
        InvalidRequestError: The key was used for another request.
        Exception: Whatever making or beginning the turn raised. The key is free again then, unless something of the
            turn is stored, or may be.
    """
    request, key = scope.request, idempotency_key(scope.metadata)
    if request is None or key is None:
        # Before the turn is made, which may copy files.
        scope.turns.check_room(scope)
        return await begin(await make_turn())
    if scope.accepting is not None:
        return await _begin_accepted(_Sending(scope, key, fingerprint(request), make_turn, make_again))
    return await _begin_keyed(_Sending(scope, key, fingerprint(request), make_turn), make_turn)


def idempotency_key(metadata: Mapping[str, Any]) -> str | None:
    """Returns the key under which the same request may be sent again; raises InvalidRequestError if it is none."""
    key = metadata.get("idempotency_key")
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= 255 or "\0" in key:
        raise InvalidRequestError(
            "metadata.idempotency_key must be a text of 1 to 255 characters, none of them NUL."
        )
    return key


def fingerprint(request: BaseReq) -> str:
    """Returns what two requests have in common when they ask for the same; their metadata may differ."""
    return hashlib.sha256(request.model_dump_json(exclude={"metadata"}).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Sending:
    """A request that was sent under a key, perhaps not for the first time."""

    scope: RequestScope
    key: str
    fingerprint: str
    make_turn: MakeTurn
    make_again: MakeTurn | None = None

    async def claim(self, claim: KeyClaim) -> KeyClaim:
        """Binds the key to a turn unless it is bound; returns what it is bound to."""
        return await self.scope.turns.log.claim_key(self.scope.owner, self.key, claim)

    async def release(self, claim: KeyClaim) -> None:
        """Frees the key if it is bound to this turn."""
        await self.scope.turns.log.release_key(self.scope.owner, self.key, claim)


# Keys that the store keeps, with the turn.


async def _begin_accepted(sent: _Sending, replaces: AcceptedTurn | None = None) -> StreamingResult:
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
            return await _begin_keyed(sent, sent.make_turn)
    if found is None:
        scope.turns.check_room(scope)
        try:
            turn = await sent.make_turn() if replaces is None else await _turn_anew(sent, replaces)
            turn.sent_key = SentKey(sent.key, sent.fingerprint, replaces and replaces.turn_id)
            return await begin(turn)
        except AcceptedBeforeError as before:
            found = before.found
        except RequestError:
            # The first sending may be what made the thread refuse it.
            found = await store.find_keyed_turn(sent.key, scope.context)
            if found is None:
                raise
    if found.fingerprint != sent.fingerprint:
        raise InvalidRequestError(OTHER_REQUEST)
    return await _join(sent, store, found)


async def _join(sent: _Sending, store: AcceptingStore[Any], accepted: AcceptedTurn) -> StreamingResult:
    """Returns the stream of a turn that was accepted before, from the log or from the store, or begins it."""
    scope, turns = sent.scope, sent.scope.turns
    found, log = accepted, turns.log
    until = time.monotonic() + (4 * log.lease if log.shared else _BEGINNING_SECONDS)
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
            # It was taken back, or deleted with its thread.
            return await _begin_accepted(sent)
        found = stored
        if found.status is TurnStatus.ENDED:
            if not found.opened:
                return await _begin_accepted(sent, found)
            return await _told_from_store(sent, found)
        if found.lapsed and not found.opened:
            claimed = await store.claim_turn(found, turns.log.lease, scope.context)
            if claimed is not None:
                return await _begin_claimed(sent, claimed)
        elif found.opened and time.monotonic() > until:
            # It may run in a process whose log is not known here.
            return await _told_from_store(sent, found)
        elif found.opened:
            # A log that has lost its data hears of it again, if its worker lives; else a sweep ends it.
            await turns.sweep()
        await asyncio.sleep(_BEGINNING_PAUSE_SECONDS)


async def _begin_claimed(sent: _Sending, claimed: AcceptedTurn) -> StreamingResult:
    """Begins a turn whose worker died before it could."""
    scope = sent.scope
    turn = await _turn_anew(sent, claimed)
    turn.info, turn.accepted = load_info(claimed.info), claimed
    return await scope.turns.start(turn)


async def _turn_anew(sent: _Sending, accepted: AcceptedTurn) -> Turn:
    """Returns a turn that does what an accepted one was to do; what that writes first is stored already."""
    scope = sent.scope
    if sent.make_again is not None:
        return await sent.make_again()
    info = TurnInfo(new_id("turn"), accepted.thread_id, scope.owner, user_item_id=accepted.user_item_id)
    return await turn_of_accepted(scope, accepted, info)


async def _join_again(sent: _Sending, store: AcceptingStore[Any], ended: TurnFeed) -> StreamingResult:
    """Returns what to read in the place of a turn that ended in the log and told nothing but errors."""
    if isinstance(sent.scope.request, ThreadsCreateReq):
        return await _begin_again(sent, store, ended)
    # The request is over, and with it its use of the thread.
    async with sent.scope.use_thread(ended.info.thread_id):
        return await _begin_again(sent, store, ended)


async def _begin_again(sent: _Sending, store: AcceptingStore[Any], ended: TurnFeed) -> StreamingResult:
    scope = sent.scope
    found = await store.find_turn(ended.info.id, scope.context)
    until = time.monotonic() + 4 * scope.turns.log.lease
    while found is not None and found.status is TurnStatus.WAITING and time.monotonic() < until:
        # Its worker was to end: another one, or a sweep, goes on with it.
        await scope.turns.sweep()
        await asyncio.sleep(_BEGINNING_PAUSE_SECONDS)
        found = await store.find_turn(ended.info.id, scope.context)
    if found is None or (found.status is TurnStatus.ENDED and not found.opened):
        # No handler was called for it: it begins now.
        return await _begin_accepted(sent, found)
    return StreamingResult.of(ended)


async def _told_from_store(sent: _Sending, found: AcceptedTurn) -> StreamingResult:
    end = known_end(found)
    error = {EndState.INTERRUPTED: INTERRUPTED, EndState.FAILED: FAILED}.get(end)
    shown = end if sent.scope.resumable else None
    return StreamingResult(await stored_frames(sent.scope, claim_of(found), shown, error))


# Keys that the log keeps, for stores that do not accept whole turns.


async def _begin_keyed(sent: _Sending, make_turn: MakeTurn) -> StreamingResult:
    scope, log, mark = sent.scope, sent.scope.turns.log, sent.fingerprint
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
    claim = await sent.claim(mine)
    patience = time.monotonic() + _BEGINNING_SECONDS
    while not claim.fresh:
        if claim.fingerprint != mark:
            raise InvalidRequestError(OTHER_REQUEST)
        waits = time.monotonic() < patience
        earlier = await _sent_before(sent, claim, waits=waits)
        if earlier is not None:
            return earlier
        if isinstance(turn, RequestError):
            raise turn
        if await log.ended(claim) is None and waits:
            # Another worker may be about to begin it, and has to stop an earlier turn first.
            await asyncio.sleep(_BEGINNING_PAUSE_SECONDS)
            claim = await sent.claim(mine)
            continue
        # The message was deleted since, or its process died before it was stored: it is a new one.
        await sent.release(claim)
        if await log.ended(claim) is None and await log.find(claim.turn_id, scope.owner) is not None:
            # It has begun at this very moment.
            claim = replace(await sent.claim(claim), fresh=False)
        else:
            claimed_at = time.monotonic()
            claim = await sent.claim(mine)
    return await _begin_first(sent, make_turn, turn, mine, claimed_at)


async def _begin_first(
    sent: _Sending, make_turn: MakeTurn, turn: Turn | RequestError, mine: KeyClaim, claimed_at: float
) -> StreamingResult:
    """Begins the turn that the key was bound to just now."""

    async def still_held() -> bool:
        if time.monotonic() - claimed_at < _SAFE_SECONDS:
            return True
        return (await sent.claim(mine)).turn_id == mine.turn_id

    hold = KeyHold(release=lambda: sent.release(mine), still_held=still_held)
    try:
        if isinstance(turn, RequestError):
            raise turn
        turn.key = hold
        return await begin(turn)
    except KeyPassedOnError:
        return await _begin_keyed(sent, make_turn)
    except BaseException:
        if not hold.passed_on:
            await _uninterrupted(hold.release)
        raise


async def _sent_before(sent: _Sending, claim: KeyClaim, *, waits: bool) -> StreamingResult | None:
    """Returns the stream of a message that was sent before; None if nothing of it is there (so far)."""
    turns, owner = sent.scope.turns, sent.scope.owner
    await turns.wait_begun(claim.turn_id)
    info = await turns.log.find(claim.turn_id, owner)
    if info is None:
        replayed = await _replayed(sent, claim, waits=waits)
        # A turn is opened in the log before its message is stored: it may have begun since the log was asked.
        info = None if replayed is None else await turns.log.find(claim.turn_id, owner)
        if info is None:
            return replayed
    try:
        return await _attached(sent, claim, info)
    except TurnNotFoundError:
        # It ended long ago, and the log has just forgotten it.
        return await _replayed(sent, claim, waits=False)


async def _attached(sent: _Sending, claim: KeyClaim, info: TurnInfo) -> StreamingResult:
    scope = sent.scope
    feed = await scope.turns.attach(info, None, with_ids=scope.resumable)
    if await scope.turns.log.ended(claim) is None:
        return StreamingResult.of(ResentFeed(feed, lambda ended: _go_on_later(sent, claim, ended)))
    if await feed.tells_something():
        return StreamingResult.of(feed)
    return await _go_on(sent, claim, feed)


async def _go_on_later(sent: _Sending, claim: KeyClaim, ended: TurnFeed) -> StreamingResult:
    """Does what ``_go_on`` does when the request is over, and with it its use of the thread."""
    if claim.user_item_id is None or isinstance(sent.scope.request, ThreadsCreateReq):
        return await _go_on(sent, claim, ended)
    async with sent.scope.use_thread(claim.thread_id):
        return await _go_on(sent, claim, ended)


async def _go_on(sent: _Sending, claim: KeyClaim, ended: TurnFeed) -> StreamingResult:
    """Returns the stream of a message whose turn ended and told nothing but errors."""
    scope, item_id = sent.scope, claim.user_item_id
    if item_id is None:
        return StreamingResult.of(ended)
    if await find_item(scope.store, claim.thread_id, item_id, scope.context) is None:
        # It never began: the message is taken now.
        await sent.release(claim)
        return await _begin_keyed(sent, sent.make_turn)
    if ended.end is EndState.FAILED:
        # It could not begin, for it was not known whether the message is stored: it is, and is answered now.
        await sent.release(claim)
        return await _begin_keyed(sent, lambda: _turn_of_stored(scope, claim.thread_id, item_id))
    stored = await stored_frames(scope, claim, None)

    async def frames() -> AsyncGenerator[bytes, None]:
        async for frame in stored:
            yield frame
        async for frame in ended.frames():
            yield frame

    return StreamingResult(frames())


async def _turn_of_stored(scope: RequestScope, thread_id: str, item_id: str) -> Turn:
    """Returns the turn of a message that is stored already, and whose first turn told nothing of it."""
    thread = await scope.load_thread(thread_id)
    message = cast("UserMessageItem", await scope.store.load_item(thread_id, item_id, scope.context))
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        if isinstance(scope.request, ThreadsCreateReq):
            pipeline.announce_thread(created=True)
        pipeline.announce_stored(message)
        pipeline.accept(options)

    return Turn(scope, thread, opening=opening, message=message)


async def _replayed(sent: _Sending, claim: KeyClaim, *, waits: bool) -> StreamingResult | None:
    scope = sent.scope
    end = await scope.turns.log.ended(claim)
    if end is None and claim.user_item_id is None and waits:
        # Nothing in the store shows whether it began.
        return None
    # A turn of which nothing is known may have been cut off with its process.
    end = end or EndState.INTERRUPTED
    try:
        return StreamingResult(await stored_frames(scope, claim, end if scope.resumable else None))
    except NotFoundError:
        return None


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
