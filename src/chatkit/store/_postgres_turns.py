"""The transactions of the PostgreSQL store that accept turns and note how they end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chatkit.errors import StaleTurnError
from chatkit.store import _records as records
from chatkit.store import _search_rows as rows
from chatkit.store._postgres_documents import SQL, document_columns, lock_thread
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
    from chatkit._postgres import Transaction

__all__ = [
    "accept_turn",
    "begin_turn",
    "begin_waiting_turn",
    "change_item",
    "claim_turn",
    "find_turn",
    "finish_turn",
    "lapsed_turns",
    "open_turn",
    "resolve_turn",
    "search_columns",
    "withdraw_turn",
]

_NONE: Final = (None, None)


async def accept_turn(
    transaction: Transaction,
    owner: str,
    acceptance: Acceptance,
    documents: records.Documents,
    *,
    indexes: bool,
) -> AcceptedTurn:
    writes, thread_id = acceptance.writes, acceptance.thread_id
    change, thread, message = writes.change, documents.thread, documents.message
    if acceptance.keeps_order:
        # Before the look at it: what adds a message holds this lock.
        await transaction.rows(SQL["lock_thread"], owner, thread_id)
        if await transaction.value(SQL["is_passed"], owner, thread_id, acceptance.user_item_id):
            passed = await find_turn(transaction, owner, str(acceptance.replaces))
            if passed is not None:
                return passed
    attachments = [document_columns(data, records.load_attachment) for _, data in documents.attachments]
    accepted = await transaction.rows(
        SQL["accept_turn"],
        owner,
        acceptance.turn_id,
        thread_id,
        float(acceptance.lease),
        acceptance.user_item_id,
        acceptance.key,
        acceptance.fingerprint,
        acceptance.info,
        acceptance.policy,
        *(_NONE if thread is None else document_columns(thread, records.load_thread)),
        None if writes.created_thread is None else writes.created_thread.created_at,
        message,
        *(_NONE if message is None else document_columns(message, records.load_item)),
        writes.delete_after,
        [attachment_id for attachment_id, _ in documents.attachments],
        [data for data, _ in attachments],
        [exact for _, exact in attachments],
        acceptance.replaces,
    )
    outcome, token, turn_id, others = accepted[0]
    if outcome == "known":
        found = await find_turn(transaction, owner, turn_id)
        # It cannot have gone: it was read under the lock, or waited for.
        return found if found is not None else _gone(turn_id)
    if outcome == "busy":
        raise ThreadTakenError(others)
    if outcome == "no_thread":
        records.no_thread(thread_id)
    if outcome == "thread_exists":
        records.thread_exists(thread_id)
    if outcome == "item_exists":
        records.item_exists(thread_id, str(acceptance.user_item_id))
    if outcome == "no_item":
        records.no_item(thread_id, str(writes.delete_after))
    if outcome == "taken":
        raise was_taken_over(acceptance.turn_id)
    if change is not None:
        # The thread is locked by now; whatever this raises undoes the acceptance.
        await change_item(transaction, owner, thread_id, change, indexes=indexes)
    waits = outcome == "waits"
    if indexes and message is not None and not waits:
        words = rows.vector_columns(owner, rows.document_words(message))
        title = rows.vector_columns(owner, None if thread is None else rows.title_words(thread))
        await transaction.value(
            SQL["index_accepted"], owner, thread_id, acceptance.user_item_id, *words, *title
        )
    return AcceptedTurn(
        acceptance.turn_id,
        thread_id,
        TurnStatus.WAITING if waits else TurnStatus.BEGUN,
        token,
        user_item_id=acceptance.user_item_id,
        fingerprint=acceptance.fingerprint,
        info=acceptance.info,
        fresh=True,
        others=tuple(others) if waits else (),
    )


def _gone(turn_id: str) -> AcceptedTurn:
    raise was_taken_over(turn_id)


async def change_item(
    transaction: Transaction, owner: str, thread_id: str, change: ItemChange, *, indexes: bool
) -> None:
    """Saves an item in the place of what was loaded before, if that is still what is stored."""
    item_id, after = change.before.id, records.dump_model(change.after)
    columns = document_columns(after, records.load_item)
    words = search_columns(owner, after, indexes=indexes)
    # All that change an item hold this lock; only those that delete one do not.
    thread = await lock_thread(transaction, owner, thread_id)
    stored = await transaction.value(SQL["load_item"], owner, thread_id, item_id)
    if stored is None:
        records.no_item(thread_id, item_id)
    records.check_unchanged(stored, records.dump_model(change.before), thread_id, item_id)
    arguments = (thread, item_id, change.after.type, *columns, *words)
    if await transaction.value(SQL["change_item"], *arguments) is None:
        records.no_item(thread_id, item_id)


def search_columns(owner: str, item: str, *, indexes: bool) -> tuple[str, str | None, str | None]:
    """Returns what the statements that save an item take for the index: the owner, and the columns.

    Args:
        owner: Whose item it is.
        item: The item as JSON.
        indexes: Whether the store searches.
    """
    return owner, *rows.vector_columns(owner, rows.document_words(item) if indexes else None)


async def find_turn(
    transaction: Transaction, owner: str, name: str, *, query: str = "find_turn"
) -> AcceptedTurn | None:
    found = await transaction.rows(SQL[query], owner, name)
    if not found:
        return None
    turn, thread, status, token, opened, claimed, lapsed, end, item, fingerprint, info = found[0]
    return AcceptedTurn(
        turn,
        thread,
        TurnStatus(status),
        token,
        opened=opened,
        claimed=claimed,
        lapsed=lapsed,
        end=end,
        user_item_id=item,
        fingerprint=fingerprint,
        info=info,
    )


async def resolve_turn(
    transaction: Transaction, owner: str, turn_id: str, thread_id: str
) -> AcceptedTurn | None:
    if await transaction.value(SQL["void_turn"], owner, turn_id, thread_id) is not None:
        return None
    found = await find_turn(transaction, owner, turn_id)
    voided = found is not None and found.status is TurnStatus.ENDED
    return None if found is None or found.claimed or voided else found


async def _hold(transaction: Transaction, owner: str, turn_id: str, token: int) -> None:
    if await transaction.value(SQL["is_turn_running"], owner, turn_id, token) is None:
        raise was_taken_over(turn_id)


async def begin_waiting_turn(
    transaction: Transaction, owner: str, turn_id: str, token: int, *, at_once: bool, indexes: bool
) -> tuple[str, ...]:
    # The turn's row, then the thread's: in the order in which the writes of turns take their locks.
    await _hold(transaction, owner, turn_id, token)
    waiting = await transaction.rows(SQL["waiting_message"], owner, turn_id)
    if not waiting:
        return ()
    thread_id, item_id, text = waiting[0]
    thread = await lock_thread(transaction, owner, thread_id)
    before = [] if at_once else await transaction.rows(SQL["turns_before"], owner, thread_id, turn_id)
    if not before:
        # It may be there already: one that is begun again, after its worker died.
        if text is not None:
            columns = document_columns(text, records.load_item)
            words = search_columns(owner, text, indexes=indexes)
            arguments = (thread, item_id, "user_message", *columns, *words)
            if await transaction.value(SQL["add_item"], *arguments) is None:
                records.item_exists(thread_id, item_id)
        await transaction.value(SQL["set_begun"], owner, turn_id)
    return tuple(row[0] for row in before)


async def open_turn(transaction: Transaction, owner: str, turn_id: str, token: int) -> None:
    if await transaction.value(SQL["open_turn"], owner, turn_id, token) is None:
        raise was_taken_over(turn_id)


async def claim_turn(
    transaction: Transaction, owner: str, turn: AcceptedTurn, lease: float
) -> AcceptedTurn | None:
    held: int | None = await transaction.value(SQL["token_of_turn"], owner, turn.turn_id)
    if (held or 0) != turn.token:
        return None
    if await transaction.value(SQL["claim_turn"], owner, turn.turn_id, float(lease), turn.opened) is None:
        return None
    token: int = await transaction.value(SQL["begin_turn"], owner, turn.turn_id, turn.thread_id)
    found = await find_turn(transaction, owner, turn.turn_id)
    return None if found is None else replace(found, token=token, lapsed=False, fresh=True)


async def withdraw_turn(
    transaction: Transaction, owner: str, acceptance: Acceptance, token: int, *, indexes: bool
) -> bool:
    turn_id, thread_id, writes = acceptance.turn_id, acceptance.thread_id, acceptance.writes
    try:
        await _hold(transaction, owner, turn_id, token)
    except StaleTurnError:
        return False
    await transaction.value(SQL["end_turn"], owner, turn_id, token)
    if acceptance.replaces is not None:
        await transaction.value(SQL["end_replacing"], owner, turn_id, float(COMPLETION_RETENTION))
        return True
    await transaction.value(SQL["forget_turn"], owner, turn_id)
    if writes.created_thread is not None:
        await transaction.value(SQL["delete_thread"], owner, thread_id)
        return True
    if writes.message is not None:
        await transaction.value(SQL["delete_item"], owner, thread_id, writes.message.id)
    if writes.change is not None:
        back = ItemChange(writes.change.after, writes.change.before)
        await change_item(transaction, owner, thread_id, back, indexes=indexes)
    return True


async def begin_turn(transaction: Transaction, owner: str, thread_id: str, turn_id: str) -> int:
    token: int = await transaction.value(SQL["begin_turn"], owner, turn_id, thread_id)
    if await transaction.value(SQL["register_turn"], owner, turn_id, thread_id) is None:
        raise was_taken_over(turn_id)
    return token


async def finish_turn(
    transaction: Transaction, owner: str, turn_id: str, token: int, end: str, info: str
) -> bool:
    kept = float(COMPLETION_RETENTION)
    noted: bool = await transaction.value(SQL["finish_turn"], owner, turn_id, token, end, kept, info)
    return noted


async def lapsed_turns(transaction: Transaction, seconds: float) -> list[LapsedTurn]:
    found: list[LapsedTurn] = []
    for owner, turn_id in await transaction.rows(SQL["lapsed_turns"], float(seconds)):
        turn = await find_turn(transaction, owner, turn_id)
        if turn is not None:
            found.append(LapsedTurn(owner, turn))
    return found
