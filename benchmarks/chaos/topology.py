"""Three workers behind nginx, on an SQLite file, or with PostgreSQL and, if asked for, Redis: all on loopback ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

from tests.support.network import Link, Network, network
from tests.support.nginx import nginx
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.redis import RedisServer, redis_server

__all__ = ["LOGS", "Disk", "Topology", "Worker", "topology"]

LOGS: Final = ("sqlite", "redis", "postgres")
"""Where the stream log can be."""

ROOT = Path(__file__).resolve().parents[2]
_UP = 90.0
_SQLITE_DISK = 64
_POSTGRES_DISK = 512
"""Mebibytes of the disks that get full: a database, and the programs of a server that has to be copied there."""


class Worker:
    """A worker process on a port of its own, which it keeps over restarts.

    Attributes:
        log_link: Its way to the stream log's server; None where nothing is between.
        store_link: Its way to PostgreSQL, the same where the log is there; None where nothing is between.
    """

    def __init__(
        self, environment: dict[str, str], folder: Path, log_link: Link | None, store_link: Link | None
    ) -> None:
        self.log_link = log_link
        self.store_link = store_link
        self.port = _free_port()
        self.log = folder / f"worker-{self.port}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            *("-m", "uvicorn", "--factory", "benchmarks.chaos.application:app"),
            *("--port", str(self.port), "--no-access-log", "--timeout-graceful-shutdown", "40"),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **self._environment}, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        """Waits until the worker answers.

        Raises:
            RuntimeError: It does not, or has ended.
        """
        deadline = time.monotonic() + _UP
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as response:
                    if response.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"The worker on port {self.port} is not up: {self.log.read_text()[-2000:]}")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_gone(self, timeout: float = 120.0) -> None:
        assert self._process is not None
        self._process.wait(timeout)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)


class Disk:
    """A small file system in memory, which can be filled up. Only root can make one.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, mebibytes: int) -> None:
        self.folder = Path(mkdtemp(prefix="chatkit-chaos-disk-"))
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=755", "tmpfs", self.folder], check=True
        )
        self._ballast = self.folder / "ballast"

    def fill(self) -> None:
        """Leaves no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def free(self) -> None:
        """Gives the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the file system with all that is on it."""
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.folder.rmdir()


class Topology:
    """The running servers.

    Attributes:
        port: Where nginx listens.
        workers: The workers behind it.
        file: The database, where it is SQLite.
        postgres: The database, where it is PostgreSQL.
        redis: The log's server; None where the log is in the database.
        disk: Where the database is; None where it is on a disk that nobody fills.
    """

    def __init__(
        self,
        port: int,
        workers: list[Worker],
        file: Path | None,
        postgres: PostgresServer | None,
        redis: RedisServer | None,
        disk: Disk | None,
    ) -> None:
        self.port = port
        self.workers = workers
        self.file = file
        self.postgres = postgres
        self.redis = redis
        self.disk = disk

    def logs(self) -> str:
        """Returns what the workers wrote."""
        return "\n".join(worker.log.read_text() for worker in self.workers)


@contextmanager
def topology(
    *,
    log: str,
    lease: float,
    drain: float = 0.0,
    rerun: int = 0,
    count: int = 3,
    links: bool = False,
    policy: str = "allow",
    plant: str = "",
    small_disk: bool = False,
    reconnect: float = 5.0,
) -> Generator[Topology]:
    """Runs the servers while the block runs.

    Args:
        log: Where the stream log is: ``redis``, ``postgres``, or ``sqlite`` with the threads in the same file.
        lease: Seconds for which a turn is its worker's without renewal.
        drain: Seconds that a worker has for its turns when it is asked to end.
        rerun: How often a turn of a dead worker is begun again.
        count: Number of workers.
        links: Puts a link that can be cut between each worker and each server.
        policy: What a message does in a thread in which a turn runs.
        plant: The fault of the workers' code, as :mod:`benchmarks.chaos.plants` names it.
        small_disk: Puts the database on a disk that can be filled up.
        reconnect: Seconds for which stores wait for a PostgreSQL that was there and is gone.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chatkit-chaos-")))
        disk: Disk | None = None
        if small_disk:
            disk = Disk(_SQLITE_DISK if log == "sqlite" else _POSTGRES_DISK)
            stack.callback(disk.close)
        file = (folder if disk is None else disk.folder) / "chat.db" if log == "sqlite" else None
        postgres = _postgres(stack, disk) if file is None else None
        redis = (
            stack.enter_context(redis_server("--appendonly", "yes", "--appendfsync", "everysec"))
            if log == "redis"
            else None
        )
        environment = {
            "CHAOS_LEASE": str(lease),
            "CHAOS_DRAIN": str(drain),
            "CHAOS_RERUN": str(rerun),
            "CHAOS_CONCURRENCY": policy,
            "CHAOS_PLANT": plant,
            "CHAOS_RECONNECT": str(reconnect),
        }
        ways = stack.enter_context(network()) if links else None
        workers = [
            Worker(environment | {"CHAOS_SQLITE": str(file)}, folder, None, None)
            if postgres is None
            else _worker(environment, folder, postgres, redis, ways)
            for _ in range(count)
        ]
        for worker in workers:
            stack.callback(worker.stop)
            worker.start()
        for worker in workers:
            worker.wait_ready()
        port = stack.enter_context(nginx(folder, [worker.port for worker in workers]))
        yield Topology(port, workers, file, postgres, redis, disk)


def _postgres(stack: ExitStack, disk: Disk | None) -> PostgresServer:
    if disk is None:
        return stack.enter_context(postgres_server())
    # Its folder, which it gives to the account that it runs under.
    folder = disk.folder / "postgres"
    folder.mkdir()
    server = PostgresServer(folder)
    stack.callback(server.stop)
    server.start()
    return server


def _worker(
    environment: dict[str, str],
    folder: Path,
    postgres: PostgresServer,
    redis: RedisServer | None,
    ways: Network | None,
) -> Worker:
    store_link = None if ways is None else ways.link(postgres.url)
    store_url = postgres.url if store_link is None else store_link.url(postgres.url)
    own = environment | {"CHAOS_POSTGRES": store_url}
    if redis is None:
        return Worker(own, folder, store_link, store_link)
    log_link = None if ways is None else ways.link(redis.url)
    own["CHAOS_REDIS"] = redis.url if log_link is None else log_link.url(redis.url)
    return Worker(own, folder, log_link, store_link)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
