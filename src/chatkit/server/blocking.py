"""Logs a warning of code that blocks the event loop while turns run, for it holds up all streams of the process.

A thread asks the loops in which turns run for a sign of life, a few times a second; it ends soon after the last turn.
What does not answer is looked at: the innermost frame of the application is where it blocks.
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
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

__all__ = ["watch_loop"]

logger = logging.getLogger("chatkit.server.blocking")

_LIMIT = 1.0
"""Seconds for which a loop may stand still."""
_STEP = 0.25
"""Seconds between two signs of life that are asked for."""
_LINGER = 1.0
"""Seconds for which the thread waits for another turn after the last one."""
_PLACES: Final = 1_000
"""Places that are remembered, so that each is told once."""


_changed: Final = threading.Condition()
_turns: Final[Counter[asyncio.AbstractEventLoop]] = Counter()
"""How many turns run, by the event loop that they run in."""
_threads: Final[dict[asyncio.AbstractEventLoop, int]] = {}
"""The threads of these loops."""
_silent: Final[dict[asyncio.AbstractEventLoop, float]] = {}
"""For how many seconds the loops that were asked have not answered."""
_told_places: Final[set[tuple[str, int]]] = set()
_watcher: threading.Thread | None = None


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
        with _changed:
            _turns[loop] -= 1
            if _turns[loop] <= 0:
                _forget(loop)


def _begin(loop: asyncio.AbstractEventLoop) -> None:
    global _watcher  # noqa: PLW0603 -- one for the process
    with _changed:
        _turns[loop] += 1
        if _turns[loop] > 1:
            return
        _threads[loop] = threading.get_ident()
        # A forked child has the object, and no thread.
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_watch, name="chatkit blocking", daemon=True)
            _watcher.start()
        else:
            _changed.notify()


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    for known in (_turns, _threads, _silent):
        known.pop(loop, None)


def _watch() -> None:
    global _watcher  # noqa: PLW0603 -- one for the process
    wall, used = time.monotonic(), time.process_time()
    while True:
        with _changed:
            for loop in [loop for loop in _turns if loop.is_closed()]:
                _forget(loop)
            if not _turns:
                _changed.wait(_LINGER)
                if not _turns:
                    _watcher = None
                    return
                wall, used = time.monotonic(), time.process_time()
            else:
                _changed.wait(_STEP)
            threads = dict(_threads)
        before, used_before = wall, used
        wall, used = time.monotonic(), time.process_time()
        # A process that was stopped, or that waited for a processor, blocked nothing; one that computes without
        # letting other threads run did.
        passed = min(wall - before, max(_STEP, used - used_before))
        for loop, thread in threads.items():
            if _is_late(loop, passed):
                _tell(loop, thread)


def _is_late(loop: asyncio.AbstractEventLoop, passed: float) -> bool:
    """Asks a loop for a sign of life; returns whether it has just been without one for too long."""
    with _changed:
        if loop not in _turns:
            return False
        before = _silent.get(loop)
        if before is not None:
            _silent[loop] = before + passed
            return before < _LIMIT <= before + passed
        _silent[loop] = 0.0
    # A loop that was closed under its turns blocks nothing.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_answer, loop)
    return False


def _answer(loop: asyncio.AbstractEventLoop) -> None:
    with _changed:
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
        _LIMIT,
    )


def _place(loop: asyncio.AbstractEventLoop, thread: int) -> tuple[str, int, str] | None:
    """Returns file, line and function of the innermost frame of the application in the task that runs now."""
    frames: Callable[[], dict[int, FrameType]] = getattr(sys, "_current_frames")  # noqa: B009 -- documented all the same
    frame = frames().get(thread)
    task = asyncio.current_task(loop)
    coroutine: Any = None if task is None else task.get_coro()
    outermost: CodeType | None = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    if frame is None or outermost is None:
        return None
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        if frame.f_code is outermost:
            break
        frame = frame.f_back
    else:
        return None
    found = next((each for each in stack if _kind(each.f_code.co_filename) == "application"), None)
    if found is None:
        # A handler that came as a package: the place where we, or others, called into it.
        found = next((each for each in stack if _kind(each.f_code.co_filename) != "library"), None)
    if found is None:
        return None
    return found.f_code.co_filename, found.f_lineno, found.f_code.co_qualname


@cache
def _kind(filename: str) -> str:
    if filename.startswith(("<", _OURS)):
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
