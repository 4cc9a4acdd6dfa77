"""Runs one workload in the environment of the interpreter that runs this file, and prints figures as JSON.

Usage: ``python workload.py NAME [metrics] [traces]``; the names are those of ``WORKLOADS``. CPU seconds are those of
this process, system time included.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

started = time.process_time()
wall_started = time.perf_counter()
sys.path.insert(0, str(Path(__file__).parent))

from application import Application, DictStore  # noqa: E402

DELTAS = 20_000
GETS = 300
TURNS = 60
TYPICAL = 300
"""Deltas of a usual answer."""
IDLE_STREAMS = 400


def create_body(text: str) -> bytes:
    params = {
        "input": {
            "content": [{"type": "input_text", "text": text}],
            "attachments": [],
            "inference_options": {},
        }
    }
    return json.dumps({"type": "threads.create", "params": params}).encode()


async def stream(server: Application, body: bytes) -> tuple[int, int, str]:
    result: Any = await server.process(body, {"user_id": "u"})
    frames = size = 0
    thread_id = ""
    async for frame in result:
        if not frames:
            thread_id = json.loads(frame[6:])["thread"]["id"]
        frames += 1
        size += len(frame)
    return frames, size, thread_id


async def first() -> dict[str, Any]:
    frames, _, _ = await stream(Application(DictStore(), 3), create_body("hello"))
    return {
        "cpu": time.process_time() - started,
        "wall": time.perf_counter() - wall_started,
        "frames": frames,
    }


async def get_by_id() -> dict[str, Any]:
    server = Application(DictStore(), 20)
    _, _, thread_id = await stream(server, create_body("hello"))
    body = json.dumps({"type": "threads.get_by_id", "params": {"thread_id": thread_id}}).encode()
    for _ in range(5):
        await server.process(body, {"user_id": "u"})
    before = time.process_time()
    for _ in range(GETS):
        result: Any = await server.process(body, {"user_id": "u"})
    items = len(json.loads(result.json)["items"]["data"])
    return {"cpu": (time.process_time() - before) / GETS, "items": items}


async def deltas() -> dict[str, Any]:
    warm = Application(DictStore(), 50)
    await stream(warm, create_body("warm"))
    server = Application(DictStore(), DELTAS)
    before = time.process_time()
    frames, size, _ = await stream(server, create_body("go"))
    return {"cpu": (time.process_time() - before) / DELTAS, "frames": frames, "bytes": size}


async def repeated(server: Any, turns: int, deltas: int) -> dict[str, Any]:
    """Returns the least CPU seconds of a delta, or of a turn without any, of several rounds of turns."""
    for _ in range(3):
        frames, size, _ = await stream(server, create_body("warm"))
    least = float("inf")
    for _ in range(5):
        before = time.process_time()
        for _ in range(turns):
            await stream(server, create_body("go"))
        least = min(least, (time.process_time() - before) / turns / max(deltas, 1))
    return {"cpu": least, "frames": frames, "bytes": size}


async def typical() -> dict[str, Any]:
    return await repeated(Application(DictStore(), TYPICAL), TURNS, TYPICAL)


async def tick() -> dict[str, Any]:
    return await repeated(Application(DictStore(), TYPICAL, waits=True), TURNS, TYPICAL)


async def agents() -> dict[str, Any]:
    from agent_application import AgentApplication

    return await repeated(AgentApplication(DictStore(), TYPICAL), TURNS // 3, TYPICAL)


async def short() -> dict[str, Any]:
    """Short turns with a SQLite file, which keeps the streams too."""
    from chatkit.store import SQLiteStore

    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "chat.db")
        try:
            return await repeated(Application(store, 3), TURNS, 0)
        finally:
            await store.close()


async def idle() -> dict[str, Any]:
    """Memory of an open stream that waits for its next event, without HTTP."""
    gate = asyncio.Event()

    class Waiting(Application):
        async def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
            async for event in super().respond(thread, input_user_message, context):
                yield event
                if event.type == "thread.item.updated":
                    await gate.wait()

    server = Waiting(DictStore(), 3)

    async def open_streams(count: int) -> list[Any]:
        opened: list[Any] = []
        for _ in range(count):
            result: Any = await server.process(create_body("hello"), {"user_id": "u"})
            frames = aiter(result)
            for _ in range(4):
                await anext(frames)
            opened.append(frames)
        return opened

    held = await open_streams(IDLE_STREAMS // 4)
    gc.collect()
    before = resident()
    held += await open_streams(IDLE_STREAMS)
    gc.collect()
    size = (resident() - before) / IDLE_STREAMS / 1024
    gate.set()
    for frames in held:
        async for _ in frames:
            pass
    return {"kib": size}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


WORKLOADS = {run.__name__: run for run in (first, get_by_id, deltas, typical, tick, agents, short, idle)}


def observe(what: list[str]) -> None:
    """Counts, or traces into a batch that goes nowhere."""
    if "metrics" in what:
        from chatkit.metrics import collect_metrics

        collect_metrics()
    if "traces" in what:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from chatkit.tracing import collect_traces

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        collect_traces(tracer_provider=provider)


if __name__ == "__main__":
    observe(sys.argv[2:])
    print(json.dumps(asyncio.run(WORKLOADS[sys.argv[1]]())))
