"""PersonalData: export, import, erasure and retention of what is kept of a person."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from chatkit.audit import Actor, AuditEvent, AuditKind, Role, audit_log_of
from chatkit.audit.entries import printable_line
from chatkit.dialects.adapters import adapt_files, adapt_store
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import ConfigurationError, InvalidRequestError, NotFoundError, StoreUnavailableError
from chatkit.files.base import AttachmentStore, ManagedFileStore
from chatkit.personal_data._memory import MemoryPlace, PortPlace
from chatkit.personal_data.erasing import Erasure, receipt_of
from chatkit.personal_data.exporting import Exporter
from chatkit.personal_data.importing import Importer
from chatkit.personal_data.places import Place
from chatkit.personal_data.receipts import ExportReport, ImportReport, Receipt, RetentionReport
from chatkit.personal_data.retention import RetentionRule, retain
from chatkit.store.base import OwnerContext, Store
from chatkit.types import FileStore
from chatkit.types import Store as SimpleStore

if TYPE_CHECKING:
    from chatkit.audit import AuditLog, Operator
    from chatkit.personal_data.places import StorePlace
    from chatkit.streams.log import StreamLog

__all__ = ["PersonalData", "Vacuum"]

Vacuum: TypeAlias = Literal["usual", "full", "none"]
"""How a database overwrites what was deleted.

