"""What is logged of something that fails again and again: that it began, what to do, and that it is over."""

from __future__ import annotations

import logging
import time
from typing import Final

from chatkit.errors import ConfigurationError, StoreUnavailableError

__all__ = ["SELF_EXPLANATORY", "Outage", "complain"]

logger = logging.getLogger("chatkit.web")

SELF_EXPLANATORY: Final = (ConfigurationError, StoreUnavailableError)
"""Errors whose message says what an operator has to do; where they were raised helps nobody."""

_REMINDER_SECONDS: Final = 60.0


def complain(what: str, error: Exception) -> None:
    """Logs a failure: in one line if its message says what to do, else with its traceback.

    Args:
        what: What failed, without a full stop.
        error: The failure.
    """
    if isinstance(error, SELF_EXPLANATORY):
        logger.warning("%s: %s", what, error)
        logger.debug("Where that was found out:", exc_info=error)
    else:
        logger.error("%s.", what, exc_info=error)


class Outage:
    """Something that is tried again and again, and may fail for a while.

    Args:
        what: What failed, without a full stop.
        over: Logged when it works again.
    """

    def __init__(self, what: str, over: str) -> None:
        self._what = what
        self._over = over
        self._kind: type[Exception] | None = None
        self._told_at = 0.0

    def goes_on(self, error: Exception) -> None:
        """Logs a failure, unless the same kind of failure was logged within the last minute."""
        now = time.monotonic()
        if type(error) is not self._kind or now - self._told_at >= _REMINDER_SECONDS:
            complain(self._what, error)
            self._kind, self._told_at = type(error), now

    def is_over(self) -> None:
        """Logs that it works again, if a failure was logged before."""
        if self._kind is not None:
            # As loud as its beginning: who saw that one waits for this.
            logger.warning("%s", self._over)
            self._kind = None
