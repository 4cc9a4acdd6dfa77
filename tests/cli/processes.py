"""The command as a process, with waits that end."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.scale import scaled
from tests.support.warm import WarmProcess

COMMAND = [sys.executable, "-m", "chatkit"]


def environment(**more: str) -> dict[str, str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHATKIT_", "OPENAI_"))
    }
    return {**plain, "NO_COLOR": "1", "TERM": "dumb", "PYTHONUNBUFFERED": "1", **more}


class Serving:
    """A running ``chatkit serve``.

    Attributes:
        url: The endpoint that it announced.
        announcement: All that it said up to there.
        process: The process.
    """

    def __init__(self, process: subprocess.Popen[str] | WarmProcess) -> None:
        self.process = process
        self.announcement = ""
        self.url = ""

    def wait(self, timeout: float = scaled(60)) -> None:
        assert self.process.stdout is not None
        out = self.process.stdout.fileno()
        end = time.monotonic() + timeout
        while not (found := re.search(r"Listening on (\S+) .*\n", self.announcement)):
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"The process said nothing in time, but: {self.announcement}"
            data = os.read(out, 65536).decode()
            if not data:
                _, errors = self.process.communicate(timeout=scaled(10))
                raise AssertionError(f"The server ended: {self.announcement}{errors}")
            self.announcement += data
        self.url = found[1]


def started(
    *arguments: str, folder: Path | str, env: dict[str, str], cold: bool = False, program: Path | None = None
) -> subprocess.Popen[str] | WarmProcess:
    """Starts ``chatkit`` with its streams piped, by a real ``python -m`` if ``cold``, or an installed program."""
    if not cold and program is None:
        return WarmProcess("chatkit", *arguments, folder=folder, environment=env)
    return subprocess.Popen(
        [*(COMMAND if program is None else [program]), *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )


def run(
    *arguments: str, folder: Path, cold: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs ``chatkit`` to its end, by a real ``python -m`` if ``cold``."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHATKIT_", "OPENAI_"))
    }
    with started(*arguments, folder=folder, env={**plain, **variables}, cold=cold) as process:
        return completed(process, timeout=scaled(60))


def completed(
    process: subprocess.Popen[str] | WarmProcess, lines: str = "", *, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Gives a process its input, and returns what it wrote when it has ended."""
    out, errors = process.communicate(lines, timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess([], process.returncode, out, errors)


@contextmanager
def serving(
    *arguments: str, folder: Path, cold: bool = False, program: Path | None = None, **variables: str
) -> Iterator[Serving]:
    """Runs ``chatkit serve`` while the block runs.

    Args:
        arguments: Of the command.
        folder: Where it runs.
        cold: Whether by a real ``python -m``; so it is too if it has workers.
        program: The installed command, if not that of the tests' environment.
        variables: Of its environment.
    """
    cold = cold or "--workers" in arguments
    with started(
        "serve", *arguments, folder=folder, env=environment(**variables), cold=cold, program=program
    ) as process:
        server = Serving(process)
        try:
            server.wait()
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=scaled(10))


class Terminal:
    """A process whose terminal is a pseudo-terminal: what it shows can be awaited, keys can be pressed."""

    def __init__(self, *arguments: str) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            os.execve(COMMAND[0], [*COMMAND, *arguments], environment())
        self.pid = pid
        self.shown = ""
        self._seen = 0

    def expect(self, text: str, timeout: float = scaled(60)) -> None:
        """Waits until the text is shown, after what was awaited before."""
        end = time.monotonic() + timeout
        while (found := self.shown.find(text, self._seen)) < 0:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} was not shown in time:\n{self.shown[self._seen :]}"
            data = self._read()
            assert data, f"The process ended before it showed {text!r}:\n{self.shown[self._seen :]}"
        self._seen = found + len(text)

    def type(self, text: str) -> None:
        # The process may have ended just now.
        with suppress(OSError):
            os.write(self._fd, text.encode())

    def wait(self, timeout: float = scaled(60), pressing: str = "") -> int:
        """Waits for the end and returns the exit code.

        Args:
            timeout: Seconds.
            pressing: Keys to press at each prompt, and again whenever nothing happens. Python loses a Ctrl-C that comes
                between the prompt's appearance and the wait for input after it; a user would press again too.
        """
        end = time.monotonic() + timeout
        self.type(pressing)
        while True:
            ready, _, _ = select.select([self._fd], [], [], 1.0 if pressing else timeout)
            assert time.monotonic() < end, f"The process did not end in time:\n{self.shown}"
            if ready and not self._read():
                break
            if not ready or self.shown.endswith("you> "):
                self.type(pressing)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bytes:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            # What Linux says when the last process has closed the terminal.
            return b""
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return data

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Runs ``chatkit ...`` on a terminal of its own while the block runs."""
    running = Terminal(*arguments)
    try:
        yield running
    finally:
        running.close()


def piped(
    url: str, lines: str, *arguments: str, timeout: float = scaled(120)
) -> subprocess.CompletedProcess[str]:
    """Runs ``chatkit chat`` with lines piped in."""
    with started("chat", url, *arguments, folder=Path.cwd(), env=environment()) as process:
        return completed(process, lines, timeout=timeout)
