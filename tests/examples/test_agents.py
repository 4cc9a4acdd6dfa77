"""The examples with a model, which here answers by a script behind HTTP; no key and no network is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatkit.testing import ModelText, ModelToolCall, scripted_model_app
from tests.examples.running import Example, Visitor, converse
from tests.support.live_server import live_server

SCRIPT = [ModelToolCall("time_of_day"), ModelText("It is noon."), ModelText("Still noon.")]


@contextmanager
def scripted_model() -> Iterator[tuple[dict[str, str], list[Any]]]:
    """Serves the script; yields the environment that leads to it, and what it is asked."""
    model = scripted_model_app(SCRIPT)
    with live_server(model) as server:
        yield (
            {"OPENAI_API_KEY": "unused", "OPENAI_BASE_URL": f"{server.url}/v1"},
            model.state.requests,
        )


@pytest.mark.parametrize("name", ["openai-agents", "pydantic-ai"])
def test_an_agent_calls_its_tool_and_answers(name: str, tmp_path: Path) -> None:
    with scripted_model() as (environment, requests):
        example = Example(name, tmp_path, CHAT_MODEL="openai-responses:scripted", **environment)
        with example.serving() as url, Visitor(url) as visitor:
            thread_id, items = converse(visitor, says="What time is it?", expects="It is noon.")
            (workflow,) = (item["workflow"] for item in items if item["type"] == "workflow")
            assert len(workflow["tasks"]) == 1
        with example.serving() as url, Visitor(url) as visitor:
            assert visitor.items(thread_id) == items
            visitor.say("And now?", thread_id)
            assert "Still noon." in str(visitor.items(thread_id)[-1])
        # Of the third request: what was said before the restart is given to the model.
        assert "What time is it?" in str(requests[2])
        assert "It is noon." in str(requests[2])


def test_pydantic_ai_needs_no_model(tmp_path: Path) -> None:
    example = Example("pydantic-ai", tmp_path)
    with example.serving() as url, Visitor(url) as visitor:
        converse(visitor, expects='"time_of_day"')
