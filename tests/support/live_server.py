"""Real uvicorn servers for tests: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.support.scale import FAST, scaled
from tests.support.warm import WarmProcess

_URL = re.compile(r"http://\S+")


class LiveServer(uvicorn.Server):
    """A uvicorn server in a thread.

    Attributes:
        url: Where it listens, ``http://127.0.0.1:port``.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run_in_thread, name="live-server", daemon=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    def _run_in_thread(self) -> None:
        try:
            self.run([self._listener])
        except BaseException as error:  # noqa: BLE001 -- uvicorn ends a failed start with SystemExit
            self._failure = error
        finally:
            self._ready.set()
            self._listener.close()

    def start(self, timeout: float = scaled(20.0)) -> None:
        """Starts the thread and waits until requests are answered.

        Raises:
            RuntimeError: The application refused to start.
        """
        self._thread.start()
        if not self._ready.wait(timeout):
            raise RuntimeError("The server did not start in time.")
        if self._failure is not None or not self.started:
            raise RuntimeError("The application refused to start.") from self._failure

    def stop(self, timeout: float = scaled(20.0)) -> None:
        """Ends the server and waits for its thread."""
        self.should_exit = True
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise RuntimeError("The server did not stop in time.")


@contextmanager
def live_server(app: Any, **config: Any) -> Iterator[LiveServer]:
    """Serves an ASGI application on a free loopback port while the block runs.

    Args:
        app: The application.
        config: Options of ``uvicorn.Config``. By default logging is left alone, and streams that are open at
            the end are cut off after two seconds.
    """
    if FAST:
        # A test with a server takes as long as all the others of its module.
        pytest.skip("starts a server, which a fast run does not")
    listener = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {"log_config": None, "timeout_graceful_shutdown": 2, **config}
    server = LiveServer(uvicorn.Config(app, **options), listener)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class ServerProcess:
    """A process of an HTTP server.

    Attributes:
        url: Where it listens.
        process: The process.
    """

    def __init__(self, process: subprocess.Popen[str] | WarmProcess) -> None:
        self.process = process
        self.url = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._seen: list[str] = []
        self._reader = threading.Thread(target=self._read, name="live-process-log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    @property
    def log(self) -> str:
        """What the process wrote to its standard error so far; all of it once the process ended."""
        self._reader.join(0 if self.process.poll() is None else 5)
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                self._seen.append(line)
        return "".join(self._seen)

    def wait_for(self, text: str, timeout: float = scaled(30.0)) -> str:
        """Waits until the process writes a line that has ``text`` in it, and returns the line.

        Raises:
            RuntimeError: It ended first.
        """
        while True:
            line = self._lines.get(timeout=timeout)
            if line is None:
                raise RuntimeError(f"The server ended: {''.join(self._seen)}")
            self._seen.append(line)
            if text in line:
                return line

    def wait_until_running(self, timeout: float = scaled(30.0), *, says: str = "Uvicorn running on") -> None:
        """Waits until the process says that it listens, and where.

        Raises:
            RuntimeError: It ended first.
        """
        found = _URL.search(self.wait_for(says, timeout))
        assert found is not None
        self.url = found[0]

    def terminate(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal."""
        self.process.send_signal(sig)

    def kill(self) -> None:
        """Ends the process, and those that it started, at once; releases what belongs to it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(scaled(10))
        self._reader.join(scaled(5))
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def server_process(
    target: str, *options: str, folder: Path, environment: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[ServerProcess]:
    """Runs ``python -m uvicorn target`` on a free loopback port; see ``running_process``.

    Args:
        target: ``module:app``.
        options: More options of uvicorn's command line.
        folder: Working folder, where the module is looked for.
        environment: Added to the present environment.
        wait: Whether to wait until the server answers.
    """
    command = ["uvicorn", target, "--port", "0", "--no-access-log", *options]
    says = "Uvicorn running on" if wait else None
    with running_process(*command, folder=folder, environment=environment, says=says, cold=False) as running:
        yield running


@contextmanager
def running_process(
    *command: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    says: str | None,
    cold: bool = True,
    python: str | Path = sys.executable,
) -> Iterator[ServerProcess]:
    """Runs ``python -m`` and a command while the block runs, then kills the rest.

    Args:
        command: A server and its arguments.
        folder: Working folder, where modules are looked for.
        environment: Added to the present environment.
        says: What is in the line that says where it listens, which is waited for; None waits for nothing.
        cold: Whether it is a real ``python -m``.
        python: Runs it, where it is.
    """
    variables = {**os.environ, **(environment or {})}
    process: subprocess.Popen[str] | WarmProcess
    if cold:
        process = subprocess.Popen(
            [python, "-m", *command],
            cwd=folder,
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    else:
        process = WarmProcess(*command, folder=folder, environment=variables)
    running = ServerProcess(process)
    try:
        if says is not None:
            running.wait_until_running(says=says)
        yield running
    finally:
        running.kill()
