"""HTTP servers other than uvicorn that are asked to end while a stream is open."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.sse import SSEDecoder
from chatkit.store import SQLiteStore
from chatkit.types import AssistantMessageItem
from tests.support.live_server import running_process
from tests.support.scale import is_within, scaled
from tests.web.sample import message

PATH = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])

APPLICATIONS = """
from chatkit.store import SQLiteStore
from chatkit.web import create_app, server_lifespan, shutdown, single_user
from tests.web.hand_written import make_app
from tests.web.sample import SampleServer

server = SampleServer(SQLiteStore("chat.db", owner=lambda context: "local"))
created = create_app(server, context=single_user())
by_hand = make_app(server, lifespan=server_lifespan(server))

async def cut_off(scope, receive, send):
    # Like a server that tells its workers of the end in a way that is not known.
    shutdown._waits_for_end_of_hypercorn = lambda task: False
    await created(scope, receive, send)
"""

HYPERCORN = ("hypercorn", "-b", "127.0.0.1:0", "--graceful-timeout", "1")
GUNICORN = ("gunicorn", "-b", "127.0.0.1:0", "--no-control-socket")
LISTENS = {"hypercorn": "Running on", "gunicorn": "Listening at"}


def read_to_the_end(url: str, *, resumable: bool, then: Any) -> list[tuple[str, dict[str, Any]]]:
    """Returns the events of a stream; ``then`` is called after the last word of the partial answer."""
    events: list[tuple[str, dict[str, Any]]] = []
    decoder = SSEDecoder()
    request = {**message("hold"), "metadata": {"resumable": resumable}}
    with (
        httpx2.Client(timeout=scaled(30)) as client,
        client.stream("POST", f"{url}/chatkit", json=request) as response,
    ):
        for chunk in response.iter_bytes():
            for event in decoder.feed(chunk):
                events.append((event.event, json.loads(event.data)))
                if events[-1][1].get("update", {}).get("delta") == "hold":
                    then()
    return events


@pytest.mark.parametrize(
    ("command", "resumable"),
    [
        ([*HYPERCORN, "applications:created"], False),
        ([*HYPERCORN, "applications:created"], True),
        ([*HYPERCORN, "-w", "0", "applications:created"], False),
        ([*HYPERCORN, "applications:by_hand"], False),
        ([*HYPERCORN, "applications:cut_off"], False),
        ([*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "applications:created"], False),
        ([*GUNICORN, "-k", "asgi", "applications:created"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
async def test_an_answer_ends_as_interrupted(command: Sequence[str], resumable: bool, tmp_path: Path) -> None:
    (tmp_path / "applications.py").write_text(APPLICATIONS)
    is_cut_off = "applications:cut_off" in command
    with running_process(
        *command, folder=tmp_path, environment={"PYTHONPATH": PATH}, says=LISTENS[command[0]]
    ) as running:
        sent_at = 0.0

        def terminate() -> None:
            nonlocal sent_at
            sent_at = time.monotonic()
            running.terminate(signal.SIGTERM)

        events = read_to_the_end(running.url, resumable=resumable, then=terminate)
        assert running.process.wait(scaled(20)) == 0
        assert is_within(time.monotonic() - sent_at, 6 if is_cut_off else 3)
    if resumable:
        kind, end = events.pop()
        assert (kind, end["status"]) == ("turn.end", "interrupted")
    assert [event["type"] for _, event in events[-2:]] == ["thread.item.done", "error"]
    assert (events[-1][1]["reason"], events[-1][1]["allow_retry"]) == ("interrupted", True)
    store: SQLiteStore[Any] = SQLiteStore(str(tmp_path / "chat.db"), owner=lambda context: "local")
    page = await store.load_thread_items(events[0][1]["thread"]["id"], None, 10, "asc", None)
    await store.close()
    assert [item.type for item in page.data] == ["user_message", "assistant_message"], (
        "the user stopped nothing"
    )
    assert isinstance(page.data[1], AssistantMessageItem)
    assert page.data[1].content[0].text == "You said hold"
