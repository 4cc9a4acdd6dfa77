"""Tells observers of turns: of their begin, first delta and end, and of those that were taken over."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from chatkit._observers import ObservedTurn, observers
from chatkit.ids import utc_now
from chatkit.streams.base import EndState, TurnInfo

if TYPE_CHECKING:
    from chatkit.server.turns.turn import Turn

__all__ = ["observed", "observed_turn", "tell_taken_over"]


def observed_turn(info: TurnInfo) -> ObservedTurn:
    """Returns what observers are told of a turn."""
    return ObservedTurn(info.id, info.thread_id, info.attempt, info.trace)


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


def tell_taken_over(info: TurnInfo, end: EndState | None) -> None:
    """Tells observers that a turn of a worker that died ends so here, or, with None, is run again."""
    for observer in observers():
        observer.took_over(observed_turn(info), None if end is None else end.value)
