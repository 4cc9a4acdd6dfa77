"""What is logged of something that fails again and again."""

from __future__ import annotations

import logging

import httpx2
import pytest

from chatkit import _outages
from chatkit._outages import Outage
from chatkit.errors import StoreUnavailableError
from chatkit.store import MemoryStore
from chatkit.web import create_app, lifecycle, single_user
from tests.support.live_server import live_server
from tests.web.sample import SampleServer


def away() -> StoreUnavailableError:
    """An error as a store raises it, with the driver's below."""
    try:
        try:
            raise OSError("errno 111")
        except OSError as error:
            raise StoreUnavailableError(
                "The server db:5432 cannot be reached: check that it runs."
            ) from error
    except StoreUnavailableError as error:
        return error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(_outages.time, "monotonic", lambda: now[0])
    return now


def test_an_outage_is_told_at_its_beginning_and_its_end(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    search = Outage("It fails", "It works again.")
    search.recovered()
    for _ in range(29):
        search.failed(away())
        clock[0] += 2
    for _ in range(2):
        search.recovered()
    search.failed(away())
    one = "It fails: The server db:5432 cannot be reached: check that it runs."
    assert caplog.messages == [one, "It works again.", one]
    assert "Traceback" not in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_long_outage_is_told_once_a_minute(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    search = Outage("It fails", "It works again.")
    for _ in range(61):
        search.failed(away())
        clock[0] += 2
    assert len(caplog.messages) == 3


def test_what_nobody_expects_is_told_with_its_traceback(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    search = Outage("It fails", "It works again.")
    search.failed(away())
    search.failed(RuntimeError("a fault of ours"))
    assert [record.exc_info is not None for record in caplog.records] == [False, True]
    assert "RuntimeError: a fault of ours" in caplog.text


class Away(SampleServer):
    sweep_seconds = 0.01
    is_away = False

    async def check(self) -> None:
        if self.is_away:
            raise away()

    async def recover(self) -> int:
        if self.is_away:
            raise away()
        return 0


def test_an_application_tells_of_an_outage_in_few_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    searched = []

    class Counted(Outage):
        def failed(self, error: Exception) -> None:
            searched.append(error)
            super().failed(error)

    monkeypatch.setattr(lifecycle, "Outage", Counted)
    server = Away(MemoryStore())
    with live_server(create_app(server, context=single_user())) as live:
        server.is_away = True
        for _ in range(200):
            assert httpx2.get(f"{live.url}/readyz").status_code == 503
            if len(searched) > 3:
                break
        assert len(searched) > 3
        server.is_away = False
        assert httpx2.get(f"{live.url}/readyz").status_code == 200
    reason = "The server db:5432 cannot be reached: check that it runs."
    assert caplog.messages.count(f"The server is not ready: {reason}") == 1
    assert caplog.messages.count(f"Turns of workers that died cannot be looked for: {reason}") == 1
    assert caplog.messages.count("The server is ready again.") == 1
    assert "errno 111" not in caplog.text


async def test_a_start_that_fails_says_what_to_do_and_nothing_of_the_driver() -> None:
    server = Away(MemoryStore())
    server.is_away = True
    app = create_app(server, context=single_user())
    sent = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: object) -> None:
        sent.append(message)

    with pytest.raises(StoreUnavailableError):
        await app({"type": "lifespan"}, receive, send)
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    lines = failed["message"].strip().splitlines()
    assert lines[-1].endswith("The server db:5432 cannot be reached: check that it runs.")
    assert "errno 111" not in failed["message"]
