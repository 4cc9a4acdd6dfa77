"""The contract suite of tables of sessions."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from chatkit.hosted import Configuration, FileUpload, History, Session, Sessions, Switch, Workflow
from chatkit.ids import new_id

__all__ = ["SessionsContract"]


def session(seconds: int = 600) -> Session:
    """Returns a session of its own, with something in every field."""
    now = int(time.time())
    return Session(
        id=new_id("cksess"),
        tenant="acme",
        user="Zoë/%41",
        workflow=Workflow(
            id="wf_a",
            version="3",
            state_variables={"a": 1, "b": 1.5, "c": True, "d": "ü"},
            tracing=Switch(enabled=False),
        ),
        configuration=Configuration(
            automatic_thread_titling=Switch(enabled=False),
            file_upload=FileUpload(enabled=True, max_file_size=1, max_files=2),
            history=History(enabled=False, recent_threads=3),
        ),
        requests_per_minute=7,
        created_at=now + min(seconds, 0),
        expires_at=now + seconds,
    )


class SessionsContract(ABC):
    """The tests of a table of sessions: subclass it with ``make_sessions`` and run it with pytest.

    Attributes:
        shared: Whether several workers see the same sessions; what only those can do is skipped otherwise.
    """

    shared: bool = True

    @abstractmethod
    def make_sessions(self) -> Sessions:
        """Returns a table; called outside any event loop. Each of a shared table's plays a worker of its own."""

    def _run(self, scenario: Callable[..., Awaitable[None]], workers: int = 1) -> None:
        tables = [self.make_sessions() for _ in range(workers)]

        async def main() -> None:
            try:
                await scenario(*tables)
            finally:
                for table in tables:
                    await table.close()

        asyncio.run(main())

    def test_a_session_is_found_as_it_was_added(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            first, second = session(), session()
            await sessions.add(first)
            await sessions.add(second)
            found = await sessions.find(first.id)
            assert found == first
            assert await sessions.find(second.id) == second
            # 1 is not True, and 1.0 not 1.
            assert found is not None
            assert repr(found.workflow.state_variables) == repr(first.workflow.state_variables)

        self._run(scenario)

    def test_what_is_not_there_is_none(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            assert await sessions.find(new_id("cksess")) is None
            assert await sessions.find("") is None
            await sessions.cancel(new_id("cksess"))

        self._run(scenario)

    def test_a_cancelled_session_stays_cancelled(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            first, second = session(), session()
            await sessions.add(first)
            await sessions.add(second)
            for _ in range(2):
                await sessions.cancel(first.id)
                found = await sessions.find(first.id)
                assert found == first.model_copy(update={"cancelled": True})
            assert await sessions.find(second.id) == second

        self._run(scenario)

    def test_a_session_is_found_for_a_day_after_its_end(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            ended = session(-80_000)
            await sessions.add(ended)
            for _ in range(3):
                await sessions.add(session())
            assert await sessions.find(ended.id) == ended

        self._run(scenario)

    def test_an_old_session_is_forgotten(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            old = session(-90_000)
            await sessions.add(old)
            kept = [session() for _ in range(3)]
            for entry in kept:
                await sessions.add(entry)
            assert await sessions.find(old.id) is None
            assert [await sessions.find(entry.id) for entry in kept] == kept

        self._run(scenario)

    def test_workers_see_the_same_sessions(self) -> None:
        async def scenario(*tables: Sessions) -> None:
            added = session()
            await tables[0].add(added)
            assert await tables[-1].find(added.id) == added
            await tables[-1].cancel(added.id)
            found = await tables[0].find(added.id)
            assert found is not None
            assert found.cancelled

        self._run(scenario, workers=2 if self.shared else 1)

    def test_it_can_be_checked_and_used_after_it_was_closed(self) -> None:
        async def scenario(sessions: Sessions) -> None:
            await sessions.check()
            await sessions.close()
            added = session()
            await sessions.add(added)
            assert await sessions.find(added.id) == added

        self._run(scenario)

    def test_it_says_whether_workers_share_it(self) -> None:
        assert self.make_sessions().shared is self.shared
