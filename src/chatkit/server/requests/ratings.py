"""Tells observers of feedback, with the trace of the turn that it is about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from chatkit._observers import observers
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.ids import utc_now
from chatkit.server.scope import RequestScope
from chatkit.store.base import find_item
from chatkit.streams.base import load_info
from chatkit.types import ItemFeedbackParams

__all__ = ["tell_rating"]

_KEPT: Final = timedelta(days=1)
"""How long stores know of a turn after its end."""
_TURNS: Final = 50
"""How many turns of the thread are looked at, at most, the newest."""


async def tell_rating(scope: RequestScope, params: ItemFeedbackParams) -> None:
    """Tells observers of a user's feedback; asks nothing where there are none."""
    if not observers() or not params.item_ids:
        return
    trace = await _trace_of(scope, params.thread_id, params.item_ids[0])
    for observer in observers():
        observer.rated(trace, params.thread_id, params.item_ids, params.kind)


async def _trace_of(scope: RequestScope, thread_id: str, item_id: str) -> str | None:
    """Returns the trace of the turn that an item comes from: the newest that had begun when the item was made."""
    item = await find_item(scope.store, thread_id, item_id, scope.context)
    if item is None:
        return None
    infos = [record.info for record in await scope.turns.log.of_thread(scope.thread_key(thread_id))]
    store = accepting_store(scope.store, whole=False)
    if store is not None:
        known = {info.id for info in infos if info.trace is not None}
        ids = await store.turns_beside(thread_id, "", utc_now() - _KEPT, scope.context)
        for turn_id in ids[-_TURNS:]:
            found = None if turn_id in known else await store.find_turn(turn_id, scope.context)
            if found is not None and found.info:
                infos.append(load_info(found.info))
    began: list[tuple[datetime, str]] = [
        (info.started_at, info.trace)
        for info in infos
        if info.trace is not None and info.started_at <= item.created_at
    ]
    return max(began)[1] if began else None
