"""Tells observers of turns: of their begin, first delta and end, and of those that were taken over."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from chatkit._observers import ObservedTurn, observers
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.ids import utc_now
from chatkit.logs import about
from chatkit.store.acceptance import AcceptedTurn
from chatkit.store.base import Store
from chatkit.streams.base import EndState, TurnInfo, load_info

if TYPE_CHECKING:
    from chatkit.server.turns.turn import Turn

__all__ = [
    "about_turn",
    "find_trace",
    "observed",
    "observed_turn",
    "start_observed",
    "tell_taken_over",
    "with_trace",
]

T = TypeVar("T")


def about_turn(info: TurnInfo) -> AbstractContextManager[None]:
    """Has the records that are logged in the block say which turn they are about."""
    return about(turn=info.id, thread=info.thread_id, owner=info.owner, trace=info.trace_id)


def observed_turn(info: TurnInfo) -> ObservedTurn:
    """Returns what observers are told of a turn."""
    return ObservedTurn(info.id, info.thread_id, info.attempt, info.trace)


async def start_observed(turn: Turn, start: Callable[[Turn], Awaitable[T]]) -> T:
    """Starts a turn, and has it know the trace that it belongs to, if there is one."""
    watching = observers()
    if not watching:
        return await start(turn)
    for observer in watching:
        trace = observer.opened_turn(observed_turn(turn.info))
        if trace is not None:
            turn.info = replace(turn.info, trace=trace)
    try:
        return await start(turn)
    except BaseException as error:
        for observer in watching:
            observer.dropped_turn(observed_turn(turn.info), error)
        raise


def observed(turn: Turn, running: Coroutine[Any, Any, EndState]) -> Coroutine[Any, Any, EndState]:
    """Returns what runs a turn, and tells the observers that there are."""
    return _observed(turn, running) if observers() else running


async def _observed(turn: Turn, running: Coroutine[Any, Any, EndState]) -> EndState:
    began, info, end = time.monotonic(), observed_turn(turn.info), None
    watching = observers()
    for observer in watching:
        observer.began_turn(info)

    def tell_first_delta() -> None:
        passed = max(0.0, (utc_now() - turn.info.started_at).total_seconds())
        for observer in watching:
            observer.sent_first_delta(info, passed)

    turn.pipeline.tell_first_delta(tell_first_delta)
    try:
        end = await running
        return end
    finally:
        elsewhere = turn.moved or turn.writer.lost
        told = None if elsewhere else (end or EndState.INTERRUPTED).value
        for observer in reversed(watching):
            observer.ended_turn(info, told, time.monotonic() - began)


def with_trace(info: TurnInfo, accepted: AcceptedTurn | None) -> TurnInfo:
    """Returns a turn with the trace that it was accepted with, for logs that keep none."""
    if info.trace is not None or accepted is None or not accepted.info:
        return info
    return replace(info, trace=load_info(accepted.info).trace)


async def find_trace(info: TurnInfo, store: Store[Any], context: object) -> TurnInfo:
    """Returns a turn with the trace that the store knows it to belong to, if anybody is told of that."""
    accepting = accepting_store(store, whole=False) if observers() and info.trace is None else None
    return info if accepting is None else with_trace(info, await accepting.find_turn(info.id, context))


def tell_taken_over(info: TurnInfo, end: EndState | None) -> None:
    """Tells observers that a turn of a worker that died ends so here, or, with None, is run again."""
    for observer in observers():
        observer.took_over(observed_turn(info), None if end is None else end.value)
