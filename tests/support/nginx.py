"""nginx with the configuration that is shipped, in front of processes on loopback ports."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.scale import scaled

SITE = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
_START_SECONDS = scaled(20.0)


def nginx_program() -> str:
    """Returns the path of nginx; skips the test where there is none.

    ``CHATKIT_TEST_NGINX`` names another one than that of the system.
    """
    given = os.environ.get("CHATKIT_TEST_NGINX")
    # The folder of the system's servers is not on everybody's PATH.
    path = given or shutil.which(
        "nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )
    if path is None:
        pytest.skip(
            "there is no nginx; install it (apt-get install nginx-light), or name it in CHATKIT_TEST_NGINX"
        )
    return path


def write_configuration(folder: Path, port: int, workers: Sequence[int], below: str = "") -> Path:
    """Writes a whole configuration around the shipped part of it, with other addresses.

    Answers tell in ``X-Worker`` which workers nginx asked. Only what is ``below`` a path is served, which is taken off.
    """
    site = SITE.read_text()
    names = re.findall(r"server (worker\d+:8000)", site)
    assert len(names) == len(workers), "one address for each worker of the shipped configuration"
    for name, number in zip(names, workers, strict=True):
        site = site.replace(name, f"127.0.0.1:{number}")
    assert site.count("listen 8080;") == 1
    site = site.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    if below:
        assert (site.count("location / {"), site.count("proxy_pass http://chatkit;")) == (1, 1)
        site = site.replace("location / {", f"location {below}/ {{")
        site = site.replace("proxy_pass http://chatkit;", "proxy_pass http://chatkit/;")
    site = site.replace("proxy_pass", "add_header X-Worker $upstream_addr always;\n        proxy_pass")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    # Its processes have to reach their folders, which the tests own.
    account = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    # A client's connection takes two.
    configuration.write_text(
        f"{account} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; {folders}\n{site}\n}}\n"
    )
    return configuration


def check_configuration(program: str, configuration: Path) -> str:
    """Returns what ``nginx -t`` says to a configuration; raises if it refuses it."""
    done = subprocess.run(
        [program, "-t", "-p", str(configuration.parent), "-c", str(configuration)],
        capture_output=True,
        text=True,
        timeout=scaled(20),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextmanager
def nginx(folder: Path, workers: Sequence[int], below: str = "") -> Iterator[int]:
    """Runs nginx while the block runs, and returns its port; it serves what is ``below`` a path, which it takes off."""
    program = nginx_program()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configuration = write_configuration(folder, port, workers, below)
    check_configuration(program, configuration)
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start: {(folder / 'nginx.log').read_text()}")
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=scaled(10))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
