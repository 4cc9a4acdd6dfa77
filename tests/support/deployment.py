"""The shipped topology from packages and wheels: nginx, three workers, PostgreSQL, Valkey and SeaweedFS."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.nginx import nginx
from tests.support.postgres import postgres_server
from tests.support.redis import redis_server
from tests.support.s3 import S3Server, s3_server
from tests.support.scale import scaled

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_START_SECONDS = scaled(40.0)


def worker_command() -> list[str]:
    """Returns the command that the shipped image runs."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


class Worker:
    """A worker process as the image runs it, on a port that it keeps when it is started again."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._log = folder / f"worker-{self.port}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        command = [sys.executable, "-m", *worker_command()]
        command[command.index("--port") + 1] = str(self.port)
        command[command.index("--host") + 1] = "127.0.0.1"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=DEPLOY, env={**os.environ, **self._environment}, stdout=log, stderr=log
            )

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=scaled(5)) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready():
            assert self._process is not None
            assert self._process.poll() is None, f"The worker ended: {self.log[-3000:]}"
            assert time.monotonic() < deadline, f"The worker is not ready: {self.log[-3000:]}"
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_gone(self) -> None:
        assert self._process is not None
        self._process.wait(scaled(45))

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(scaled(10))


@dataclass
class Deployment:
    """What runs.

    Attributes:
        url: The chat, through nginx.
        workers: By their ports.
        bucket: For files.
        lease: Seconds.
    """

    url: str
    workers: dict[int, Worker]
    bucket: S3Server
    lease: float


@contextmanager
def deployment(folder: Path, *, lease: float, drain: float) -> Iterator[Deployment]:
    """Runs everything while the block runs, each part started as ``compose.yaml`` and the image do it."""
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        redis = stack.enter_context(redis_server("--appendonly", "yes", "--appendfsync", "everysec"))
        bucket = s3_server()
        environment = {
            "CHATKIT_TRIAL": "1",
            "CHATKIT_SECRET": "a secret of the tests " * 2,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "S3_BUCKET": bucket.bucket,
            "S3_ENDPOINT": bucket.endpoint,
            "AWS_ACCESS_KEY_ID": bucket.access_key_id,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_access_key,
            "DRAIN_SECONDS": str(drain),
            "LEASE_SECONDS": str(lease),
            "FORWARDED_ALLOW_IPS": "*",
        }
        workers = [Worker(folder, environment) for _ in range(3)]
        for worker in workers:
            stack.callback(worker.stop)
            worker.start()
        port = stack.enter_context(nginx(folder, [worker.port for worker in workers]))
        for worker in workers:
            worker.wait_ready()
        yield Deployment(
            f"http://127.0.0.1:{port}/chatkit", {worker.port: worker for worker in workers}, bucket, lease
        )