``"usual"`` rewrites an SQLite file, and vacuums the tables of PostgreSQL, whose space is overwritten as it is used
again; ``"full"`` writes these anew too, for which everything else waits; ``"none"`` leaves it to the operator.
"""


class PersonalData:
    """What is kept of persons, wherever a server keeps it.

    ``ChatKitServer.personal_data()`` returns that of a server. Servers may use the same databases meanwhile.

    Args:
        store: The store, as given to the server.
        files: The attachment store or file store of the server, if it has one.
        stream_log: The log of the server, if not that of the store.
        beside: What else keeps data of owners: a counter, a table of sessions.
        context: Makes the context of an owner for stores of the application; stores of this package need none.
        operator: Who acts: needs the role ``export`` or ``erase``, and has to give reasons. None is the application
            itself, such as for a person who asks for their own data.
        audit: Where it is recorded; by default the audit log in the database of the store, where it is one of ours.

    Attributes:
        store: The full store over what was given.
        files: The attachment store over what was given.
        log: The stream log.
        context: As given.
        main: Where the store keeps its data.
        places: All databases in which there may be data, the store's first.
        audit: Where actions are recorded; None is nowhere.
        beside: As given.
        log_is_known: Whether the log keeps its turns in one of them.

    Raises:
        ConfigurationError: The store is the application's, and it is not known how it tells its users apart.
    """

    def __init__(
        self,
        store: Store[Any] | SimpleStore,
        files: AttachmentStore[Any] | FileStore | None = None,
        *,
        stream_log: StreamLog | None = None,
        beside: Sequence[object] = (),
        context: Callable[[str], Any] = OwnerContext,
        operator: Operator | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        # The adapter of a server that has the same store, where there is one: it knows whose threads are.
        self.store = adapt_store(store, files=files)
        self.files = adapt_files(files, store=self.store)
        self.context = context
        given: Any = getattr(self.store, "store", self.store)
        self.log: StreamLog | None = stream_log if stream_log is not None else self.store.stream_log()
        self.main: StorePlace = _place_of(given) or PortPlace(self.store, context)
        if self.main.kind == "application" and not self.store.knows_owners and context is OwnerContext:
            raise ConfigurationError(
                f"{type(given).__name__} does not say whose a context is: all threads could be taken for one person's. "
                "Give context=lambda owner: ..., which makes what the store tells its users apart by."
            )
        log_place = _place_of(self.log)
        self.log_is_known = self.log is None or log_place is not None
        places: dict[object, Place] = {}
        for place in (self.main, log_place, *map(_place_of, beside)):
            if place is not None:
                places.setdefault(_address(place), place)
        self.places: list[Place] = list(places.values())
        self.beside = tuple(beside)
        self._operator = operator
        self.audit = audit_log_of(given) if audit is None else audit

    async def export(self, owner: str, folder: Path, *, reason: str | None = None) -> ExportReport:
        """Writes what is kept of an owner into a new folder: JSON lines and files, see ``docs/personal-data.md``.

        It is not of one moment: what changes meanwhile may be in it or not.

        Args:
            owner: The owner.
            folder: A folder that does not exist; it has its name once it is complete.
            reason: Why, for the audit log.

        Raises:
            PermissionDeniedError: The operator may not.
            InvalidRequestError: The owner has no name, or the operator gave no reason.
            ConfigurationError: There is no audit log that could say what the operator does.
            NotFoundError: Nothing is kept of the owner.
            ExportError: The folder is there, or cannot be written.
            StoreUnavailableError: A database, or the files, cannot be reached.
        """
        reason = self.allowed(Role.EXPORT, reason)
        if self._operator is not None and self.audit is None:
            raise ConfigurationError(
                "The store brings no audit log, without which no operator is given content: give one with audit=."
            )
        _check_owner(owner)
        exporter = Exporter(self, owner, folder)
        await exporter.check()
        # Before: content is not read without an entry.
        await self.record(AuditKind.DATA_EXPORTED, owner, reason)
        return await exporter.run()

    async def import_(
        self, folder: Path, *, owner: str | None = None, reason: str | None = None
    ) -> ImportReport:
        """Adds what an export holds; what is there already stays as it is, so that it can be done again.

        The export is checked whole before anything is written.

        Args:
            folder: What ``export`` wrote.
            owner: Whose it is to be; None for whose it was. For another one the attachments get other ids, as
                do those whose ids another owner has.
            reason: Why, for the audit log.

        Raises:
            InvalidRequestError: The owner has no name.
            ExportError: It is no export, damaged, incomplete, or of a later version.
            ErasureRunningError: What is kept of the owner is being erased.
            StoreUnavailableError: A database, or the files, cannot be reached.
        """
        reason = self.allowed(Role.EXPORT, reason, unexplained=True)
        importer = Importer(self, folder, owner)
        _check_owner(importer.owner)
        await importer.check()
        await self.record(AuditKind.DATA_IMPORTED, importer.owner, reason)
        return await importer.run()

    async def count(self, owner: str) -> dict[str, int]:
        """Returns how much is kept of an owner, by table or kind of key; empty for nothing.

        Raises:
            StoreUnavailableError: A database cannot be reached.
        """
        found: dict[str, int] = {}
        for place in self.places:
            for name, number in (await place.count(owner)).items():
                found[name] = found.get(name, 0) + number
        return found

    async def erase(
        self,
        owner: str,
        *,
        reason: str | None = None,
        vacuum: Vacuum = "usual",
        patience: float = 60.0,
    ) -> Receipt:
        """Erases all that is kept of an owner.

        From its beginning to its end requests of the owner are refused (409, ``being_erased``), and running turns are
        stopped, in all workers. One that was cut off is gone on with by the next call; counts add up.

        Args:
            owner: The owner.
            reason: Why, for the receipt and the audit log; nothing about a person.
            vacuum: How databases overwrite what was deleted.
            patience: Seconds for running turns to end.

        Raises:
            PermissionDeniedError: The operator may not.
            InvalidRequestError: The owner has no name, or the operator gave no reason.
            NotFoundError: Nothing is kept of the owner.
            StoreUnavailableError: A database, or the files, cannot be reached, or a turn does not end in time: what
                was erased so far stays so, and the owner refused, until it is called again.
        """
        reason = self.allowed(Role.ERASE, reason)
        _check_owner(owner)
        erasure = Erasure(self, owner, reason, vacuum, patience)
        async for _ in erasure.steps():
            pass
        return erasure.receipt

    async def find_receipt(self, erasure_id: str) -> Receipt:
        """Returns the receipt of an erasure that has ended, without whose it was: that is not kept.

        Raises:
            NotFoundError: No erasure of that id has ended here.
        """
        state = await self.main.find_erasure(erasure_id)
        if state is None or state.state == "running":
            raise NotFoundError(f"No erasure {erasure_id!r} has ended here.")
        return receipt_of(self, state, "")

    async def retain(
        self,
        rules: Sequence[RetentionRule],
        *,
        usage_seconds: float | None = None,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> RetentionReport:
        """Deletes threads in which nothing happened for the time of their rule, with their files; one worker at a time.

        A thread with a turn that runs or waits stays.

        Args:
            rules: How long threads are kept; the first that is for an owner counts.
            usage_seconds: How long the usage of models is kept, of all owners; None keeps it.
            dry_run: Deletes nothing.
            reason: Why, for the audit log.

        Raises:
            UnsupportedOperationError: The store cannot list the threads of all owners.
            StoreUnavailableError: A database, or the files, cannot be reached.
        """
        reason = self.allowed(Role.ERASE, reason, unexplained=True)
        report = await retain(self, rules, usage_seconds, dry_run=dry_run)
        if not dry_run and (report.threads or report.usage):
            threads = sum(report.threads.values())
            await self.record(AuditKind.RETENTION_APPLIED, None, reason, threads=threads, usage=report.usage)
        return report

    def allowed(self, role: Role, reason: str | None, *, unexplained: bool = False) -> str:
        """Returns the reason as it is recorded.

        Args:
            role: What the operator needs.
            reason: As given.
            unexplained: Whether an operator needs none.

        Raises:
            PermissionDeniedError: The operator does not have that role.
            InvalidRequestError: There is no reason, or none that can be recorded.
        """
        if self._operator is None:
            return printable_line("reason", (reason or "").strip())
        return self._operator.require(role, reason, unexplained=unexplained)

    async def record(
        self, kind: AuditKind, owner: str | None, reason: str, subject: str = "", **details: Any
    ) -> None:
        """Appends an entry to the audit log, if there is one.

        Args:
            kind: What is done.
            owner: To whose data, for the pseudonym; None for nobody's, or several.
            reason: Why.
            subject: What it is about.
            details: More; nothing about a person.
        """
        if self.audit is not None:
            actor = Actor("server") if self._operator is None else self._operator.actor
            event = AuditEvent(
                kind=kind, actor=actor, owner=owner, subject=subject, reason=reason, details=details
            )
            await self.audit.record(event)

    @property
    def managed_files(self) -> ManagedFileStore | None:
        """The file store, where it can be read; None where there is none, or it cannot."""
        files = self.files.files if isinstance(self.files, FileStoreAdapter) else None
        return files if isinstance(files, ManagedFileStore) else None

    async def delete_file(self, attachment_id: str, context: Any) -> None:
        """Deletes the file of an attachment, where the store does not; one that is gone already is no error.

        Args:
            attachment_id: The attachment.
            context: The owner's context.

        Raises:
            StoreUnavailableError: It cannot be deleted.
        """
        if self.files is None or self.store.deletes_files:
            return
        try:
            await self.files.delete_attachment(attachment_id, context)
        except (NotFoundError, FileNotFoundError):
            # Stores of applications may say so.
            return
        except OSError as error:
            raise StoreUnavailableError(
                f"The file of attachment {attachment_id} cannot be deleted: {error.strerror or error}. Mend that, then "
                "do this again: what is left is deleted then."
            ) from error

    async def close(self) -> None:
        """Closes the connections of its own; those of the store and the log are theirs."""
        for place in self.places:
            close = getattr(place, "close", None)
            if close is not None:
                await close()


def _check_owner(owner: str) -> None:
    if not owner:
        # The empty owner stands for data of no owner, which is nobody's personal data.
        raise InvalidRequestError("Name the owner: the name must not be empty.")


def _place_of(part: object) -> Any:
    """Returns the place that something keeps its data in, None for one that is not known."""
    database: object = getattr(part, "database", None)
    module = type(database).__module__
    if module.startswith("chatkit._sqlite"):
        from chatkit.personal_data._sqlite import SQLitePlace

        return SQLitePlace(cast("Any", database))
    if module.startswith("chatkit._postgres"):
        from chatkit.personal_data._postgres import PostgresPlace

        return PostgresPlace(cast("Any", database))
    if (space := getattr(part, "key_space", None)) is not None and "chatkit._redis" in sys.modules:
        from chatkit.personal_data._redis import RedisPlace

        return RedisPlace(space)
    if hasattr(part, "forget_usage") and hasattr(part, "refuse"):
        return MemoryPlace(part)
    return None


def _address(place: Place) -> object:
    """Returns what two places have in common that are the same."""
    database: Any = getattr(place, "database", None)
    if place.kind == "sqlite" and database.path not in {"", ":memory:"}:
        return str(Path(database.path).resolve())
    if place.kind == "postgres":
        return database.settings.connection_string
    return getattr(place, "space", None) or id(database or place)
