"""An example, set up and started by the commands of its README, and a visitor who chats with it over HTTP."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2

from tests.support.live_server import running_process
from tests.support.scale import scaled

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted({path.parent.name for path in EXAMPLES.glob("*/*.py")})

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)

LONG = "w " * 120_000
"""A message whose echo takes a while."""

KEYS = ("CHATKIT_", "OPENAI_", "ANTHROPIC_")
"""Variables of whoever runs the tests, which are none of an example's business."""

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANNOUNCEMENTS = {"uvicorn": "Uvicorn running on", "flask": "Running on http", "gunicorn": "Listening at"}
_ENDS = {"uvicorn": signal.SIGTERM, "flask": signal.SIGINT, "gunicorn": signal.SIGTERM}
"""How people end them: Flask's own server with Ctrl-C."""
_PORTS = {"uvicorn": ["--port", "0"], "flask": ["--port", "0"], "gunicorn": ["--bind", "127.0.0.1:0"]}


def commands(name: str) -> list[list[str]]:
    """Returns the commands of the README's first block."""
    block = _BLOCK.search((EXAMPLES / name / "README.md").read_text())
    assert block is not None, f"{name}: its README has no commands"
    return [shlex.split(line) for line in block[1].splitlines()]


class Example:
    """An example in a folder of its own.

    Attributes:
        name: Its folder in ``examples``.
        folder: The copy that runs.
        python: The interpreter of another environment that it runs in, if it does.
    """

    def __init__(self, name: str, folder: Path, *, python: Path | None = None, **environment: str) -> None:
        self.name = name
        self.python = python
        self.folder = folder / name
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(KEYS)},
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            **environment,
        }
        ignored = shutil.ignore_patterns("__pycache__", "*.db*", "*.sqlite3")
        shutil.copytree(EXAMPLES / name, self.folder, ignore=ignored)
        install, change_folder, *rest = commands(name)
        assert install[:2] == ["pip", "install"], "the first command installs what is needed"
        assert change_folder == ["cd", f"examples/{name}"]
        *before, self.server = rest
        for command in before:
            self.run(command)

    def run(self, command: list[str]) -> str:
        """Runs a command of the README, with ``NAME=value`` in front of it or after ``export``."""
        command = command.copy()
        variables: dict[str, str] = {}
        if command[0] == "export":
            # What the test itself sets, such as a key, wins.
            self._environment = dict(pair.split("=", 1) for pair in command[1:]) | self._environment
            return ""
        while "=" in command[0]:
            key, value = command.pop(0).split("=", 1)
            variables[key] = value
        command = command[1:] if command[0] == "python" else ["-m", *command]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self._environment | variables,
            capture_output=True,
            text=True,
            timeout=scaled(100),
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(self, command: list[str] | None = None) -> Iterator[str]:
        """Serves it on a free port by the last command of its README, or by another one; yields the address.

        At the end the process is asked to end, and has to do so soon, open streams or not.
        """
        command = command or self.server
        server = command[0]
        with running_process(
            *command,
            *_PORTS[server],
            folder=self.folder,
            environment=self._environment,
            says=_ANNOUNCEMENTS[server],
            cold=server != "uvicorn" or self.python is not None,
            python=self.python or sys.executable,
        ) as running:
            yield running.url
            running.terminate(_ENDS[server])
            running.process.wait(scaled(30))


class Visitor(httpx2.Client):
    """A browser with cookies, or a program, that chats.

    Args:
        url: Where the example is served.
        chat: The path of the protocol.
        headers: Sent with each request.
    """

    def __init__(self, url: str, chat: str = "/chatkit", **headers: str) -> None:
        super().__init__(base_url=url, headers=headers, timeout=scaled(60))
        self.chat = chat

    def ask(self, type: str, **params: Any) -> Any:
        """Returns the answer to a request that is not streamed."""
        response = self.post(self.chat, json={"type": type, "params": params})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    def say(self, text: str, thread_id: str | None = None) -> list[dict[str, Any]]:
        """Sends a message, in a new thread unless one is given, and returns the events of the answer."""
        with self.answer(message(text, thread_id)) as events:
            return list(events)

    @contextmanager
    def answer(self, body: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """Sends a request that is answered with a stream, and yields its events as they come."""
        with self.stream("POST", self.chat, json=body) as response:
            if response.status_code != 200:
                raise AssertionError(response.read().decode())
            assert response.headers["content-type"].startswith("text/event-stream")
            assert "content-length" not in response.headers
            yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))

    def items(self, thread_id: str) -> list[dict[str, Any]]:
        """Returns the items of a thread."""
        return self.ask("threads.get_by_id", thread_id=thread_id)["items"]["data"]

    def attach(self, name: str, content: bytes, mime_type: str) -> dict[str, Any]:
        """Announces a file and puts it where the server says, without the user's session."""
        announced = self.ask("attachments.create", name=name, size=len(content), mime_type=mime_type)
        place = announced["upload_descriptor"]
        put = httpx2.request(place["method"], place["url"], content=content, headers=place["headers"])
        assert put.status_code == 200, put.text
        return announced

    def threads(self) -> list[str]:
        """Returns the ids of the visitor's threads, newest first."""
        return [thread["id"] for thread in self.ask("threads.list", limit=100, order="desc")["data"]]


