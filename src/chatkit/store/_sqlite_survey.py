"""What an operator is told of an SQLite file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from chatkit.store import _records as records
from chatkit.store import _sqlite_statements as statements
from chatkit.store.survey import OpenTurn, OwnerSummary, StoreSurvey, ThreadSummary

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit._sqlite import Database

__all__ = ["SQLiteSurvey"]

_NEWEST: Final = 2**63 - 1


class SQLiteSurvey(StoreSurvey):
    """The part of an SQLite store that tells an operator what it keeps."""

    database: Database

    async def survey_owners(self, limit: int, after: str | None = None) -> list[OwnerSummary]:
        def survey(connection: Connection) -> list[OwnerSummary]:
            run = partial(statements.run, connection)
            owners = [row[0] for row in run("survey_owners", after=after, limit=limit).fetchall()]
            return [_owner(owner, *run("survey_owner", owner=owner).fetchone()) for owner in owners]

        return await self.database.read(survey)

    async def survey_owner(self, owner: str, limit: int, after: str | None = None) -> list[ThreadSummary]:
        def survey(connection: Connection) -> list[ThreadSummary]:
            run = partial(statements.run, connection)
            before = _NEWEST
            if after is not None:
                row = run("find_thread", owner=owner, thread_id=after).fetchone()
                before = records.no_thread(after) if row is None else row[0]
            found = run("survey_threads_of_owner", owner=owner, before=before, limit=limit).fetchall()
            return [_thread(*row) for row in found]

        return await self.database.read(survey)

    async def owners_of_thread(self, thread_id: str) -> list[str]:
        work = partial(statements.first_values, query="owners_of_thread", thread_id=thread_id)
        return await self.database.read(work)

    async def survey_turns(self, limit: int, after: OpenTurn | None = None) -> list[OpenTurn]:
        owner, turn_id = (None, None) if after is None else (after.owner, after.turn_id)
        rows = await self.database.read(
            partial(statements.all_rows, query="survey_turns", owner=owner, turn_id=turn_id, limit=limit)
        )
        return [_turn(*row) for row in rows]


def _turn(
    owner: str, turn_id: str, thread_id: str, status: str, opened: int, claimed: int, lease_until: float
) -> OpenTurn:
    until = datetime.fromtimestamp(lease_until, UTC)
    return OpenTurn(owner, turn_id, thread_id, status, bool(opened), bool(claimed), until)


def _owner(
    owner: str,
    threads: int,
    saved_at: str | None,
    items: int,
    made_at: str | None,
    files: int,
    file_bytes: int,
) -> OwnerSummary:
    return OwnerSummary(owner, threads, items, files, file_bytes, _latest(saved_at, made_at))


def _thread(
    thread_id: str, created_at: str, updated_at: str, items: int, made_at: str | None, files: int
) -> ThreadSummary:
    created = datetime.fromisoformat(created_at)
    return ThreadSummary(thread_id, created, _latest(updated_at, made_at) or created, items, files)


def _latest(*moments: str | None) -> datetime | None:
    return max((datetime.fromisoformat(moment) for moment in moments if moment), default=None)
