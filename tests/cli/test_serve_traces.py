"""``chatkit serve --traces``: one trace over workers, a kill and feedback, at a receiver of OTLP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx2
from opentelemetry.trace import format_span_id

from tests.acceptance.wire import frames_of, message, resumable
from tests.cli.processes import run, serving
from tests.cli.test_serve_many import connected
from tests.support.otlp import attributes_of, otlp_receiver
from tests.support.scale import scaled

APP = '''
import asyncio
import logging
import os
from pathlib import Path
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from chatkit.errors import AuthenticationError
from chatkit.server import ChatKitServer

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)


class Waiting(ChatKitServer):
    """Answers once there is a file."""

    def __init__(self, store):
        super().__init__(store, rerun_on_crash=1)

    async def respond(self, thread, input, context):
        logging.getLogger("chatkit.app").warning("It begins.")
        yield "Waits. "
        while not Path("go").exists():
            await asyncio.sleep(0.05)
        yield "Goes."

    def dump_context(self, context):
        return context

    def load_context(self, data):
        return data


def worker(request):
    # Answered with an error that names the process.
    if request.headers.get("x-who"):
        raise AuthenticationError(str(os.getpid()))
    return {"user_id": "ada"}
'''
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SETTINGS = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
}


async def test_a_trace_goes_on_in_another_worker_after_a_kill(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    command = ("app:Waiting", "--port", "0", "--workers", "2", "--context", "app:worker", "--files", "off")
    options = ("--traces", "on", "--log-format", "json")
    with otlp_receiver() as receiver:
        settings = {**SETTINGS, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        with serving(*command, *options, folder=tmp_path, **settings) as server:
            async with asyncio.timeout(scaled(60)), connected(server.url) as connection:
                while True:
                    try:
                        killed = await connection.identify()
                        break
                    except httpx2.TransportError:
                        # The port is there before the workers are.
                        await asyncio.sleep(0.05)
                parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
                body = resumable(message("Hi"))
                async with connection.http.stream("POST", server.url, json=body, headers=parent) as response:
                    async for frame in frames_of(response):
                        if frame.data.get("type") == "thread.created":
                            thread_id = frame.data["thread"]["id"]
                        if frame.text:
                            break
                    os.kill(killed, signal.SIGKILL)
                tmp_path.joinpath("go").touch()
                async with connected(server.url) as other:
                    items = list[dict[str, str]]()
                    while not items or items[0]["type"] != "assistant_message":
                        try:
                            page = await other.ask("items.list", thread_id=thread_id, order="desc", limit=1)
                            items = page["data"]
                        except httpx2.TransportError:
                            pass
                        await asyncio.sleep(0.05)
                    rated = {"thread_id": thread_id, "item_ids": [items[0]["id"]], "kind": "positive"}
                    request = {"type": "items.feedback", "params": rated}
                    assert (await other.http.post(server.url, json=request)).status_code == 200
            server.process.terminate()
            _, errors = server.process.communicate(timeout=scaled(30))
        records = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
        assert [record["trace"] for record in records if record["message"] == "It begins."] == [TRACE, TRACE]
        # What the workers that ended in order had collected was sent as they ended.
        found = receiver.of_trace(TRACE)
    assert receiver.services == {"shop"}
    assert set(found) == {"attempt", "feedback"}, (
        "the dead worker's spans are lost with it, and nothing else is"
    )
    attempt, feedback = attributes_of(found["attempt"]), attributes_of(found["feedback"])
    assert (attempt["chatkit.attempt"], attempt["chatkit.end"]) == (2, "completed")
    assert feedback["gen_ai.evaluation.score.label"] == "positive"
    assert found["attempt"].parent_span_id == found["feedback"].parent_span_id, "both are below the turn"
    assert found["attempt"].parent_span_id not in {b"", bytes.fromhex(format_span_id(0xF067AA0BA902B7))}


def test_traces_that_go_nowhere_are_told(tmp_path: Path) -> None:
    with serving("--port", "0", "--traces", "storage,content", "--files", "off", folder=tmp_path) as server:
        assert "WARNING: Traces go nowhere" in server.announcement
        assert "Traces have what users, models and tools say." in server.announcement


def test_traces_that_there_are_not_are_refused(tmp_path: Path) -> None:
    done = run("serve", "--traces", "everything", folder=tmp_path)
    assert done.returncode == 2
    assert "traces are off, on, storage or content" in done.stderr
