"""What an operator is told of a PostgreSQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatkit.store import _records as records
from chatkit.store._postgres_documents import SQL
from chatkit.store.survey import OpenTurn, OwnerSummary, StoreSurvey, ThreadSummary

if TYPE_CHECKING:
    from chatkit._postgres import Database

__all__ = ["PostgresSurvey"]


class PostgresSurvey(StoreSurvey):
    """The part of a PostgreSQL store that tells an operator what it keeps."""

    database: Database

    async def _survey(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda transaction: transaction.rows(SQL[query], *arguments))

    async def survey_owners(self, limit: int, after: str | None = None) -> list[OwnerSummary]:
        return [OwnerSummary(*row) for row in await self._survey("survey_owners", after, limit)]

    async def survey_owner(self, owner: str, limit: int, after: str | None = None) -> list[ThreadSummary]:
        before = None
        if after is not None:
            found = await self._survey("survey_place", owner, after)
            before = found[0][0] if found else records.no_thread(after)
        return [ThreadSummary(*row) for row in await self._survey("survey_owner", owner, before, limit)]

    async def owners_of_thread(self, thread_id: str) -> list[str]:
        return [owner for (owner,) in await self._survey("owners_of_thread", thread_id)]

    async def survey_turns(self, limit: int, after: OpenTurn | None = None) -> list[OpenTurn]:
        place = (None, None) if after is None else (after.owner, after.turn_id)
        return [OpenTurn(*row) for row in await self._survey("survey_turns", *place, limit)]
