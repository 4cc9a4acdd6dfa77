"""The certificates that HTTP clients trust, read once by a process of tests instead of for each client."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import httpx._transports.default
import httpx2._transports.default
import pytest

__all__ = ["read_once"]


@contextmanager
def read_once() -> Generator[None]:
    """Gives clients made alike the same context of TLS while the block runs.

    To read a system's certificates takes as long as hundreds of requests.
    """
    with pytest.MonkeyPatch.context() as patch:
        for transports in (httpx._transports.default, httpx2._transports.default):
            patch.setattr(transports, "create_ssl_context", cache(transports.create_ssl_context))
        yield
