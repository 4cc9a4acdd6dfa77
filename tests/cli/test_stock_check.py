"""``chatkit stock-check`` before anybody opens its page."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.processes import run


@pytest.mark.parametrize("script", ["chatkit.js", "ftp://example.com/chatkit.js", "https:///chatkit.js"])
def test_what_is_no_address_is_refused(script: str, tmp_path: Path) -> None:
    done = run("stock-check", "--script", script, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"chatkit stock-check: --script is a URL, or a path of this server such as /chatkit.js, not {script!r}.\n"
    )


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run("stock-check", "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"Cannot listen on port {port} of this machine" in done.stderr
    assert "choose another with --port" in done.stderr
