"""``chatkit serve --metrics``: one answer for all workers, which adds up when one of them is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.wire import message, resumable
from tests.cli.processes import Serving, run, serving
from tests.cli.test_serve_many import APP, connected, read_until
from tests.support.scale import scaled

OPTIONS = ("--port", "0", "--metrics", "0", "--files", "off")


def address(server: Serving) -> str:
    found = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)\.", server.announcement)
    assert found is not None, server.announcement
    return found[1]


async def samples(server: Serving) -> dict[str, float]:
    """Scrapes, and adds up over the labels, but for how turns end."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(address(server))).text
    found = dict[str, float]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for name in {sample.name, f"{sample.name} {sample.labels.get('end', '')}".strip()}:
                found[name] = found.get(name, 0.0) + sample.value
    return found


async def test_three_workers_add_up_when_one_is_killed(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    command = ("app:Counting", *OPTIONS, "--workers", "3", "--context", "app:worker", "--db", "threads.db")
    with serving(*command, folder=tmp_path) as server:
        async with asyncio.timeout(scaled(60)), AsyncExitStack() as stack:
            threads = dict[str, int]()
            while len(threads) < 6:
                connection = await stack.enter_async_context(connected(server.url))
                try:
                    pid = await connection.identify()
                except httpx2.TransportError:
                    # The port is there before the workers are.
                    await asyncio.sleep(0.05)
                    continue
                if [*threads.values()].count(pid) == 2:
                    continue
                frames = await stack.enter_async_context(connection.stream(resumable(message("600"))))
                thread_id, _, _ = await read_until(frames, "0")
                threads[thread_id] = pid
            found = await samples(server)
            began = float(len(threads))
            assert found["chatkit_turns_started_total"] == found["chatkit_turns_running"] == began
            assert found["chatkit_turn_first_delta_seconds_count"] == began

            killed = next(iter(threads.values()))
            lost = 2.0
            os.kill(killed, signal.SIGKILL)
            while (found := await samples(server))["chatkit_takeovers_total"] < lost:
                await asyncio.sleep(0.1)
            assert found["chatkit_turns_started_total"] == began, "what the dead worker counted is kept"
            assert found["chatkit_turns_ended_total interrupted"] == lost
            while (found := await samples(server))["chatkit_turns_running"] != began - lost:
                # Until its parent has noticed that it is dead.
                await asyncio.sleep(0.1)

            other = await stack.enter_async_context(connected(server.url))
            for thread_id in threads:
                await other.ask("turns.stop", thread_id=thread_id)
            # A turn is counted when its end can be read.
            while (found := await samples(server))["chatkit_turns_running"]:
                await asyncio.sleep(0.05)
            assert found["chatkit_turns_ended_total stopped"] == began - lost
            assert found["chatkit_turns_ended_total"] == found["chatkit_turns_started_total"] == began
        # In order, so that it takes the workers' files away.
        server.process.terminate()
        server.process.communicate(timeout=scaled(30))


async def test_one_worker_answers_itself_and_without_the_option_nobody_does(tmp_path: Path) -> None:
    with serving(*OPTIONS, folder=tmp_path) as server:
        found = await samples(server)
        assert found["chatkit_turns_started_total"] == 0
        assert found["process_start_time_seconds"] > 0, "metrics of the process are there too"
        _, _, port = address(server).rpartition(":")
        number = port.partition("/")[0]
        taken = run("serve", "--port", "0", "--metrics", number, folder=tmp_path)
        assert taken.returncode == 1
        assert f"The metrics cannot be served at 127.0.0.1:{number}" in taken.stderr


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run("serve", "--metrics", "here", folder=tmp_path)
    assert done.returncode == 2
    assert "a port is a number" in done.stderr
