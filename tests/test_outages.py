"""Whatever fails during one outage is told once, in one line; what is unexpected has its traceback."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from chatkit import _outages
from chatkit._outages import Source, is_disk_full, log_failure
from chatkit.errors import (
    AuthenticationUnavailableError,
    ConfigurationError,
    StoreError,
    StoreUnavailableError,
)

LOG = logging.getLogger("chatkit.test")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(_outages.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def source() -> Source:
    return Source("The database db", LOG)


def away(source: Source, *, partly: bool = False) -> StoreUnavailableError:
    return source.caused(StoreUnavailableError("The database db cannot be reached."), partly=partly)


def test_a_thousand_failures_of_one_outage_are_two_lines(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        log_failure(LOG, f"Turn {number} failed", away(source))
        clock[0] += 0.01
    clock[0] += 5
    for _ in range(2):
        source.works()
    assert caplog.messages == [
        "Turn 0 failed: The database db cannot be reached.",
        "The database db works again, after 10 s; 999 more failures were not logged.",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert not any(record.exc_info for record in caplog.records)


def test_what_is_told_once_is_there_at_debug(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "chatkit")
    for number in range(2):
        log_failure(LOG, f"Turn {number} failed", away(source))
    debug = [record for record in caplog.records if record.levelno == logging.DEBUG]
    assert len(debug) == 2
    assert all(record.exc_info for record in debug)
    assert "Turn 1 failed" in debug[-1].getMessage()


def test_a_success_among_failures_is_not_the_end(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        log_failure(LOG, "A turn failed", away(source))
        clock[0] += 1
        source.works()
    assert len(caplog.messages) == 1


def test_where_the_disk_is_full_reading_is_not_the_end(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    log_failure(LOG, "A turn failed", away(source, partly=True))
    clock[0] += 30
    source.works()
    clock[0] += 31
    source.works(wholly=False)
    assert len(caplog.messages) == 1
    source.works()
    assert caplog.messages[1:] == ["The database db works again."]


def test_what_failed_before_the_end_and_is_told_after_it_begins_no_other_outage(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    first, late = away(source), away(source)
    log_failure(LOG, "A turn failed", first)
    clock[0] += 6
    source.works()
    log_failure(LOG, "A slow turn failed", late)
    assert len(caplog.messages) == 2
    log_failure(LOG, "Another one failed", away(source))
    assert caplog.messages[2:] == ["Another one failed: The database db cannot be reached."]


def test_an_outage_that_nobody_told_of_has_no_end(
    clock: list[float], source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    away(source)
    clock[0] += 6
    source.works()
    assert caplog.messages == []


def test_other_failures_of_a_source_are_no_outage(source: Source) -> None:
    error = source.caused(StoreError("The database db failed."))
    assert not hasattr(error, "outage")


def test_there_is_one_source_for_a_name() -> None:
    assert Source.of("The database a", LOG) is not Source.of("The database b", LOG)
    one = Source.of("The database a", LOG)
    assert Source.of("The database a", LOG) is one


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailableError("away"),
        AuthenticationUnavailableError("away"),
        OSError(errno.ENOSPC, "No space left on device"),
        ExceptionGroup("of a task group", [StoreUnavailableError("away")]),
    ],
)
def test_an_outage_of_what_belongs_to_others_is_told_once_a_minute(
    error: Exception, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        log_failure(LOG, "A turn failed", error)
    assert len(caplog.messages) == 1
    clock[0] += 60
    log_failure(LOG, "A turn failed", error)
    assert len(caplog.messages) == 2
    assert not any(record.exc_info for record in caplog.records)


def test_a_message_that_says_what_to_do_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        log_failure(LOG, "A turn failed", ConfigurationError("Set CHATKIT_SECRET."))
    assert caplog.messages == ["A turn failed: Set CHATKIT_SECRET."] * 2
    assert not any(record.exc_info for record in caplog.records)


def test_what_is_brief_is_one_line_in_any_case(caplog: pytest.LogCaptureFixture) -> None:
    log_failure(LOG, "A key could not be freed", KeyError("key"), brief=True)
    assert caplog.messages == ["A key could not be freed: 'key'"]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_traceback_begins_with_the_frames_of_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from chatkit._tasks import maybe_await

    async def handler() -> None:
        raise KeyError("of the application")

    with pytest.raises(KeyError) as caught:
        await maybe_await(handler())
    # As where a turn catches it: no frame of the application is above.
    traceback = caught.tb.tb_next
    log_failure(LOG, "A turn failed", caught.value.with_traceback(traceback))
    assert "in handler" in caplog.text
    assert "_tasks.py" not in caplog.text


def test_a_fault_of_ours_has_all_its_frames(caplog: pytest.LogCaptureFixture) -> None:
    try:
        asyncio.run(_fault())
    except AttributeError as error:
        found = error.__traceback__
        while found is not None and "chatkit" not in found.tb_frame.f_globals["__name__"].split("."):
            found = found.tb_next
        log_failure(LOG, "A turn failed", error.with_traceback(found))
    assert "_outages.py" in caplog.text


async def _fault() -> None:
    log_failure(None, "Nowhere", KeyError())  # pyright: ignore[reportArgumentType]


def test_other_errors_of_the_system_are_no_full_disk() -> None:
    assert is_disk_full(OSError(errno.EDQUOT, "quota"))
    assert not is_disk_full(OSError(errno.ENOENT, "gone"))
    assert not is_disk_full(KeyError())
