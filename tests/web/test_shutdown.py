from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from chatkit.web.shutdown import ShutdownHook
from tests.support.scale import scaled


class Process:
    """Stands where an HTTP server's handlers stand: counts the signals that get through."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    saved = {number: signal.signal(number, process) for number in (signal.SIGTERM, signal.SIGINT)}
    yield process
    for number, handler in saved.items():
        signal.signal(number, handler)


class Counter:
    def __init__(self) -> None:
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        self.called.set()


async def after(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), scaled(5))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_hook_hears_the_signal_and_so_does_the_handler_before_it(
    process: Process, number: signal.Signals
) -> None:
    counter = Counter()
    hook = ShutdownHook(counter)
    hook.install()
    assert not hook.triggered
    signal.raise_signal(number)
    await after(counter.called)
    assert hook.triggered
    assert process.heard == [number]
    signal.raise_signal(number)
    await hook.wait()
    await asyncio.sleep(0)
    assert counter.calls == 1, "called once, however often the signal comes"
    assert process.heard == [number, number]
    hook.uninstall()
    assert signal.getsignal(number) is process


async def test_installing_again_changes_nothing(process: Process) -> None:
    hook = ShutdownHook(Counter())
    hook.install()
    mine = signal.getsignal(signal.SIGTERM)
    hook.install()
    assert signal.getsignal(signal.SIGTERM) is mine
    hook.uninstall()


async def test_a_handler_set_later_is_passed_by_at_the_next_installation(process: Process) -> None:
    counter = Counter()
    hook = ShutdownHook(counter)
    hook.install()
    later = Process()
    signal.signal(signal.SIGTERM, later)
    hook.install()
    signal.raise_signal(signal.SIGTERM)
    await after(counter.called)
    assert later.heard == [signal.SIGTERM]
    hook.uninstall()
    assert signal.getsignal(signal.SIGTERM) is later


async def test_several_hooks_are_all_called_and_may_leave_in_any_order(process: Process) -> None:
    counters = [Counter(), Counter(), Counter()]
    first, second, third = (ShutdownHook(counter) for counter in counters)
    for hook in (first, second, third, first, second, third):
        hook.install()
    signal.raise_signal(signal.SIGTERM)
    for counter in counters:
        await after(counter.called)
    assert [counter.calls for counter in counters] == [1, 1, 1]
    assert process.heard == [signal.SIGTERM], "the handler before them hears it once"
    second.uninstall()
    third.uninstall()
    first.uninstall()
    assert signal.getsignal(signal.SIGTERM) is process


async def test_the_hooks_of_loops_that_are_gone_do_not_pile_up(process: Process) -> None:
    def run_application() -> None:
        async def once() -> None:
            ShutdownHook(Counter()).install()

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(once())
        finally:
            loop.close()

    await asyncio.to_thread(run_application)
    assert signal.getsignal(signal.SIGTERM) is process, "outside the main thread nothing is installed"

    counter = Counter()
    hook = ShutdownHook(counter)
    hook.install()
    hook.uninstall()
    other = ShutdownHook(counter)
    other.install()
    other.uninstall()
    assert signal.getsignal(signal.SIGTERM) is process


def test_a_signal_after_the_loop_was_closed_goes_on_to_the_handler_before(process: Process) -> None:
    async def once() -> ShutdownHook:
        hook = ShutdownHook(Counter())
        hook.install()
        return hook

    assert threading.current_thread() is threading.main_thread()
    loop = asyncio.new_event_loop()
    hook = loop.run_until_complete(once())
    loop.close()
    assert hook.spent
    signal.raise_signal(signal.SIGTERM)
    assert process.heard == [signal.SIGTERM]
    assert not hook.triggered
    hook.uninstall()
    assert signal.getsignal(signal.SIGTERM) is process


async def test_a_signal_that_ends_the_process_at_once_still_does(process: Process) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hook = ShutdownHook(Counter())
    hook.install()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    hook.uninstall()


async def test_a_callback_that_fails_is_logged(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("the store is on fire")

    hook = ShutdownHook(fail)
    hook.install()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(0)
    await asyncio.wait_for(hook.wait(), scaled(5))
    assert hook.triggered
    assert "the store is on fire" in caplog.text
    hook.uninstall()
