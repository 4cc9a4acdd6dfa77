"""What pages ask the small application, over HTTP, and what they hear."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.dropin.environments import Environment, plain_environment
from tests.support.scale import scaled

APP = Path(__file__).with_name("app.py")
TIMES = re.compile(r'("created_at":\s*)"[^"]*"')
IDS = {"id", "item_id", "thread_id", "after"}


class Page:
    """Talks to the application, and keeps what it hears.

    Attributes:
        heard: Status, content type and answer of each request: a list of events, or JSON. Ids are
            numbered in the order in which they are heard: those of a model's messages are the
            model's own under openai-chatkit, and the store's under this package.
    """

    def __init__(self, port: int, path: str, user: str = "ada") -> None:
        self._path = path
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=scaled(60))
        self._user = user
        self.heard: list[Any] = []
        self._numbers: dict[str, int] = {}

    def ask(self, kind: str, **params: Any) -> Any:
        body = json.dumps({"type": kind, "params": params})
        headers = {"content-type": "application/json", "x-test-user": self._user}
        self.connection.request("POST", self._path, body, headers)
        response = self.connection.getresponse()
        media_type = (response.getheader("content-type") or "").partition(";")[0]
        text = TIMES.sub(r'\1"<time>"', response.read().decode())
        if media_type == "text/event-stream":
            *frames, end = text.split("\n\n")
            assert end == ""
            answer: Any = [json.loads(frame.removeprefix("data: ")) for frame in frames]
        else:
            answer = json.loads(text) if media_type == "application/json" else text
        self.heard.append([response.status, media_type, self._numbered(answer)])
        return answer

    def _numbered(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self._numbered(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._numbered(inner) for inner in value]
        if isinstance(value, str) and key in IDS:
            return f"<id {self._numbers.setdefault(value, len(self._numbers))}>"
        return value

    def say(self, text: str, thread_id: str | None = None) -> Any:
        message = {
            "content": [{"type": "input_text", "text": text}],
            "attachments": [],
            "inference_options": {},
        }
        if thread_id is None:
            return self.ask("threads.create", input=message)
        return self.ask("threads.add_user_message", thread_id=thread_id, input=message)


@contextmanager
def pages(environment: Environment, *databases: Path) -> Iterator[list[Page]]:
    """Serves the application with each database while the block runs, to a page of its own."""
    with (
        subprocess.Popen(
            [environment.python, APP, *databases],
            cwd=databases[0].parent,
            env=plain_environment() | {"OPENAI_AGENTS_DISABLE_TRACING": "1"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        ExitStack() as connections,
    ):
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            visitors = [Page(port, f"/{number}") for number in range(len(databases))]
            for visitor in visitors:
                connections.enter_context(closing(visitor.connection))
            yield visitors
        finally:
            process.terminate()
            process.wait(scaled(20))


def first_visit(page: Page) -> None:
    """Starts threads of every kind that the application knows."""
    created = page.say("hello there")
    thread = created[0]["thread"]["id"]
    page.say("count", thread)
    shown = page.say("widget", thread)
    widget = next(event["item"]["id"] for event in shown if event.get("item", {}).get("type") == "widget")
    page.ask(
        "threads.custom_action", thread_id=thread, item_id=widget, action={"type": "go", "payload": {"n": 1}}
    )
    page.say("fail", thread)
    page.ask("threads.get_by_id", thread_id=thread)
    waiting = page.say("tool")[0]["thread"]["id"]
    page.ask("threads.list", limit=10, order="asc")
    page.ask("items.list", thread_id=waiting, limit=10, order="asc")
    page.ask("threads.update", thread_id=thread, title="Renamed")


def second_visit(page: Page) -> None:
    """Goes on with what the first visit left."""
    renamed, waiting = page.ask("threads.list", limit=10, order="asc")["data"]
    page.ask("threads.get_by_id", thread_id=renamed["id"])
    page.ask("threads.add_client_tool_output", thread_id=waiting["id"], result={"seen": [1, None]})
    page.say("count", renamed["id"])
    items = page.ask("items.list", thread_id=renamed["id"], limit=20, order="asc")["data"]
    page.ask("threads.retry_after_item", thread_id=renamed["id"], item_id=items[0]["id"])
    page.ask("items.list", thread_id=renamed["id"], limit=20, order="desc")
    page.ask("threads.delete", thread_id=waiting["id"])
    page.ask("threads.list", limit=10, order="asc")
