"""What every stream log must do, as a test class to subclass.

Example::

    class TestMyLog(StreamLogContract):
        shared = True

        def make_log(self) -> StreamLog:
            return MyLog(self.server, window=self.window, lease=self.lease)

The suite needs pytest and no plugin: each test runs its scenario in an event loop of its own, and closes its logs.
"""

from __future__ import annotations

from chatkit.testing._log_backend import LogBackendTests
from chatkit.testing._log_claims import LogClaimTests
from chatkit.testing._log_forgotten import LogForgottenTests
from chatkit.testing._log_turns import LogTurnTests
from chatkit.testing._log_workers import LogWorkerTests

__all__ = ["SharedStreamLogContract", "StreamLogContract"]


class StreamLogContract(LogTurnTests, LogForgottenTests, LogWorkerTests, LogClaimTests, LogBackendTests):
    """Test cases for a :class:`chatkit.streams.StreamLog`.

    Subclass it in a test module, name the subclass ``Test...`` and write ``make_log``. Say ``shared = True`` for a log
    that workers share, and ``forgets_threads = False`` for one that keeps what it has of deleted threads.
    """


class SharedStreamLogContract(
    LogTurnTests, LogForgottenTests, LogWorkerTests, LogClaimTests, LogBackendTests
):
    """The same for a log that workers share, under its earlier name; it goes with the other one in either order."""

    shared = True
