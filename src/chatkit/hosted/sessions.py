"""The port of the table of sessions, and the one in memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import Final

from chatkit.hosted.models import Session
from chatkit.store.owners import joined_owner

__all__ = ["FORGOTTEN_AT_ONCE", "KEPT_SECONDS", "MemorySessions", "Sessions"]

KEPT_SECONDS: Final = 86_400
"""How long a session is kept after its end, so that a server that asks for it is told how it ended."""

FORGOTTEN_AT_ONCE: Final = 16
"""Old sessions forgotten at most when one is added."""


class Sessions(ABC):
    """Keeps sessions, for all workers.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the table cannot be reached.
    """

    @property
    def shared(self) -> bool:
        """Whether several worker processes see the same sessions."""
        return True

    @abstractmethod
    async def add(self, session: Session) -> None:
        """Keeps a new session for as long as it lasts, and a day more.

        Args:
            session: The session, under an id that no other one has.
        """

    @abstractmethod
    async def find(self, session_id: str) -> Session | None:
        """Returns a session, None if there is none, it was forgotten or it cannot be read (``Session.read``).

        Args:
            session_id: Any text.
        """

    @abstractmethod
    async def cancel(self, session_id: str) -> None:
        """Cancels a session for good; one that does not exist is no error.

        Args:
            session_id: The session.
        """

    async def check(self) -> None:
        """Raises if sessions cannot be found; a readiness probe calls it."""
        await self.find("")

    async def close(self) -> None:  # noqa: B027 -- most have nothing to release
        """Releases connections; they are opened again when they are used."""


class MemorySessions(Sessions):
    """Keeps sessions in this process, for one worker; a restart ends them.

    Args:
        clock: Returns the present moment in seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._sessions: dict[str, Session] = {}

    @property
    def shared(self) -> bool:
        """False: other processes have sessions of their own."""
        return False

    async def add(self, session: Session) -> None:
        until = self._clock() - KEPT_SECONDS
        with self._lock:
            for session_id, _ in list(zip(self._sessions, range(FORGOTTEN_AT_ONCE), strict=False)):
                kept = self._sessions.pop(session_id)
                if kept.expires_at > until:
                    # Looked at again after the others.
                    self._sessions[session_id] = kept
            self._sessions[session.id] = session

    async def find(self, session_id: str) -> Session | None:
        with self._lock:
            return self._sessions.get(session_id)

    def forget_owner(self, owner: str) -> list[str]:
        """Forgets the sessions of an owner, and returns their ids."""
        with self._lock:
            meant = [
                session.id
                for session in self._sessions.values()
                if joined_owner(session.tenant, session.user, session.workflow.id) == owner
            ]
            for session_id in meant:
                del self._sessions[session_id]
        return meant

    async def cancel(self, session_id: str) -> None:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None:
                self._sessions[session_id] = session.model_copy(update={"cancelled": True})
