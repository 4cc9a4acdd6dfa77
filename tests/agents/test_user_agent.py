"""The name under which models are called: that of the package during turns, the SDK's own otherwise."""

# Looks at what is private to see that nothing is left.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import agents
import pytest
from agents import Agent, Runner
from agents.models import chatcmpl_helpers, openai_responses

import chatkit
from chatkit.server import agents_sdk_user_agent_override
from chatkit.testing import scripted_model_app
from tests.agents.support import QUIET, AgentServer, events_of, http_model
from tests.support.scale import scaled

OVERRIDES: list[Any] = [
    chatcmpl_helpers.HEADERS_OVERRIDE,
    openai_responses._HEADERS_OVERRIDE,
]
SDK = f"Agents/Python {agents.__version__}"
OURS = f"{SDK} ChatKit/Python {chatkit.__version__}"


def overrides() -> list[Any]:
    return [variable.get() for variable in OVERRIDES]


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_models_hear_of_it_in_turns_only(api: str) -> None:
    app = scripted_model_app(["Hi"], repeat=True)
    async with http_model(app, api) as model:
        server = AgentServer(model)
        await asyncio.gather(*[events_of(await server.create()) for _ in range(3)])
        assert {headers["user-agent"] for headers in app.state.headers} == {OURS}
        app.state.headers.clear()
        await Runner.run(Agent(name="Outside", model=model), "Hi", run_config=QUIET)
        assert [headers["user-agent"] for headers in app.state.headers] == [SDK]


async def test_nothing_leaks_from_a_turn_that_is_stopped() -> None:
    reached, never = asyncio.Event(), asyncio.Event()
    inside: list[Any] = []

    async def hang() -> None:
        reached.set()
        await never.wait()

    class Watching(AgentServer):
        async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
            inside.extend(overrides())
            async for event in super().respond(thread, input, context):
                yield event

    app = scripted_model_app(["One two three"], before_each_event=hang)
    async with http_model(app, "responses") as model, asyncio.timeout(scaled(60)):
        server = Watching(model)
        result = await server.create()
        reading = asyncio.create_task(events_of(result))
        await reached.wait()
        await server.ask("turns.stop", thread_id=result.thread_id)
        await reading
    assert inside == [{"User-Agent": OURS}] * 2
    assert overrides() == [None, None]


def test_it_can_be_had_outside_of_turns() -> None:
    with agents_sdk_user_agent_override():
        assert overrides() == [{"User-Agent": OURS}] * 2
        with agents_sdk_user_agent_override():
            assert overrides() == [{"User-Agent": OURS}] * 2
        assert overrides() == [{"User-Agent": OURS}] * 2
    assert overrides() == [None, None]


def test_an_override_of_the_application_stays() -> None:
    token = OVERRIDES[0].set({"X-Mine": "1"})
    other = OVERRIDES[1].set({"User-Agent": "mine"})
    try:
        with agents_sdk_user_agent_override():
            assert overrides() == [{"X-Mine": "1", "User-Agent": OURS}, {"User-Agent": "mine"}]
        assert overrides() == [{"X-Mine": "1"}, {"User-Agent": "mine"}]
    finally:
        OVERRIDES[0].reset(token)
        OVERRIDES[1].reset(other)


def test_without_the_sdk_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "agents" or name.startswith("agents.")]:
        monkeypatch.delitem(sys.modules, name)
    with agents_sdk_user_agent_override():
        assert overrides() == [None, None]
        assert "agents" not in sys.modules
