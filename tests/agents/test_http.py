"""Models over real HTTP, by the client of OpenAI: the Responses API and Chat Completions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import RunContextWrapper, function_tool

from chatkit.agents import AgentContext
from chatkit.testing import ModelRefusal, ModelText, ModelThoughts, ModelToolCall, scripted_model_app
from chatkit.types import CustomTask
from tests.agents.support import AgentServer, events_of, http_model
from tests.server.support import ADA


@function_tool
async def note(ctx: RunContextWrapper[AgentContext[Any]], word: str) -> str:
    await ctx.context.add_workflow_task(CustomTask(title=word))
    return "noted"


ANSWERS = [
    [ModelThoughts(["First I think"]), ModelText("I note it"), ModelToolCall("note", {"word": "x"})],
    [ModelThoughts(["Then I say"]), ModelText("Noted")],
]


@pytest.fixture(params=["responses", "chat"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    app = scripted_model_app([*ANSWERS, *ANSWERS, ModelRefusal("I will not")])
    async with http_model(app, request.param) as made:
        made.app = app
        yield made


async def test_each_item_has_an_id_of_its_own_in_all_its_events(model: Any) -> None:
    server = AgentServer(model, tools=[note])
    seen: list[str] = []
    for _ in range(2):
        events = await events_of(await server.create())
        assert events[-1]["type"] == "thread.item.done", events[-1]
        pending: set[str] = set()
        for event in events[1:]:
            match event["type"]:
                case "thread.item.added":
                    pending.add(event["item"]["id"])
                    seen.append(event["item"]["id"])
                case "thread.item.updated":
                    assert event["item_id"] in pending
                case "thread.item.done" if event["item"]["type"] != "user_message":
                    pending.remove(event["item"]["id"])
                case _:
                    pass
        assert pending == set()
        page = await server.store.load_thread_items(events[0]["thread"]["id"], None, 100, "asc", ADA)
        stored: list[Any] = page.data
        assert [item.content[0].text for item in stored if item.type == "assistant_message"] == [
            "I note it",
            "Noted",
        ]
        tasks = [task for item in stored if item.type == "workflow" for task in item.workflow.tasks]
        assert [task.content for task in tasks if task.type == "thought"] == ["First I think", "Then I say"]
    assert len(seen) == len(set(seen))
    assert "__fake_id__" not in seen
    assert {headers["authorization"] for headers in model.app.state.headers} == {"Bearer secret"}
    # Newer versions of the SDK raise an error behind a refusal.
    refused = await events_of(await server.create())
    shown = [event["item"] for event in refused if event["type"] == "thread.item.done"]
    assert shown[-1]["content"][0]["text"] == "I will not"


async def test_an_error_of_the_model_is_an_error_of_the_turn(
    model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = AgentServer(model, tools=[note])
    model.app.state.requests.extend([None] * 5)
    events = await events_of(await server.create())
    assert events[-1] == {"type": "error", "code": "stream.error", "allow_retry": True}
    assert "its script has 5 answers" in caplog.text
