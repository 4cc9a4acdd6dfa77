"""Requests about turns, ``turns.stop`` and ``turns.resume``, and what requests that begin turns have in common."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from chatkit._observers import observers
from chatkit.dialects.openai_chatkit.store import accepting_store, walk_newest_first
from chatkit.errors import (
    NotFoundError,
    TurnNotFoundError,
)
from chatkit.ids import utc_now
from chatkit.server.handler_results import method_name, settled_result, wrong_result
from chatkit.server.scope import RequestScope
from chatkit.server.turns.observed import observed_turn, start_observed
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.recovery import find_opening, fold_log, take_back
from chatkit.server.turns.results import StreamingResult, TurnFeed
from chatkit.server.turns.turn import Turn
from chatkit.server.wire import stopped_json
from chatkit.store.acceptance import AcceptedTurn, TurnStatus
from chatkit.streams.base import EventId, InterruptedTurn, TurnInfo, load_info
from chatkit.types import (
    StreamOptionsEvent,
    ThreadMetadata,
    TurnResumeParams,
    TurnsResumeReq,
    TurnsStopReq,
    TurnStopParams,
    UserMessageItem,
)

__all__ = [
    "HANDLERS",
    "begin",
    "resume",
    "run_again",
    "run_lost",
    "stop",
    "stream_options",
    "turn_again",
]

logger = logging.getLogger("chatkit.server")


async def stop(scope: RequestScope, params: TurnStopParams) -> bytes:
    """Stops turns; answers when their partial text is saved."""
    await scope.store.load_thread(params.thread_id, scope.context)
    return stopped_json(await scope.stop_turns(params.thread_id, params.turn_id))


async def resume(scope: RequestScope, params: TurnResumeParams) -> StreamingResult:
    """Returns a further reader of a turn."""
    try:
        feed = await _attach(scope, params)
    except TurnNotFoundError:
        for observer in observers():
            observer.resumed("none", None)
        raise
    for observer in observers():
        observer.resumed(feed.source, observed_turn(feed.info))
    return StreamingResult.of(feed)


async def _attach(scope: RequestScope, params: TurnResumeParams) -> TurnFeed:
    thread, log = scope.thread_key(params.thread_id), scope.turns.log
    await scope.store.load_thread(params.thread_id, scope.context)
    if params.after is None:
        info, seq = await log.latest(thread), None
    else:
        turn_id, seq = EventId.parse(params.after)
        info = await log.find(turn_id, scope.owner)
    if info is None or info.thread != thread:
        raise TurnNotFoundError
    return await scope.turns.attach(info, seq, with_ids=True)


HANDLERS: Final = {TurnsStopReq: stop, TurnsResumeReq: resume}


# Beginning turns.


async def stream_options(scope: RequestScope, thread: ThreadMetadata) -> StreamOptionsEvent:
    """Returns the event that a stream begins with."""
    method = scope.application.get_stream_options
    options = await settled_result(method(thread, scope.context), method_name(method))
    try:
        return StreamOptionsEvent(stream_options=options)
    except ValidationError as error:
        raise wrong_result(
            options, method_name(method), "Return StreamOptions(allow_cancel=True), or with False."
        ) from error


async def begin(turn: Turn) -> StreamingResult:
    """Begins a turn and returns its first reader."""
    scope = turn.scope
    outlives_reader = scope.resumable or scope.application.on_disconnect == "continue"
    turn.info = replace(
        turn.info,
        # Kept for those who send its request again.
        resumable=scope.resumable or turn.key is not None or turn.sent_key is not None,
        started_at=utc_now(),
        # A turn that its reader's disconnect stops has been stopped by the death of the worker it was read from.
        context=_saved_context(scope) if turn.message is not None and outlives_reader else None,
    )
    return await start_observed(turn, scope.turns.start)


def _saved_context(scope: RequestScope) -> str | None:
    application = scope.application
    if application.rerun_on_crash < 1:
        return None
    data = application.dump_context(scope.context)
    try:
        return None if data is None else json.dumps(data)
    except (TypeError, ValueError) as error:
        raise wrong_result(
            data,
            method_name(application.dump_context),
            "Return JSON values, or None, and write it without 'async'.",
        ) from error


async def run_again(scope: RequestScope, turn: InterruptedTurn) -> bool:
    """Begins a turn of a worker that died again; returns whether it did."""
    again = await turn_again(scope, turn.info)
    if again is None:
        return False
    return await scope.turns.begin_again(turn, again, others=await _told_by_others(scope, turn.info))


async def run_lost(scope: RequestScope, lost: AcceptedTurn) -> bool:
    """Begins a turn of a worker that died again, which the store has and the log does not know; returns whether it did.

    Its worker was alone with the log, and died before it had saved anything there.
    """
    info = load_info(lost.info)
    store = accepting_store(scope.store)
    again = None if store is None else await turn_again(scope, info)
    if again is None or store is None:
        return False
    others = await _told_by_others(scope, info)
    claimed = await store.claim_turn(lost, scope.turns.log.lease, scope.context)
    if claimed is None:
        return False
    begin = again.opening

    async def opening(pipeline: Pipeline) -> None:
        await begin(pipeline)
        await take_back(pipeline, info, scope.store, scope.context, others=others)

    again.opening, again.accepted, again.info = opening, claimed, replace(info, attempt=info.attempt + 1)
    await scope.turns.begin_accepted(again)
    return True


async def _told_by_others(scope: RequestScope, info: TurnInfo) -> set[str] | None:
    """Returns the ids of the items that other turns of the thread have told.

    Returns:
        None where one of them may have stored items that it did not tell, or its events are not known.
    """
    log, told, store = scope.turns.log, set[str](), accepting_store(scope.store, whole=False)
    latest, records = await log.latest(info.thread), await log.of_thread(info.thread)
    known = {info.id, *(record.info.id for record in records)}
    if latest is not None and latest.id not in known:
        return None
    if store is not None:
        # Logs forget at once what no reader can come back to. A message that began alone has only later ones beside it.
        alone = info.user_item_id is not None and scope.application.concurrency != "allow"
        since = None if alone else info.started_at
        beside = await store.turns_beside(info.thread_id, info.id, since, scope.context)
        if not known.issuperset(beside):
            return None
    for record in records:
        if record.info.id == info.id:
            continue
        if record.end is None and store is not None:
            accepted = await store.find_turn(record.info.id, scope.context)
            if accepted is not None and accepted.status is TurnStatus.WAITING:
                continue
        reader = None if record.end is None else await log.read(record.info.id, info.owner, None)
        if reader is None:
            return None
        told.update(fold_log([entry async for entries in reader for entry in entries]).records)
    return told


async def turn_again(scope: RequestScope, info: TurnInfo) -> Turn | None:
    """Returns a turn that does what one whose worker died was to do; its opening sends what was stored and not told.

    Args:
        scope: The request that began it, as far as it can be made again.
        info: The turn whose worker died.

    Returns:
        None if that would be wrong: the turn answers no message, the message is gone or no longer the newest, its
        thread takes no messages any more, or the turn had completed and only its log does not know.
    """
    if info.user_item_id is None:
        return None
    try:
        thread = await scope.load_thread(info.thread_id)
        message = await _newest_message(scope, thread)
        if await scope.store.has_completed(info.id, scope.context):
            return None
    except NotFoundError:
        return None
    if message is None or message.id != info.user_item_id or thread.status.type != "active":
        return None
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        announce = await find_opening(pipeline.state, info, scope.store, scope.context)
        announce(pipeline)
        pipeline.accept(options)

    return Turn(scope, thread, message=message, opening=opening)


async def _newest_message(scope: RequestScope, thread: ThreadMetadata) -> UserMessageItem | None:
    async for item in walk_newest_first(scope.store, thread.id, scope.context):
        if isinstance(item, UserMessageItem):
            return item
    return None
