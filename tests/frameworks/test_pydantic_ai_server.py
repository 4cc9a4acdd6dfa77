"""An agent of Pydantic AI, served as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, BinaryContent, CallDeferred, DeferredToolRequests
from pydantic_ai import messages as ai
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from chatkit.dialects.adapters import adapt_files
from chatkit.files import LocalFileStore
from chatkit.frameworks.pydantic_ai import AgentServer
from chatkit.store import MemoryStore
from chatkit.types import AttachmentCreateParams
from tests.files.page import PNG
from tests.frameworks.support import (
    ADA,
    EACH_MESSAGE_ONCE,
    ask,
    create,
    done,
    talk_of_three,
    text_of,
    thread_of,
    titles_of,
)
from tests.support.scale import scaled


class Script:
    """Answers in order, and keeps what it was given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[list[ai.ModelMessage]] = []

    def model(self) -> FunctionModel:
        return FunctionModel(self.complete, stream_function=self.stream)

    def complete(self, messages: list[ai.ModelMessage], info: AgentInfo) -> ai.ModelResponse:
        self.requests.append(messages)
        return ai.ModelResponse(parts=[ai.TextPart(self._next())])

    async def stream(self, messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        self.requests.append(messages)
        yield self._next()

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def serve(script: Script, store: Any = None, *, agent: Any = None, **options: Any) -> AgentServer[Any]:
    options = {"titles": False, **options}
    return AgentServer(agent or Agent(script.model()), MemoryStore() if store is None else store, **options)


def said(messages: list[ai.ModelMessage]) -> list[str]:
    return [
        str(part.content)
        for message in messages
        for part in message.parts
        if isinstance(part, ai.UserPromptPart | ai.TextPart)
    ]


async def test_the_model_is_given_each_message_once() -> None:
    script, store = Script("A1", "A2", "A3", "A4", "A5"), MemoryStore[Any]()
    await talk_of_three(serve(script, store), serve(script, store))
    assert [said(request) for request in script.requests] == EACH_MESSAGE_ONCE


async def test_pictures_and_texts_are_given(tmp_path: Path) -> None:
    script = Script("Seen.")
    server = serve(script)
    server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
    ids: list[str] = []
    for name, kind, content in (("a.png", "image/png", PNG), ("b.txt", "text/plain", b"Dear diary")):
        path = tmp_path / name
        path.write_bytes(content)
        params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
        ids.append(json.loads((await server.upload_attachment(params, path, ADA)).json)["id"])
    await create(server, "Look", attachments=ids)
    ((request,),) = script.requests
    part: Any = request.parts[0]
    text, picture, diary = part.content
    assert (text, diary) == ("Look", "The file b.txt was attached:\n\nDear diary")
    assert isinstance(picture, BinaryContent)
    assert (picture.data, picture.media_type) == (PNG, "image/png")
    await server.close()


async def test_a_tool_of_the_page() -> None:
    calls = {
        0: DeltaToolCall(name="show_map", json_args='{"city": "Rome"}', tool_call_id="c1"),
        1: DeltaToolCall(name="look_up", json_args='{"word": "Rome"}', tool_call_id="c2"),
    }
    script = Script(calls, "There it is.")
    agent = Agent(script.model(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain
    async def show_map(city: str) -> str:
        raise CallDeferred

    @agent.tool_plain
    async def look_up(word: str) -> str:
        return f"{word}: a city"

    server = serve(script, agent=agent)
    events = await create(server, "Rome?")
    (call,) = done(events, "client_tool_call")
    assert (call["name"], call["arguments"]) == ("show_map", {"city": "Rome"})
    assert text_of(events) == ""
    params = {"thread_id": thread_of(events), "result": {"shown": True}}
    events = await ask(server, "threads.add_client_tool_output", **params)
    assert text_of(events) == "There it is."
    returns = {
        part.tool_call_id: part.content
        for message in script.requests[1]
        for part in message.parts
        if isinstance(part, ai.ToolReturnPart)
    }
    assert returns == {"c1": {"shown": True}, "c2": "Rome: a city"}
    assert said(script.requests[1]) == ["Rome?"]


async def test_a_run_that_waits_for_an_approval_says_so() -> None:
    script = Script({0: DeltaToolCall(name="delete_all", json_args="{}", tool_call_id="c1")})
    agent = Agent(script.model(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain
    async def delete_all() -> str:
        raise ApprovalRequired

    events = await create(serve(script, agent=agent))
    (notice,) = [event for event in events if event["type"] == "notice"]
    assert notice["message"].startswith("delete_all: this needs an approval")
    assert text_of(events) == ""


@pytest.mark.parametrize(("picked", "answer"), [("small", "Small."), ("other", "Usual."), (None, "Usual.")])
async def test_the_user_picks_one_of_the_models(picked: str | None, answer: str) -> None:
    server = serve(Script("Usual."), models={"small": Script("Small.").model()})
    assert text_of(await create(server, model=picked)) == answer


async def test_titles_by_a_model_of_their_own_never_harm_the_answer() -> None:
    titles = Script(RuntimeError("away"), "«A talk about tea»")
    server = serve(Script("Yes.", "Yes."), titles=True, title_model=titles.model())
    made: list[str | None] = []
    for _ in range(2):
        events = await create(server, "Tea?")
        assert text_of(events) == "Yes."
        async with asyncio.timeout(scaled(20)):
            await asyncio.gather(*titles_of(server))
        made.append((await server.store.load_thread(thread_of(events), ADA)).title)
    assert made == ["Tea?", "A talk about tea"]
    await server.close()
