"""Retention: threads are deleted once nothing happened in them for long, by one worker at a time, piece by piece."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, cast

from chatkit._checks import check_number
from chatkit.errors import ConfigurationError, NotFoundError
from chatkit.ids import new_id, utc_now
from chatkit.personal_data.places import AgingPlace, IdleThread
from chatkit.personal_data.receipts import RetentionReport
from chatkit.personal_data.walking import deletes_in_its_own_way
from chatkit.store.usage import UsageKeeper
from chatkit.streams.records import ThreadKey

if TYPE_CHECKING:
    from chatkit.personal_data.data import PersonalData
    from chatkit.store.base import OwnedThread

__all__ = ["RetentionRule", "retain", "rule_for"]

_LEASE: Final = "retention"
_LEASE_SECONDS: Final = 60.0
_PAGE: Final = 100
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_557_600}
_TEXT: Final = re.compile(r"(?:(.+)=)?(?:(\d{1,9})([smhdwy])|(forever))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long the threads of some owners are kept.

    Attributes:
        seconds: Since anything happened in a thread; None for ever.
        owners: Whose: a pattern in which ``*`` stands for any text, such as ``acme/*`` for a tenant of hosted ChatKit.

    Raises:
        ConfigurationError: One of these is not of its kind.
    """

    seconds: float | None
    owners: str = "*"

    def __post_init__(self) -> None:
        if self.seconds is not None:
            check_number("RetentionRule(seconds=...)", self.seconds, above=True)

    @classmethod
    def parse(cls, text: str) -> RetentionRule:
        """Reads a rule from a text such as ``365d``, ``acme/*=30d`` or ``ada=forever``.

        Units are ``s``, ``m``, ``h``, ``d``, ``w`` and ``y``.

        Raises:
            ConfigurationError: It is none.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ConfigurationError(f"A rule of retention is written 365d, or 'acme/*=30d', not {text!r}.")
        owners, number, unit, _ = found.groups()
        seconds = None if number is None else float(int(number) * _UNITS[unit])
        return cls(seconds, owners or "*")


def rule_for(rules: Sequence[RetentionRule], owner: str) -> RetentionRule | None:
    """Returns the first rule that is for an owner."""
    return next((rule for rule in rules if fnmatchcase(owner, _pattern(rule.owners))), None)


def _pattern(owners: str) -> str:
    # An asterisk alone means something: in the name of an owner there may be brackets and question marks.
    return re.sub(r"[\[?]", r"[\g<0>]", owners)


def _ago(now: datetime, seconds: float) -> datetime:
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        # Nothing is as old.
        return datetime.min.replace(tzinfo=UTC)


async def retain(
    data: PersonalData, rules: Sequence[RetentionRule], usage_seconds: float | None, *, dry_run: bool
) -> RetentionReport:
    """Deletes old threads; see ``PersonalData.retain``."""
    main, holder = data.main, new_id("retention")
    aging = main if isinstance(main, AgingPlace) else None
    if aging is not None and not await aging.take_lease(_LEASE, holder, _LEASE_SECONDS):
        return RetentionReport(ran=False, dry_run=dry_run)
    try:
        threads: dict[str, int] = {}
        now = utc_now()
        times = [rule.seconds for rule in rules if rule.seconds is not None]
        if times:
            youngest = _ago(now, min(times))
            after: Any = None
            while page := await _page(data, aging, youngest, after):
                for found in page:
                    rule = rule_for(rules, found.owner)
                    if rule is None or rule.seconds is None:
                        continue
                    before = _ago(now, rule.seconds)
                    if found.last_activity >= before:
                        continue
                    if dry_run or await _delete(data, aging, found, before):
                        threads[found.owner] = threads.get(found.owner, 0) + 1
                after = page[-1].place
                if aging is not None and not await aging.take_lease(_LEASE, holder, _LEASE_SECONDS):
                    # It took so long that another worker goes on.
                    break
        usage = 0
        inner: Any = getattr(data.store, "store", data.store)
        if usage_seconds is not None and not dry_run and isinstance(inner, UsageKeeper):
            keeper = cast("UsageKeeper[Any]", inner)
            usage = await keeper.delete_usage(_ago(now, usage_seconds))
        return RetentionReport(threads, usage, dry_run=dry_run)
    finally:
        if aging is not None:
            await aging.release_lease(_LEASE, holder)


async def _page(
    data: PersonalData, aging: AgingPlace | None, before: datetime, after: Any
) -> list[IdleThread]:
    if aging is not None:
        return await aging.idle_threads(before, after, _PAGE)
    found: list[OwnedThread] = await data.store.survey_threads("", _PAGE, after, "asc")
    page: list[IdleThread] = []
    for entry in found:
        context = data.context(entry.owner)
        newest = (await data.store.load_thread_items(entry.thread.id, None, 1, "desc", context)).data
        moments = [entry.thread.created_at, entry.thread.updated_at, *(item.created_at for item in newest)]
        latest = max(moment for moment in moments if moment is not None)
        page.append(IdleThread(entry.owner, entry.thread.id, latest, entry))
    return page


async def _delete(data: PersonalData, aging: AgingPlace | None, found: IdleThread, before: datetime) -> bool:
    """Deletes a thread, its files, and what the log keeps of it; returns whether it was still old, and nothing ran."""
    key, context = ThreadKey(found.owner, found.thread_id), data.context(found.owner)
    if data.log is not None and await data.log.active(key):
        return False
    if aging is None or deletes_in_its_own_way(data.store):
        attachment_ids = await data.store.attachment_ids(found.thread_id, context)
        # The files first: where one cannot be deleted, the thread stays and can be deleted again.
        for attachment_id in attachment_ids:
            await data.delete_file(attachment_id, context)
        with suppress(NotFoundError):
            await data.store.delete_thread(found.thread_id, context)
    else:
        deleted = await aging.delete_idle_thread(found, before)
        if deleted is None:
            return False
        # Where this stops, they are swept as files that no message came for.
        for attachment_id in deleted:
            await data.delete_file(attachment_id, context)
            await data.store.delete_attachment(attachment_id, context)
    if data.log is not None:
        await data.log.forget_thread(key)
    return True
