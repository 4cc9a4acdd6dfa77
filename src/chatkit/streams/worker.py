"""The identity of a process that runs turns, so that other processes can see whether it is dead."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["Worker", "is_on_network"]

_PROC: Final = Path("/proc")
_ENDED: Final = frozenset({"Z", "X"})
"""States of a process that has ended, but whose parent has not asked for its exit status yet."""
_SUSPENDED: Final = frozenset({"T", "t"})
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "vboxsf",
    }
)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process.

    Attributes:
        place: Host, boot and process namespace: processes of one place see each other's pids.
        pid: Its number there.
        started: When the process started, in the system's own unit; empty where the system does not say. A later
            process with the same pid has another.
    """

    place: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Worker:
        """Returns the process that calls."""
        return _worker(os.getpid())

    def is_dead(self) -> bool:
        """Returns whether the process is gone; False too where this process cannot know."""
        here = Worker.current().place
        if self.place != here:
            return _is_of_earlier_boot(self.place, here)
        if _is_gone(self.pid):
            return True
        status = _status(self.pid)
        if status is None:
            return False
        state, started = status
        return state in _ENDED or (bool(self.started) and started != self.started)

    def is_suspended(self) -> bool:
        """Returns whether the process was stopped by a signal; False too where this process cannot know."""
        status = _status(self.pid) if self.place == Worker.current().place else None
        return status is not None and status[0] in _SUSPENDED


def is_on_network(path: str) -> bool:
    """Returns whether a file is on a network file system; False too where the system does not say."""
    place = Path(path).resolve()
    kinds: dict[Path, str] = {}
    with suppress(OSError):
        for line in (_PROC / "self/mountinfo").read_text("utf-8", "replace").splitlines():
            mount, _, source = line.partition(" - ")
            kinds[Path(mount.split(" ")[4].replace(r"\040", " "))] = source.split(" ")[0]
    return next((kinds[folder] for folder in place.parents if folder in kinds), "") in _NETWORK_FILE_SYSTEMS


@lru_cache(maxsize=1)
def _worker(pid: int) -> Worker:
    status = _status(pid)
    return Worker(_place(), pid, "" if status is None else status[1])


def _place() -> str:
    parts = [socket.gethostname()]
    # Elsewhere than on Linux the host name has to do.
    with suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip())
        # Containers of one machine may share a host name, but never see each other's processes.
        parts.append(str((_PROC / "self/ns/pid").readlink()))
    return " ".join(parts)


def _is_of_earlier_boot(place: str, here: str) -> bool:
    host, boot, _ = f"{place}  ".split(" ", 2)
    here_host, here_boot, _ = f"{here}  ".split(" ", 2)
    return host == here_host and bool(boot and here_boot) and boot != here_boot


def _status(pid: int) -> tuple[str, str] | None:
    """Returns a process's state and when it started; None if it is gone or the system does not say."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return None
    # The name in parentheses may hold anything; after it come the state and, as the 20th field, the start.
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]


def _is_gone(pid: int) -> bool:
    if os.name != "posix":
        # There is no harmless question elsewhere: os.kill would end the process.
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
