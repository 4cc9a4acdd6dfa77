"""A real S3 server for tests: SeaweedFS from its wheel, which checks signatures, or the one that the environment names.

``CHATKIT_TEST_S3_ENDPOINT``, with ``CHATKIT_TEST_S3_BUCKET``, ``_REGION``, ``_ACCESS_KEY_ID`` and
``_SECRET_ACCESS_KEY``, names another server; the tests write and delete in the bucket.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.scale import scaled

REGION = "us-east-1"
_START_SECONDS = scaled(60.0)


@dataclass(frozen=True)
class S3Server:
    """Where a server is and who may use it.

    Attributes:
        endpoint: ``http://127.0.0.1:port``.
        bucket: A bucket that exists.
        region: Its region.
        access_key_id: The user.
        secret_access_key: The user's secret.
    """

    endpoint: str
    bucket: str
    region: str
    access_key_id: str
    secret_access_key: str


@cache
def s3_server() -> S3Server:
    """Returns the server of this test run, started on the first call and ended with the process."""
    endpoint = os.environ.get("CHATKIT_TEST_S3_ENDPOINT")
    if endpoint:
        return S3Server(
            endpoint=endpoint,
            bucket=os.environ.get("CHATKIT_TEST_S3_BUCKET", "chatkit-test"),
            region=os.environ.get("CHATKIT_TEST_S3_REGION", REGION),
            access_key_id=os.environ["CHATKIT_TEST_S3_ACCESS_KEY_ID"],
            secret_access_key=os.environ["CHATKIT_TEST_S3_SECRET_ACCESS_KEY"],
        )
    return _start()


def _start() -> S3Server:
    folder = Path(tempfile.mkdtemp(prefix="chatkit-s3-"))
    server = S3Server("", "chatkit-test", REGION, "chatkit", "a-secret-of-the-tests")
    failure = ""
    # A port that was free may be taken by the time the server binds it.
    for _ in range(3):
        process, port = _launch(folder, server)
        if _answers(process, folder / "log", port):
            return S3Server(
                f"http://127.0.0.1:{port}",
                server.bucket,
                server.region,
                server.access_key_id,
                server.secret_access_key,
            )
        failure = (folder / "log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"The S3 server did not start: {failure}")


def _launch(folder: Path, server: S3Server) -> tuple[subprocess.Popen[bytes], int]:
    with _free_ports(10) as ports:
        names = (
            "s3.port",
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "filer.port",
            "filer.port.grpc",
        )
        more = ("volume.port", "volume.port.grpc", "admin.port", "admin.port.grpc")
        options = [f"-{name}={port}" for name, port in zip((*names, *more), ports, strict=True)]
    program = Path(sysconfig.get_path("scripts")) / "weed"
    data = folder / "data"
    data.mkdir(exist_ok=True)
    user: int | None = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody").pw_uid
        # The log is opened by us; the data folder is all that the server writes to.
        folder.chmod(0o711)
        os.chown(data, user, -1)
    command = [
        str(program),
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *options,
    ]
    # The variables are those that deploy/compose.yaml sets.
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(data),
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        "S3_BUCKET": server.bucket,
    }
    with (folder / "log").open("wb") as log:

        def begin() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                cwd=data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                start_new_session=True,
            )

        try:
            process = begin()
        except PermissionError:
            # The environment is in a folder that the other user may not enter.
            command[0] = shutil.copy(command[0], folder)
            process = begin()
    atexit.register(_stop, process, folder)
    return process, ports[0]


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def _answers(process: subprocess.Popen[bytes], log: Path, port: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # It says so when the bucket is there too, which the open port does not.
        if b"All enabled components are running" in log.read_bytes():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=scaled(5))
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/")
                # Nobody may list buckets without a signature.
                return connection.getresponse().status == 403
        # There is nothing to wait on but the server's own start.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return False


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(scaled(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(scaled(10))
    shutil.rmtree(folder, ignore_errors=True)
