"""Logs failures: one line for all that fails during an outage, and a traceback for what is unexpected."""

from __future__ import annotations

import logging
import os
import sysconfig
import time
import traceback
import weakref
from errno import EDQUOT, ENOSPC
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, TypeGuard, TypeVar, cast

from chatkit.errors import AuthenticationUnavailableError, ConfigurationError, StoreUnavailableError

__all__ = ["SELF_EXPLANATORY", "Outage", "Source", "is_disk_full", "log_failure", "place_of"]

_AWAY: Final = (StoreUnavailableError, AuthenticationUnavailableError)
SELF_EXPLANATORY: Final = (ConfigurationError, *_AWAY)
"""Errors whose message says what an operator has to do; where they were raised does not help."""

_REMINDER_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 5.0
"""Seconds without a failure after which something that succeeds is the end of an outage."""
_OURS: Final = str(Path(__file__).resolve().parent) + os.sep
_PYTHONS: Final = sysconfig.get_path("stdlib") + os.sep

logger = logging.getLogger("chatkit")

E = TypeVar("E", bound=Exception)


class Outage:
    """Something that fails for a while: told when it begins, once a minute, and when it is over.

    Args:
        what: What fails, without a full stop.
        over: Logged when it works again.
        log: Where that is logged.
    """

    def __init__(self, what: str, over: str, log: logging.Logger = logger) -> None:
        self._what = what
        self._over = over
        self._log = log
        self._lock = Lock()
        self._kind: type[Exception] | None = None
        self._told_at = 0.0
        self.untold = 0

    @property
    def is_told(self) -> bool:
        """Whether its beginning was logged, and its end was not."""
        return self._kind is not None

    def failed(self, error: Exception, what: str | None = None, log: logging.Logger | None = None) -> None:
        """Logs a failure, unless one of the same kind was logged within the last minute.

        Args:
            error: What was raised. Where it belongs to the outage of a source, it is told as that one's.
            what: What failed, if not what the outage is of.
            log: Where it is logged, if not where the end is.
        """
        what, log = what or self._what, log or self._log
        known = _outage_of(error)
        if known is not None and known is not self:
            known.failed(error, what, log)
            return
        now = time.monotonic()
        with self._lock:
            is_new = type(error) is not self._kind or now - self._told_at >= _REMINDER_SECONDS
            if is_new:
                self._kind, self._told_at = type(error), now
            else:
                self.untold += 1
        if is_new:
            _log_error(log, what, error)
        else:
            log.debug("%s: %s", what, error, exc_info=error)

    def recovered(self) -> None:
        """Logs that it works again, if a failure was logged before."""
        with self._lock:
            was_told, self._kind = self.is_told, None
        if was_told:
            # As loud as its beginning: who saw that one waits for this.
            self._log.warning("%s", self._over)

    def end(self, over: str) -> None:
        """Ends it for good: what failed before and is told only now belongs to it."""
        with self._lock:
            was_told, self._told_at = self.is_told, float("inf")
        if was_told:
            self._log.warning("%s", over)


class Source:
    """A database, server or bucket. Whatever fails while it is away is one outage, and what succeeds ends it.

    Use ``Source.of``: there is one for each name in a process.
    """

    _known: Final[weakref.WeakValueDictionary[str, Source]] = weakref.WeakValueDictionary()

    def __init__(self, name: str, log: logging.Logger) -> None:
        self._name = name
        self._log = log
        self._lock = Lock()
        self._outage: Outage | None = None
        self._began_at = 0.0
        self._failed_at = 0.0
        self._is_partial = False

    @classmethod
    def of(cls, name: str, log: logging.Logger) -> Source:
        """Returns the source of a name, for messages the beginning of a sentence."""
        return cls._known.setdefault(name, cls(name, log))

    def caused(self, error: E, *, partly: bool = False) -> E:
        """Returns an error of the source, as one of its outage if it is away; nothing is logged yet.

        Args:
            error: The error.
            partly: Whether other things work meanwhile, such as reading where the disk is full.
        """
        if isinstance(error, _AWAY):
            with self._lock:
                self._failed_at = time.monotonic()
                self._is_partial = self._is_partial or partly
                if self._outage is None:
                    self._began_at = self._failed_at
                    self._outage = Outage(self._name, "", self._log)
                error.outage = self._outage
        return error

    def works(self, *, wholly: bool = True) -> None:
        """Says that something succeeded: the end of an outage, unless something has just failed.

        Args:
            wholly: Whether it tells of all that may fail partly.
        """
        outage = self._outage
        if outage is None:
            return
        with self._lock:
            silence = time.monotonic() - self._failed_at
            is_over = silence >= (_REMINDER_SECONDS if self._is_partial else _PAUSE_SECONDS)
            if self._outage is not outage or not is_over or (self._is_partial and not wholly):
                return
            self._outage, self._is_partial = None, False
            seconds = self._failed_at - self._began_at
        lasted = f", after {seconds:.0f} s" if seconds >= 1 else ""
        untold = f"; {outage.untold} more failures were not logged" if outage.untold else ""
        outage.end(f"{self._name} works again{lasted}{untold}.")


_elsewhere: Final[dict[type[Exception], Outage]] = {}
"""The outages of what says nothing of its end, such as the store of an application, by the kind of the error."""


def log_failure(log: logging.Logger, what: str, error: BaseException, *, brief: bool = False) -> None:
    """Logs that something failed.

    An error of something that is away is told once an outage, another one whose message says what to do in one line.
    Anything else has its traceback, which begins with the frames of the application, if it has any.

    Args:
        log: Where.
        what: What failed, without a full stop.
        error: Why.
        brief: Whether one line will do in any case, since the traceback is another message's.
    """
    cause = _only_cause(error)
    if isinstance(cause, _AWAY) or is_disk_full(cause):
        outage = _outage_of(cause) or _elsewhere.setdefault(type(cause), Outage(what, "", log))
        outage.failed(cause, what, log)
    else:
        _log_error(log, what, cause if isinstance(cause, SELF_EXPLANATORY) else error, brief=brief)


def is_disk_full(error: BaseException) -> TypeGuard[OSError]:
    """Returns whether an error says that a disk is full, or a quota of it used up."""
    return isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT}


def _log_error(log: logging.Logger, what: str, error: BaseException, *, brief: bool = False) -> None:
    if brief or isinstance(error, SELF_EXPLANATORY) or is_disk_full(error):
        log.warning("%s: %s", what, error)
        log.debug("Where that was found out:", exc_info=error)
    else:
        log.error("%s.", what, exc_info=(type(error), error, _from_application(error.__traceback__)))


def _outage_of(error: BaseException) -> Outage | None:
    return error.outage if isinstance(error, _AWAY) else None


def _only_cause(error: BaseException) -> BaseException:
    """Returns what a task group raised, if it is one error."""
    if isinstance(error, BaseExceptionGroup):
        causes = cast("tuple[BaseException, ...]", error.exceptions)
        return _only_cause(causes[0]) if len(causes) == 1 else cast("BaseException", error)
    return error


def _from_application(raised: TracebackType | None) -> TracebackType | None:
    """Returns a traceback without our own frames at its beginning; all of it, if it has no others."""
    found = raised
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OURS):
        found = found.tb_next
    return found or raised


def place_of(error: BaseException) -> traceback.FrameSummary | None:
    """Returns where an error comes from: the newest line of the application, or the newest of all if it has none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if not frame.filename.startswith((_OURS, _PYTHONS, "<"))
        and not {"site-packages", "dist-packages"} & {*Path(frame.filename).parts}
    ]
    return next(reversed(own or list(frames)), None)
