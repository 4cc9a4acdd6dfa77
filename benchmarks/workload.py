"""Runs one workload in the environment of the interpreter that runs this file, and prints figures as JSON.

Usage: ``python workload.py first|get_by_id|deltas``. CPU seconds are those of this process, system time included.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

started = time.process_time()
wall_started = time.perf_counter()
sys.path.insert(0, str(Path(__file__).parent))

from application import Application, DictStore  # noqa: E402

DELTAS = 20_000
GETS = 300


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


if __name__ == "__main__":
    print(json.dumps(asyncio.run({"first": first, "get_by_id": get_by_id, "deltas": deltas}[sys.argv[1]]())))
