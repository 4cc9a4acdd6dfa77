"""Logs a warning of code that blocks the event loop, for it holds up all streams of the process.

A thread asks the loops in which requests are answered, turns run or other work is done for a sign of life, a few times
a second; it ends soon after the last of them. What does not answer is looked at: the innermost frame of the
application is where it blocks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import site
import sys
import sysconfig
import threading
import time
from asyncio import base_events, events, runners
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from chatkit._outages import log_failure

__all__ = ["set_limit", "watch_loop"]

logger = logging.getLogger("chatkit.server.blocking")

_limit = 1.0
"""Seconds for which a loop may stand still."""
_STEP = 0.25
"""Seconds between two signs of life that are asked for."""
_LINGER = 1.0
"""Seconds for which the thread waits for other work after the last."""
_PLACES: Final = 1_000
"""Places that are remembered, so that each is told once."""


_lock: Final = threading.Lock()
_work: Final[Counter[asyncio.AbstractEventLoop]] = Counter()
"""How much is watched, by the event loop that it runs in."""
_threads: Final[dict[asyncio.AbstractEventLoop, int]] = {}
"""The threads of these loops."""
_silent: Final[dict[asyncio.AbstractEventLoop, float]] = {}
"""For how many seconds the loops that were asked have not answered."""
_told_places: Final[set[tuple[str, int]]] = set()
_watcher: threading.Thread | None = None


def set_limit(seconds: float) -> None:
    """Sets for how long a loop of this process may stand still before that is told; 1 second by default."""
    global _limit  # noqa: PLW0603 -- one for the process
    _limit = seconds


@contextmanager
def watch_loop() -> Generator[None, None, None]:
    """Warns of what blocks the running event loop while the block runs.

    Does nothing where the logger ``chatkit.server.blocking`` does not take warnings.
    """
    if not logger.isEnabledFor(logging.WARNING):
        yield
        return
    loop = asyncio.get_running_loop()
    _begin(loop)
    try:
        yield
    finally:
        with _lock:
            _work[loop] -= 1
            if _work[loop] <= 0:
                _forget(loop)


def _begin(loop: asyncio.AbstractEventLoop) -> None:
    global _watcher  # noqa: PLW0603 -- one for the process
    with _lock:
        _work[loop] += 1
        if _work[loop] > 1:
            return
        _threads[loop] = threading.get_ident()
        # A forked child has the object, and no thread.
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_watch, name="chatkit blocking", daemon=True)
            _watcher.start()


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    for known in (_work, _threads, _silent):
        known.pop(loop, None)


def _watch() -> None:
    global _watcher  # noqa: PLW0603 -- one for the process
    wall, used = time.monotonic(), time.process_time()
    idle_since: float | None = None
    while True:
        # Nobody wakes it: most of what begins is over sooner than it would look.
        time.sleep(_STEP)
        with _lock:
            for loop in [loop for loop in _work if loop.is_closed()]:
                _forget(loop)
            if _work:
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= _LINGER:
                _watcher = None
                return
            threads = dict(_threads)
        before, used_before = wall, used
        wall, used = time.monotonic(), time.process_time()
        # A process that was stopped, or that waited for a processor, blocked nothing; one that computes without
        # letting other threads run did.
        passed = min(wall - before, max(_STEP, used - used_before))
        for loop, thread in threads.items():
            if _is_late(loop, passed):
                try:
                    _tell(loop, thread)
                except Exception as error:  # noqa: BLE001 -- it is logged, and the thread goes on
                    log_failure(logger, "What blocks an event loop could not be told", error)


def _is_late(loop: asyncio.AbstractEventLoop, passed: float) -> bool:
    """Asks a loop for a sign of life; returns whether it has just been without one for too long."""
    with _lock:
        if loop not in _work:
            return False
        before = _silent.get(loop)
        if before is not None:
            _silent[loop] = before + passed
            return before < _limit <= before + passed
        _silent[loop] = 0.0
    # A loop that was closed under its work blocks nothing.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_answer, loop)
    return False


def _answer(loop: asyncio.AbstractEventLoop) -> None:
    with _lock:
        _silent.pop(loop, None)


def _tell(loop: asyncio.AbstractEventLoop, thread: int) -> None:
    place = _place(loop, thread)
    if place is None or place[:2] in _told_places:
        return
    if len(_told_places) < _PLACES:
        _told_places.add(place[:2])
    logger.warning(
        "%s:%d (in %s) has blocked the event loop for more than %g s: no stream of this process goes on meanwhile. "
        "Use an asynchronous library there, or await asyncio.to_thread(...).",
        *place,
        _limit,
    )


def _place(loop: asyncio.AbstractEventLoop, thread: int) -> tuple[str, int, str] | None:
    """Returns file, line and function of the innermost frame of the application in what the loop runs now."""
    stack = _stack(loop, thread)
    for kind in ("application", "package"):
        # A handler may have come as a package: then the place where we, or others, called into it.
        for code, line in stack:
            if _kind(code.co_filename) == kind:
                return code.co_filename, line, code.co_qualname
    return None


def _stack(loop: asyncio.AbstractEventLoop, thread: int) -> list[tuple[CodeType, int]]:
    """Returns code and line of what a loop runs now, the innermost first: a task or a callback, and not its callers."""
    frames: Callable[[], dict[int, FrameType]] = getattr(sys, "_current_frames")  # noqa: B009 -- documented all the same
    frame = frames().get(thread)
    task = asyncio.current_task(loop)
    coroutine: Any = None if task is None else task.get_coro()
    outermost: CodeType | None = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and not _runs_loops(frame.f_code.co_filename):
        # Between the instructions of two lines it is in none.
        line: int | None = frame.f_lineno
        stack.append((frame.f_code, frame.f_code.co_firstlineno if line is None else line))
        if frame.f_code is outermost:
            break
        frame = frame.f_back
    return stack


@cache
def _runs_loops(filename: str) -> bool:
    """Returns whether a file of asyncio, or of an HTTP server, runs event loops: what calls it blocks nothing."""
    path = Path(filename)
    return filename in _OF_LOOPS or (
        path.parent.name in _SERVERS and path.name in {"_compat.py", "__init__.py"}
    )


_OF_LOOPS: Final = {events.__file__, base_events.__file__, runners.__file__}
_SERVERS: Final = {"uvicorn", "uvloop"}


@cache
def _kind(filename: str) -> str:
    if filename.startswith(("<frozen ", _OURS)):
        return "library"
    if filename.startswith(_packages()):
        return "package"
    return "library" if filename.startswith(_standard_library()) else "application"


_OURS: Final = str(Path(__file__).resolve().parents[1]) + os.sep


@cache
def _packages() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()}
    return tuple(folder + os.sep for folder in found)


@cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return paths["stdlib"] + os.sep, paths["platstdlib"] + os.sep
