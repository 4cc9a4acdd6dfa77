"""A workflow as Agent Builder exports it: several agents with handoffs, a guardrail and file search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    FileSearchTool,
    GuardrailFunctionOutput,
    RunConfig,
    RunContextWrapper,
    input_guardrail,
)

from chatkit.agents import AgentContext, AgentServer
from chatkit.hosted import HostedContext, create_hosted_app
from chatkit.store import SQLiteStore
from chatkit.testing import ModelToolCall, ScriptedModel
from tests.hosted.sample import ACME, KEYS, Caller, Page, httpx2_events
from tests.support.live_server import live_server


@input_guardrail
async def no_secrets(
    context: RunContextWrapper[AgentContext[HostedContext]], agent: Agent[Any], given: Any
) -> GuardrailFunctionOutput:
    """Lets nobody ask for passwords."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered="password" in str(given))


def workflow(model: ScriptedModel) -> Agent[Any]:
    manuals = FileSearchTool(vector_store_ids=["vs_manuals"], max_num_results=5)
    returns = Agent[Any](name="returns", instructions="Takes returns.", model=model, tools=[manuals])
    return Agent[Any](
        name="triage", instructions="Sorts.", model=model, handoffs=[returns], input_guardrails=[no_secrets]
    )


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(
        [ModelToolCall("transfer_to_returns", {}), "Send it back.", "It takes a week.", "Hm."]
    )


def test_its_agents_answer_page_and_server(model: ScriptedModel, tmp_path: Path) -> None:
    store = SQLiteStore[HostedContext](tmp_path / "chat.db")
    server = AgentServer[HostedContext](
        workflow(model), store, titles=False, run_config=RunConfig(tracing_disabled=True)
    )
    with live_server(create_hosted_app({"wf_68f0": server}, KEYS)) as running:
        call = Caller("sync", running.url, ACME)
        session = call("sessions.create", user="ada", workflow={"id": "wf_68f0"})
        page = Page(running.url, session.client_secret)
        thread_id = page.say("My lamp is broken.")
        page.say("How long does it take?", thread_id)
        said = call("threads.list_items", thread_id, order="asc")
        texts = [
            "".join(part.text for part in item.content) for item in said if item.type.endswith("_message")
        ]
        assert texts == ["My lamp is broken.", "Send it back.", "How long does it take?", "It takes a week."]
        # Handed over with the tool of the agent that answers.
        assert [[tool.name for tool in request.tools] for request in model.requests] == [
            [],
            ["file_search"],
            [],
        ]
        asked = page.post(
            "threads.add_user_message",
            thread_id=thread_id,
            input={
                "content": [{"type": "input_text", "text": "What is the password?"}],
                "attachments": [],
                "inference_options": {},
            },
        )
        (error,) = [event for event in httpx2_events(asked) if event["type"] == "error"]
        assert error["message"] == "This cannot be answered here."
        assert not error["allow_retry"]
