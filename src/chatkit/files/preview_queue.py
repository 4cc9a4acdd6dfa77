"""A queue of previews to be made, each in a process with a time limit.

Owners take turns, so that one owner's many or slow pictures do not hold up those of the others.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["PreviewQueue"]

logger = logging.getLogger("chatkit.files")

_PROGRAM: Final = Path(__file__).with_name("rendering.py")
# The program decodes what strangers send: it gets none of the secrets in this process's environment.
_PASSED_ON: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "SYSTEMROOT",
    "TEMP",
    "TMPDIR",
)


@dataclass(frozen=True, slots=True)
class _Job:
    load: Callable[[], bytes]
    kind: str
    size: int
    keep: Callable[[bytes], None]
    done: Future[None] = field(default_factory=Future[None])


class PreviewQueue:
    """Makes previews in the background.

    Args:
        processes: How many run at once.
        seconds: Time for one picture; then its process is ended, and it has no preview.
        waiting_per_owner: Pictures of one owner that wait; further ones have no preview.
    """

    def __init__(self, *, processes: int = 2, seconds: float = 10.0, waiting_per_owner: int = 100) -> None:
        self._processes = processes
        self._seconds = seconds
        self._waiting_per_owner = waiting_per_owner
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._threads = 0

    def add(
        self,
        owner: str,
        load: Callable[[], bytes],
        kind: str,
        size: int,
        keep: Callable[[bytes], None],
    ) -> Future[None]:
        """Has a preview made of a picture.

        Args:
            owner: The owner, who takes turns with the others.
            load: Returns the picture; called in a thread, when its turn has come.
            kind: Pillow's name of its format.
            size: Pixels of the preview's longer side.
            keep: Called in that thread with the preview, if there is one.

        Returns:
            Completed without an error when the picture was dealt with, whatever came of it.
        """
        job = _Job(load, kind, size, keep)
        with self._lock:
            jobs = self._waiting.setdefault(owner, deque())
            if len(jobs) >= self._waiting_per_owner:
                logger.warning("An owner has %d pictures waiting for a preview; one more has none", len(jobs))
                job.done.set_result(None)
                return job.done
            jobs.append(job)
            starts = self._threads < self._processes
            self._threads += starts
        if starts:
            threading.Thread(target=self._work, name="chatkit-previews", daemon=True).start()
        return job.done

    def _next(self) -> _Job | None:
        with self._lock:
            if not self._waiting:
                self._threads -= 1
                return None
            owner, jobs = self._waiting.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                # The other owners first.
                self._waiting[owner] = jobs
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                small = self._render(job)
                if small:
                    job.keep(small)
            except Exception as error:  # noqa: BLE001 -- the picture itself is shown
                logger.warning("The preview of a picture could not be made or stored: %s", error)
            finally:
                job.done.set_result(None)

    def _render(self, job: _Job) -> bytes | None:
        command = [sys.executable, "-P", str(_PROGRAM), job.kind, str(job.size), str(int(self._seconds) + 1)]
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        try:
            answer = subprocess.run(  # noqa: S603 -- this interpreter, a file of ours, and numbers
                command,
                input=job.load(),
                capture_output=True,
                timeout=self._seconds,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            logger.warning(
                "A picture took longer than %g s to be made smaller and has no preview", self._seconds
            )
            return None
        except FileNotFoundError:
            # Deleted while it waited.
            return None
        if answer.returncode:
            reason = answer.stderr.decode(errors="replace")[-300:]
            logger.info("A picture cannot be decoded, so it has no preview: %s", reason or answer.returncode)
            return None
        return answer.stdout
