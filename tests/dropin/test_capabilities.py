"""``capabilities`` is asked of a live 1.6.5 server, and of an application of its kind that runs on this package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatkit.client import ChatKitClient
from chatkit.types import Capabilities
from tests.support.reference_package import openai_chatkit_python

PROGRAM = Path(__file__).with_name("listing_server.py")


@contextmanager
def running(python: str | Path) -> Iterator[str]:
    with subprocess.Popen([python, PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


@pytest.mark.timeout(900)  # The environment may have to be made first.
@pytest.mark.parametrize("package", ["theirs", "ours"])
async def test_what_a_server_can_do(package: str) -> None:
    expected = {
        # It knows neither the parameter nor the key.
        "theirs": Capabilities(transcription=True, uploads=True),
        "ours": Capabilities(transcription=True, resume=True, stop=True),
    }
    python = openai_chatkit_python() if package == "theirs" else sys.executable
    with running(python) as url:
        async with ChatKitClient(url) as client:
            assert await client.capabilities() == expected[package]
            assert (await client.list_threads()).data == []