def message(text: str, thread_id: str | None = None, attachments: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the request that sends a message, in a new thread unless one is given."""
    content = [{"type": "input_text", "text": text}]
    given = {"content": content, "attachments": list(attachments), "inference_options": {}}
    params: dict[str, Any] = {"input": given}
    if thread_id is None:
        return {"type": "threads.create", "params": params}
    return {"type": "threads.add_user_message", "params": {"thread_id": thread_id, **params}}


def shown(events: list[dict[str, Any]]) -> str:
    """Returns the text of the last message, as it grew and as it was done, which have to be the same."""
    done = [event["item"] for event in events if event["type"] == "thread.item.done"][-1]
    assert done["type"] == "assistant_message"
    text = "".join(part["text"] for part in done["content"])
    grown = ""
    for event in events:
        if event["type"] == "thread.item.added" and event["item"]["id"] == done["id"]:
            grown = "".join(part["text"] for part in event["item"]["content"])
        if event["type"] == "thread.item.updated" and event["item_id"] == done["id"]:
            grown += event["update"].get("delta", "")
    assert grown == text
    return text


def converse(
    visitor: Visitor, *, expects: str, says: str = "Good morning"
) -> tuple[str, list[dict[str, Any]]]:
    """Creates a thread, reads the answer, lists the thread, loads it; returns its id and items."""
    events = visitor.say(says)
    assert events[0]["type"] == "thread.created"
    assert expects in shown(events)
    thread_id = events[0]["thread"]["id"]
    assert visitor.threads()[0] == thread_id
    items = visitor.items(thread_id)
    assert [item["type"] for item in items if item["type"] != "workflow"] == [
        "user_message",
        "assistant_message",
    ]
    assert items == [event["item"] for event in events if event["type"] == "thread.item.done"]
    return thread_id, items


def exchange_files(visitor: Visitor, stranger: Visitor) -> None:
    """Attaches a picture in both ways, sends it, looks at it, and sees that nobody else gets at it.

    Args:
        visitor: Is signed in.
        stranger: Is not, or is somebody else.
    """
    picture = visitor.attach("cup.png", PNG, "image/png")
    sent = {"file": ("tea.txt", b"Tea", "text/plain")}
    text = visitor.post(f"{visitor.chat}/files", files=sent)
    assert text.status_code == 200, text.text
    wrong = visitor.post(f"{visitor.chat}/files", files={"file": ("no.png", b"none", "image/png")})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (415, "unsupported_media_type")
    form = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert visitor.post(f"{visitor.chat}/files", files=sent, headers=form).status_code == 403
    assert stranger.post(f"{visitor.chat}/files", files=sent).status_code == 401
    both = [picture["id"], text.json()["id"]]
    with visitor.answer(message("Two", attachments=both)) as answer:
        events = list(answer)
    assert "(2 files)" in shown(events)
    thread_id = events[0]["thread"]["id"]
    (first, _) = visitor.items(thread_id)[0]["attachments"]
    shown_picture = httpx2.get(first["preview_url"])
    assert (shown_picture.content, shown_picture.headers["content-type"]) == (PNG, "image/png")
    visitor.ask("threads.delete", thread_id=thread_id)
    assert httpx2.get(first["preview_url"]).status_code == 404


class Held:
    """A model whose stream stops in the middle until it is left: give ``wait`` as its ``before_each_event``.

    Args:
        after: Events that go out before.
    """

    def __init__(self, after: int) -> None:
        self._left = after
        self._begun, self._ended = threading.Event(), threading.Event()

    async def wait(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                self._ended.set()

    def stop_meanwhile(self, visitor: Visitor) -> dict[str, Any]:
        """Sends a message, stops the answer as soon as the model stands still, and returns what is kept of it."""
        with visitor.answer(message("Tell me a story")) as answer:
            first = next(answer)
            thread_id = first["thread"]["id"]
            assert self._begun.wait(scaled(20)), "the model was asked"
            visitor.ask("turns.stop", thread_id=thread_id)
            assert self._ended.wait(scaled(20)), "the model goes on"
            list(answer)
        (kept,) = (item for item in visitor.items(thread_id) if item["type"] == "assistant_message")
        return kept


@contextmanager
def begun(visitor: Visitor) -> Iterator[str]:
    """Sends a message with a long answer, reads it for a while, and leaves at the end of the block."""
    thread_id = ""
    until = 0.0
    with visitor.answer(message(LONG)) as events:
        for event in events:
            if event["type"] == "thread.created":
                thread_id = event["thread"]["id"]
            # Longer than what a crash may lose: a quarter of a second.
            if event["type"] == "thread.item.updated":
                until = until or time.monotonic() + 0.6
                if time.monotonic() > until:
                    break
        yield thread_id


def partial_answer(visitor: Visitor, thread_id: str) -> str:
    """Waits until the end of the answer is stored, and returns its text."""
    end = time.monotonic() + scaled(20)
    while time.monotonic() < end:
        last = visitor.items(thread_id)[-1]
        if last["type"] == "assistant_message":
            return last["content"][0]["text"]
        time.sleep(0.1)
    raise AssertionError("The answer was not stored.")
