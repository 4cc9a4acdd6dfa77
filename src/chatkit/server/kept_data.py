"""What a server can do with the data that is kept of persons: all of one person's, and what is old."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from chatkit.server.auditing import auditing_of, is_audited
from chatkit.server.handlers import Handlers
from chatkit.store.base import OwnerContext

if TYPE_CHECKING:
    from chatkit.audit import AuditLog, Operator
    from chatkit.counters import Counter
    from chatkit.personal_data import PersonalData, RetentionReport
    from chatkit.server.turns.registry import TurnRegistry

__all__ = ["KeptData"]

TContext = TypeVar("TContext", default=Any)


class KeptData(Handlers[TContext]):
    """The part of a server that exports, imports, erases and expires."""

    @abstractmethod
    def _chatkit_turns(self) -> TurnRegistry: ...

    @abstractmethod
    def _chatkit_counter(self) -> Counter: ...

    def personal_data(
        self,
        *,
        beside: Sequence[object] = (),
        context: Callable[[str], Any] = OwnerContext,
        operator: Operator | None = None,
        audit: AuditLog | None = None,
    ) -> PersonalData:
        """Returns what exports, imports and erases what is kept of an owner in the places of this server.

        Args:
            beside: What else keeps data of owners, such as the table of sessions of hosted ChatKit.
            context: Makes the context of an owner for stores of the application; stores of this package need none.
            operator: Who acts, and needs roles and reasons for it; None is the application itself.
            audit: Where it is recorded; by default the server's own audit log, or the one in the store's database.
        """
        # On use: most servers never need it.
        from chatkit.personal_data import PersonalData

        if audit is None and is_audited(self):
            audit = auditing_of(self).log
        counter = [self._chatkit_counter()] if self._chatkit_limits.quotas else []
        return PersonalData(
            self._chatkit_store(),
            self._chatkit_files(),
            stream_log=self._chatkit_turns().log,
            beside=[*counter, *beside],
            context=context,
            operator=operator,
            audit=audit,
        )

    async def apply_retention(self) -> RetentionReport | None:
        """Deletes threads that are older than ``retention`` says; None where it says nothing.

        The applications of ``chatkit.web`` do so every hour, in one worker.
        """
        if not self.retention:
            return None
        data = self.personal_data()
        try:
            return await data.retain(self.retention)
        finally:
            await data.close()
