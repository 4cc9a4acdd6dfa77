"""The accepted turns of one owner in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from chatkit.ids import utc_now
from chatkit.store.acceptance import DELETED, Acceptance, AcceptedTurn, TurnStatus, was_taken_over
from chatkit.store.base import COMPLETION_RETENTION, Fence
from chatkit.store.journal import RecordedStep

__all__ = ["TurnRow", "TurnTable"]


@dataclass(slots=True)
class TurnRow:
    """A turn; ``message`` is what a waiting one will add, as JSON."""

    acceptance: Acceptance
    status: TurnStatus
    token: int
    lease_until: float
    opened: bool = False
    claimed: bool = False
    look_at: float = 0.0
    end: str = ""
    forget_at: float = 0.0
    message: str = ""
    steps: dict[int, RecordedStep] = field(default_factory=dict[int, RecordedStep])

    def shown(self, *, fresh: bool = False, others: tuple[str, ...] = ()) -> AcceptedTurn:
        accepted = self.acceptance
        return AcceptedTurn(
            accepted.turn_id,
            accepted.thread_id,
            self.status,
            self.token,
            opened=self.opened,
            claimed=self.claimed,
            lapsed=self.lease_until < time.monotonic(),
            end=self.end,
            user_item_id=accepted.user_item_id,
            fingerprint=accepted.fingerprint,
            info=accepted.info,
            fresh=fresh,
            others=others,
        )


@dataclass(slots=True)
class TurnTable:
    """Turns by id, in the order in which they were accepted."""

    _rows: dict[str, TurnRow] = field(default_factory=dict[str, TurnRow])
    _keyed: dict[str, str] = field(default_factory=dict[str, str])
    _running: dict[str, dict[str, TurnRow]] = field(default_factory=dict[str, dict[str, TurnRow]])
    _ended: dict[str, TurnRow] = field(default_factory=dict[str, TurnRow])

    def get(self, turn_id: str) -> TurnRow | None:
        return self._rows.get(turn_id)

    def keyed(self, key: str | None) -> TurnRow | None:
        self._forget_old()
        return None if key is None or key not in self._keyed else self._rows[self._keyed[key]]

    def others(self, acceptance: Acceptance) -> tuple[str, ...]:
        """Returns the turns of a thread that were accepted before one, or would be, and have not ended."""
        found: list[str] = []
        for turn_id in self._running.get(acceptance.thread_id, ()):
            if turn_id == acceptance.turn_id:
                break
            found.append(turn_id)
        return tuple(found)

    def beside(self, thread_id: str, turn_id: str, since: datetime | None) -> list[str]:
        """Returns the other turns of a thread that run, or have ended since then; or those that came later."""
        found = [row for row in self._rows.values() if row.acceptance.thread_id == thread_id]
        ids = [row.acceptance.turn_id for row in found]
        if since is None:
            later = found[ids.index(turn_id) + 1 :] if turn_id in ids else []
            return [row.acceptance.turn_id for row in later if row.status is not TurnStatus.WAITING]
        ago = time.monotonic() - (utc_now() - since).total_seconds() + COMPLETION_RETENTION
        return [
            row.acceptance.turn_id
            for row in found
            if row.acceptance.turn_id != turn_id and (row.status is TurnStatus.BEGUN or row.forget_at > ago)
        ]

    def gives_way(
        self, row: TurnRow, acceptance: Acceptance, newest_message: Callable[[], str | None]
    ) -> bool:
        """Returns whether a turn may be accepted in the place of the one that was accepted with its key."""
        ended = row.status is TurnStatus.ENDED and not row.opened
        if not ended or row.acceptance.turn_id != acceptance.replaces:
            return False
        if not acceptance.keeps_order:
            return True
        running = self._running.get(acceptance.thread_id, {}).values()
        waits = any(other.status is TurnStatus.WAITING for other in running)
        return not waits and newest_message() in {None, acceptance.user_item_id}

    def __len__(self) -> int:
        return len(self._rows)

    def running(self) -> list[str]:
        """Returns the ids of the turns that have not ended."""
        return [turn_id for rows in self._running.values() for turn_id in rows]

    def add(self, row: TurnRow) -> None:
        accepted = row.acceptance
        self._rows[accepted.turn_id] = row
        if accepted.key is not None:
            self._keyed[accepted.key] = accepted.turn_id
        self._running.setdefault(accepted.thread_id, {})[accepted.turn_id] = row

    def held(self, turn_id: str, token: int) -> TurnRow:
        """Returns a turn that is still the caller's; raises StaleTurnError for another one."""
        row = self._rows.get(turn_id)
        if row is None or row.token != token or row.status is TurnStatus.ENDED:
            raise was_taken_over(turn_id)
        return row

    def is_held(self, fence: Fence) -> bool:
        row = self._rows.get(fence.turn_id)
        return row is not None and row.token == fence.token and row.status is not TurnStatus.ENDED

    def finish(self, turn_id: str, token: int, end: str, info: str) -> bool:
        row = self._rows.get(turn_id)
        if row is None or row.token != token or row.status is TurnStatus.ENDED:
            return False
        self._end(row, end, info)
        self._forget_old()
        return True

    def _end(self, row: TurnRow, end: str, info: str) -> None:
        self._leave(row)
        row.status, row.end, row.message = TurnStatus.ENDED, end, ""
        row.steps.clear()
        row.acceptance = replace(row.acceptance, info=info)
        if self._ended.setdefault(row.acceptance.turn_id, row).forget_at == 0:
            row.forget_at = time.monotonic() + COMPLETION_RETENTION

    def remove(self, row: TurnRow) -> None:
        accepted = row.acceptance
        self._leave(row)
        self._ended.pop(accepted.turn_id, None)
        self._rows.pop(accepted.turn_id, None)
        if accepted.key is not None:
            self._keyed.pop(accepted.key, None)

    def end_thread(self, thread_id: str) -> None:
        for row in [row for row in self._rows.values() if row.acceptance.thread_id == thread_id]:
            if row.acceptance.key is None:
                self.remove(row)
            else:
                self._end(row, DELETED, "")
                # No other turn is accepted in its place.
                row.opened = True

    def renew(self, fence: Fence, lease: float) -> None:
        if self.is_held(fence):
            self._rows[fence.turn_id].lease_until = time.monotonic() + lease

    def lapsed(self, seconds: float) -> list[TurnRow]:
        self._forget_old()
        now = time.monotonic()
        found = [
            row
            for rows in self._running.values()
            for row in rows.values()
            if row.lease_until < now and row.look_at < now
        ]
        for row in found:
            row.look_at = now + seconds
        return found

    def _leave(self, row: TurnRow) -> None:
        thread_id = row.acceptance.thread_id
        running = self._running.get(thread_id, {})
        running.pop(row.acceptance.turn_id, None)
        if not running:
            self._running.pop(thread_id, None)

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._ended and (oldest := next(iter(self._ended.values()))).forget_at < now:
            self.remove(oldest)
