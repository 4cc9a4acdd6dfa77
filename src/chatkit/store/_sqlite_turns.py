"""The transactions of the SQLite store that accept turns and note how they end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chatkit.store import _records as records
from chatkit.store import _sqlite_statements as statements
from chatkit.store._sqlite_statements import change, run
from chatkit.store.acceptance import (
    Acceptance,
    AcceptedTurn,
    ItemChange,
    LapsedTurn,
    ThreadTakenError,
    TurnStatus,
    was_taken_over,
)
from chatkit.store.base import COMPLETION_RETENTION

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = [
    "accept_turn",
    "begin_turn",
    "begin_waiting_turn",
    "claim_turn",
    "find_keyed_turn",
    "find_turn",
    "finish_turn",
    "has_lapsed",
    "lapsed_turns",
    "open_turn",
    "renew_turns",
    "resolve_turn",
    "withdraw_turn",
]


def accept_turn(
    connection: Connection, *, owner: str, acceptance: Acceptance, documents: records.Documents
) -> AcceptedTurn:
    turn_id, thread_id, key = acceptance.turn_id, acceptance.thread_id, acceptance.key
    others: tuple[str, ...] = ()
    if acceptance.keeps_order:
        asked = {"owner": owner, "thread_id": thread_id, "item_id": acceptance.user_item_id}
        if run(connection, "is_passed", **asked).fetchone() is not None:
            passed = find_turn(connection, owner=owner, turn_id=str(acceptance.replaces))
            if passed is not None:
                return passed
    if acceptance.policy != "allow":
        others = _turns_before(connection, owner, thread_id, turn_id)
        if others and acceptance.policy == "reject":
            # One of them may be this very request, sent before.
            known = None if key is None else find_keyed_turn(connection, owner=owner, key=key)
            if known is None or known.turn_id == acceptance.replaces:
                raise ThreadTakenError(others)
            return known
    waits = bool(others)
    if not _insert(connection, owner, acceptance, documents.message if waits else None, waits=waits):
        if key is not None:
            now = time.time()
            run(connection, "forget_key", owner=owner, key=key, now=now, replaced=acceptance.replaces)
            known = find_keyed_turn(connection, owner=owner, key=key)
            if known is not None:
                return known
        if not _insert(connection, owner, acceptance, documents.message if waits else None, waits=waits):
            raise was_taken_over(turn_id)
    token = _new_token(connection, owner, thread_id, turn_id)
    _write(connection, owner, acceptance, documents, waits=waits)
    return AcceptedTurn(
        turn_id,
        thread_id,
        TurnStatus.WAITING if waits else TurnStatus.BEGUN,
        token,
        user_item_id=acceptance.user_item_id,
        fingerprint=acceptance.fingerprint,
        info=acceptance.info,
        fresh=True,
        others=others,
    )


def _insert(
    connection: Connection, owner: str, acceptance: Acceptance, message: str | None, *, waits: bool
) -> int:
    return change(
        connection,
        query="accept_turn",
        owner=owner,
        turn_id=acceptance.turn_id,
        thread_id=acceptance.thread_id,
        status=TurnStatus.WAITING if waits else TurnStatus.BEGUN,
        lease_until=time.time() + acceptance.lease,
        user_item_id=acceptance.user_item_id,
        key=acceptance.key,
        fingerprint=acceptance.fingerprint,
        info=acceptance.info,
        message=message,
    )


def _write(
    connection: Connection, owner: str, acceptance: Acceptance, documents: records.Documents, *, waits: bool
) -> None:
    writes, thread_id = acceptance.writes, acceptance.thread_id
    if writes.created_thread is not None:
        added = statements.save_thread(
            connection,
            query="add_thread",
            owner=owner,
            thread_id=thread_id,
            data=str(documents.thread),
            created_at=writes.created_thread.created_at.isoformat(),
        )
        if not added:
            records.thread_exists(thread_id)
    elif thread_id and (waits or writes.message is None):
        # What adds a message finds out by itself whether its thread is there.
        statements.find_item(connection, owner=owner, thread_id=thread_id, item_id=None)
    if writes.change is not None:
        _change(connection, owner, writes.change, thread_id, str(documents.before), str(documents.after))
    if writes.delete_after is not None:
        statements.delete_items_after(
            connection, owner=owner, thread_id=thread_id, item_id=writes.delete_after
        )
    if writes.message is not None and not waits:
        _add_message(connection, owner, thread_id, writes.message.id, str(documents.message))
    for attachment_id, data in documents.attachments:
        change(
            connection,
            query="save_attachment",
            owner=owner,
            attachment_id=attachment_id,
            thread_id=thread_id,
            data=data,
            now=int(time.time()),
        )


def _add_message(connection: Connection, owner: str, thread_id: str, item_id: str, data: str) -> None:
    statements.store_item(
        connection,
        query="add_item",
        owner=owner,
        thread_id=thread_id,
        item_id=item_id,
        type="user_message",
        data=data,
    )


def _change(
    connection: Connection, owner: str, changed: ItemChange, thread_id: str, before: str, after: str
) -> None:
    item = changed.after
    statements.save_item_if_unchanged(
        connection,
        owner=owner,
        thread_id=thread_id,
        item_id=item.id,
        type=item.type,
        before=before,
        after=after,
    )


def _turns_before(connection: Connection, owner: str, thread_id: str, turn_id: str) -> tuple[str, ...]:
    found = run(connection, "turns_before", owner=owner, thread_id=thread_id, turn_id=turn_id)
    return tuple(row[0] for row in found)


def _new_token(connection: Connection, owner: str, thread_id: str, turn_id: str) -> int:
    run(connection, "draw_token")
    token: int = run(connection, "drawn_token").fetchone()[0]
    run(connection, "begin_turn", owner=owner, thread_id=thread_id, turn_id=turn_id, token=token)
    return token


def find_turn(connection: Connection, *, owner: str, turn_id: str) -> AcceptedTurn | None:
    row = run(connection, "find_turn", owner=owner, turn_id=turn_id, now=time.time()).fetchone()
    if row is None:
        return None
    turn, thread, status, token, opened, claimed, lapsed, end, item, fingerprint, info = row
    return AcceptedTurn(
        turn,
        thread,
        TurnStatus(status),
        token,
        opened=bool(opened),
        claimed=bool(claimed),
        lapsed=bool(lapsed),
        end=end,
        user_item_id=item,
        fingerprint=fingerprint,
        info=info,
    )


def turns_beside(
    connection: Connection, *, owner: str, thread_id: str, turn_id: str, since: float | None
) -> list[str]:
    rows = run(
        connection,
        "turns_beside",
        owner=owner,
        thread_id=thread_id,
        turn_id=turn_id,
        forget_at=None if since is None else since + COMPLETION_RETENTION,
    )
    return [turn_id for (turn_id,) in rows.fetchall()]


def find_keyed_turn(connection: Connection, *, owner: str, key: str) -> AcceptedTurn | None:
    row = run(connection, "find_keyed_turn", owner=owner, key=key, now=time.time()).fetchone()
    return None if row is None else find_turn(connection, owner=owner, turn_id=row[0])


def _hold(connection: Connection, owner: str, turn_id: str, token: int) -> TurnStatus:
    row = run(connection, "is_turn_held", owner=owner, turn_id=turn_id, token=token).fetchone()
    if row is None:
        raise was_taken_over(turn_id)
    return TurnStatus(row[0])


def begin_waiting_turn(
    connection: Connection, *, owner: str, turn_id: str, token: int, at_once: bool
) -> tuple[str, ...]:
    if _hold(connection, owner, turn_id, token) is TurnStatus.BEGUN:
        return ()
    thread_id, item_id, message = run(connection, "waiting_message", owner=owner, turn_id=turn_id).fetchone()
    others = () if at_once else _turns_before(connection, owner, thread_id, turn_id)
    if not others:
        # It may be there already: one that is begun again, after its worker died.
        if message is not None:
            _add_message(connection, owner, thread_id, item_id, message)
        run(connection, "set_begun", owner=owner, turn_id=turn_id)
    return others


def open_turn(connection: Connection, *, owner: str, turn_id: str, token: int) -> None:
    if not change(connection, query="set_opened", owner=owner, turn_id=turn_id, token=token):
        raise was_taken_over(turn_id)


def renew_turns(connection: Connection, *, rows: Sequence[tuple[str, str, int]], lease: float) -> None:
    lease_until = time.time() + lease
    for owner, turn_id, token in rows:
        run(
            connection,
            "renew_held_turn",
            owner=owner,
            turn_id=turn_id,
            token=token,
            lease_until=lease_until,
        )


def claim_turn(
    connection: Connection, *, owner: str, turn: AcceptedTurn, lease: float
) -> AcceptedTurn | None:
    found = find_turn(connection, owner=owner, turn_id=turn.turn_id)
    if found is None or found.status is TurnStatus.ENDED or not found.lapsed:
        return None
    if (found.token, found.opened) != (turn.token, turn.opened):
        return None
    run(connection, "renew_turn", owner=owner, turn_id=turn.turn_id, lease_until=time.time() + lease)
    token = _new_token(connection, owner, turn.thread_id, turn.turn_id)
    return replace(found, token=token, claimed=True, lapsed=False, fresh=True)


def withdraw_turn(
    connection: Connection, *, owner: str, acceptance: Acceptance, documents: records.Documents, token: int
) -> bool:
    turn_id, thread_id, writes = acceptance.turn_id, acceptance.thread_id, acceptance.writes
    if run(connection, "is_turn_held", owner=owner, turn_id=turn_id, token=token).fetchone() is None:
        return False
    run(connection, "end_turn", owner=owner, turn_id=turn_id, token=token)
    if acceptance.replaces is not None:
        forget_at = time.time() + COMPLETION_RETENTION
        run(connection, "end_replacing", owner=owner, turn_id=turn_id, forget_at=forget_at)
        return True
    run(connection, "forget_turn", owner=owner, turn_id=turn_id)
    if writes.created_thread is not None:
        run(connection, "delete_thread", owner=owner, thread_id=thread_id)
        return True
    if writes.message is not None:
        run(connection, "delete_item", owner=owner, thread_id=thread_id, item_id=writes.message.id)
    if writes.change is not None:
        _change(connection, owner, writes.change, thread_id, str(documents.after), str(documents.before))
    return True


def resolve_turn(connection: Connection, *, owner: str, turn_id: str, thread_id: str) -> AcceptedTurn | None:
    found = find_turn(connection, owner=owner, turn_id=turn_id)
    if found is None:
        _register(connection, owner, thread_id, turn_id)
        forget_at = time.time() + 3600
        run(connection, "set_ended", owner=owner, turn_id=turn_id, end="failed", info="", forget_at=forget_at)
    gone = found is None or found.claimed or found.status is TurnStatus.ENDED
    return None if gone else found


def _register(connection: Connection, owner: str, thread_id: str, turn_id: str) -> int:
    return change(
        connection,
        query="register_turn",
        owner=owner,
        turn_id=turn_id,
        thread_id=thread_id,
        now=time.time(),
    )


def begin_turn(connection: Connection, *, owner: str, thread_id: str, turn_id: str) -> int:
    if not _register(connection, owner, thread_id, turn_id):
        raise was_taken_over(turn_id)
    run(connection, "forget_completion", owner=owner, turn_id=turn_id)
    return _new_token(connection, owner, thread_id, turn_id)


def finish_turn(connection: Connection, *, owner: str, turn_id: str, token: int, end: str, info: str) -> bool:
    now = round(time.time())
    run(connection, "forget_old_completions", now=now)
    if not change(connection, query="end_turn", owner=owner, turn_id=turn_id, token=token):
        return False
    forget_at = now + COMPLETION_RETENTION
    ended = {"end": end, "info": info, "forget_at": time.time() + COMPLETION_RETENTION}
    run(connection, "set_ended", owner=owner, turn_id=turn_id, **ended)
    if end == "completed":
        # For workers of the version before, which look there.
        run(connection, "note_completion", owner=owner, turn_id=turn_id, forget_at=forget_at)
    return True


def has_lapsed(connection: Connection) -> bool:
    now = time.time()
    return (
        run(connection, "lapsed_turns", now=now).fetchone() is not None
        or run(connection, "old_turns", now=now).fetchone() is not None
    )


def lapsed_turns(connection: Connection, *, seconds: float) -> list[LapsedTurn]:
    now = time.time()
    run(connection, "forget_old_turns", now=now)
    found: list[LapsedTurn] = []
    for owner, turn_id in run(connection, "lapsed_turns", now=now).fetchall():
        turn = find_turn(connection, owner=owner, turn_id=turn_id)
        if turn is not None:
            run(connection, "look_later", owner=owner, turn_id=turn_id, look_at=now + seconds)
            found.append(LapsedTurn(owner, turn))
    return found
