"""What a server records: refused sign-ins, deletions, and its limits; and how it publishes heads."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from chatkit._checks import check_number
from chatkit._observers import observers
from chatkit._outages import Outage
from chatkit.audit.base import AuditLog
from chatkit.audit.entries import Actor, AuditEvent, AuditKind, Head, as_line
from chatkit.errors import ChatKitError, ConfigurationError
from chatkit.ids import utc_now

__all__ = ["REFUSAL_SECONDS", "Auditing"]

logger = logging.getLogger("chatkit.audit")

REFUSAL_SECONDS: Final = 60.0
"""How often refused sign-ins are recorded: an entry for each source and kind, with their number."""
_MOST_SOURCES: Final = 100
"""Sources that are told apart in that time; the others are counted together."""
_OTHERS: Final = "others"
_SERVER: Final = Actor("server")


class _Refusal(NamedTuple):
    source: str
    code: str
    has_credentials: bool


class Auditing:
    """What a server records, and where it publishes how far the log goes.

    ``ChatKitServer(audit=Auditing(head_file="/mnt/elsewhere/heads.jsonl"))``. Refused sign-ins are counted, and
    recorded once a minute: at most a hundred entries in each worker, however many there are.

    Args:
        log: Where it is recorded; None for the database of the store.
        head_file: A file that gets a line of JSON whenever a head is published, besides the log of the server. Keep it
            where who can write the database cannot.
        head_seconds: How often a head is published, if there is another one.
        clock: Returns the present moment in seconds, which only grow.

    Attributes:
        tended: Whether :meth:`tend` is called all the time.

    Raises:
        ConfigurationError: The time is none.
    """

    def __init__(
        self,
        log: AuditLog | None = None,
        *,
        head_file: str | os.PathLike[str] | None = None,
        head_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_number("Auditing(head_seconds=...)", head_seconds, above=True)
        self._log = log
        self._head_file = None if head_file is None else os.fspath(head_file)
        self._head_seconds = head_seconds
        self._clock = clock
        self._refusals: Counter[_Refusal] = Counter()
        self._recorded_at = -REFUSAL_SECONDS
        self._published_at = -head_seconds
        self._published: Head | None = None
        self.tended = False
        self._outage = Outage(
            "The audit log cannot be written", "The audit log can be written again.", logger
        )

    @property
    def log(self) -> AuditLog:
        """Where it is recorded.

        Raises:
            ConfigurationError: None was given, and the store brings none.
        """
        if self._log is None:
            raise ConfigurationError(
                "The store brings no audit log: give one, such as audit=SQLiteAuditLog('audit.db')."
            )
        return self._log

    def use(self, find: Callable[[], AuditLog | None]) -> None:
        """Records where a function says, unless a log was given.

        Raises:
            ConfigurationError: It finds none.
        """
        if self._log is None:
            self._log = find()
        # Says so where there is none.
        _ = self.log

    async def deleted(self, kind: AuditKind, owner: str | None, subject: str) -> None:
        """Records that something of an owner is about to be deleted.

        Args:
            kind: ``AuditKind.THREAD_DELETED`` or ``AuditKind.ATTACHMENT_DELETED``.
            owner: Who deletes it.
            subject: Its id.

        Raises:
            StoreError: It cannot be recorded, and must not be deleted.
        """
        event = AuditEvent(kind=kind, actor=Actor("owner"), owner=owner, subject=as_line(subject))
        await self.log.record(event)

    async def began(self, server: str, bounds: Mapping[str, Any]) -> None:
        """Records the limits that a server starts with, if they are others than those of the last entry about them.

        Args:
            server: Its name, as there may be several over one database.
            bounds: The limits, as JSON.
        """
        subject = as_line(server)
        event = AuditEvent(kind=AuditKind.LIMITS_CHANGED, actor=_SERVER, subject=subject, details=bounds)
        await self.log.record(event, unless_same=True)

    async def refused(self, address: str | None, code: str, *, has_credentials: bool) -> None:
        """Counts a refused sign-in, which is recorded within a minute; never raises.

        Args:
            address: Where it came from.
            code: Why, as a program is told.
            has_credentials: Whether there were any.
        """
        self._count(_Refusal(_source(address), as_line(code, 64), has_credentials), 1)
        if not self.tended:
            await self.tend()

    def _count(self, refusal: _Refusal, count: int) -> None:
        if refusal not in self._refusals and len(self._refusals) >= _MOST_SOURCES:
            refusal = _Refusal(_OTHERS, "", has_credentials=False)
        self._refusals[refusal] += count

    async def tend(self, *, at_once: bool = False) -> None:
        """Records what was counted, and publishes the head, if it is time for that; never raises.

        Args:
            at_once: Whether it is time in any case: the server ends.
        """
        try:
            now = self._clock()
            if self._refusals and (at_once or now - self._recorded_at >= REFUSAL_SECONDS):
                self._recorded_at = now
                await self._record_refusals()
            if at_once or now - self._published_at >= self._head_seconds:
                self._published_at = now
                await self._publish()
        except (ChatKitError, OSError) as error:
            self._outage.failed(error)
        else:
            self._outage.recovered()

    async def _record_refusals(self) -> None:
        counted, self._refusals = self._refusals, Counter()
        try:
            while counted:
                refusal, count = next(iter(counted.items()))
                details = {"count": count, "code": refusal.code, "credentials": refusal.has_credentials}
                event = AuditEvent(
                    kind=AuditKind.SIGN_IN_REFUSED, actor=_SERVER, subject=refusal.source, details=details
                )
                await self.log.record(event)
                del counted[refusal]
        finally:
            # What could not be recorded is told with the next ones.
            for refusal, count in counted.items():
                self._count(refusal, count)

    async def _publish(self) -> None:
        head = await self.log.head()
        if head is None or head == self._published:
            return
        logger.info("The audit log ends with %s.", head)
        for observer in observers():
            observer.published_head(str(head))
        if self._head_file is not None:
            line = json.dumps({"time": utc_now().isoformat(timespec="seconds"), "head": str(head)})
            await asyncio.to_thread(_append, self._head_file, line)
        self._published = head

    async def close(self) -> None:
        """Records and publishes what is left, and releases what the log holds alone."""
        if self._log is not None:
            await self.tend(at_once=True)
            await self._log.close()


def _append(path: str, line: str) -> None:
    # One write at the end of the file: lines of several workers stay whole.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def _source(address: str | None) -> str:
    """Returns what stands for where a request came from: of an IPv6 address the network, which has one customer."""
    if not address:
        return "unknown"
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return as_line(address, 64)
    if found.version == 4:
        return address
    if found.ipv4_mapped is not None:
        # Of a socket for both versions.
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
