"""The options of ``chatkit serve`` for bounds on requests and answers, over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.cli.processes import serving
from tests.support.scale import scaled

APP = """
import asyncio
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadItemDoneEvent


class Mine(ChatKitServer):
    async def respond(self, thread, input, context):
        if input.content[0].text == "hold":
            await asyncio.get_running_loop().create_future()
        content = [AssistantMessageContent(text="x" * 40_000)]
        yield ThreadItemDoneEvent(item=AssistantMessageItem(id=new_id("message"), content=content))


def make():
    return Mine(MemoryStore())
"""


def post(url: str, type: str, *, resumable: bool = False, **params: Any) -> Any:
    body = {"type": type, "params": params, "metadata": {"resumable": resumable}}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    return urllib.request.urlopen(request, timeout=scaled(30))


def refusal(url: str, type: str, **params: Any) -> tuple[int, str]:
    """Returns the status of a request and the code of its error, 200 and nothing for one that is answered."""
    try:
        with post(url, type, **params):
            return 200, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["code"]


def message(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}}


def create(url: str, text: str) -> Any:
    return post(url, "threads.create", resumable=True, input=message(text))


def first_event(answer: Any) -> dict[str, Any]:
    return next(json.loads(line[6:]) for line in answer if line.startswith(b"data: "))


def answered(url: str) -> str:
    """Returns the thread of an answer that was read to its end."""
    with create(url, "hello") as answer:
        thread_id = first_event(answer)["thread"]["id"]
        assert answer.read().endswith(b'"completed"}\n\n')
    return thread_id


def kept(url: str, thread_id: str) -> tuple[int, str]:
    return refusal(url, "turns.resume", thread_id=thread_id)


def test_the_options_take_effect(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    options = ("--max-body-bytes", "5000", "--running-turns", "2", "--kept-bytes", "130000")
    with serving("app:make", "--port", "0", *options, folder=tmp_path) as server, ExitStack() as stack:
        url = server.url
        assert refusal(url, "threads.list", after="x" * 5000)[0] == 413
        assert refusal(url, "threads.list", limit=1) == (200, "")
        first = answered(url)
        assert kept(url, first) == (200, "")
        second = answered(url)
        assert kept(url, first) == (404, "turn_not_found"), (
            "two answers, in events and as items, are more than is kept"
        )
        assert kept(url, second) == (200, "")
        for _ in range(2):
            first_event(stack.enter_context(create(url, "hold")))
        assert refusal(url, "threads.create", input=message("hello"))[0] == 429


def test_a_single_user_has_more_room_without_them(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    with serving("app:make", "--port", "0", folder=tmp_path) as server, ExitStack() as stack:
        url = server.url
        assert refusal(url, "threads.create", input=message("x" * 5000)) == (200, "")
        threads = [answered(url) for _ in range(2)]
        assert [kept(url, thread_id) for thread_id in threads] == [(200, ""), (200, "")]
        for _ in range(3):
            first_event(stack.enter_context(create(url, "hold")))
