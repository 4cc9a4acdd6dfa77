"""The example with LiteLLM, which streams from servers of two providers' APIs on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit.testing import ModelText, ModelThoughts, scripted_model_app
from tests.examples.litellm_environment import litellm_python
from tests.examples.messages_api import messages_app
from tests.examples.running import Example, Held, Visitor, converse, message, shown
from tests.support.live_server import live_server

pytestmark = pytest.mark.timeout(900)  # The environment may have to be made first.

MODELS = "openai/scripted,anthropic/scripted"


def test_the_user_picks_among_the_models_of_two_providers(tmp_path: Path) -> None:
    python = litellm_python()
    one = scripted_model_app([ModelText("I am the first."), ModelText("Here I am again.")])
    other = messages_app([[ModelThoughts(["Who am I?"]), ModelText("I am the second.")]])
    with live_server(one) as first, live_server(other) as second:
        example = Example(
            "litellm",
            tmp_path,
            python=python,
            CHAT_MODELS=MODELS,
            OPENAI_API_KEY="unused",
            OPENAI_API_BASE=f"{first.url}/v1",
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_API_BASE=second.url,
        )
        with example.serving() as url, Visitor(url) as visitor:
            thread_id, items = converse(visitor, expects="I am the first.")
            body = message("And you?", thread_id)
            body["params"]["input"]["inference_options"] = {"model": "anthropic/scripted"}
            with visitor.answer(body) as answer:
                assert shown(list(answer)) == "I am the second."
        with example.serving() as url, Visitor(url) as visitor:
            assert visitor.items(thread_id)[: len(items)] == items
            assert "Here I am again." in shown(visitor.say("Once more", thread_id))
        assert "I am the first." in str(other.state.requests[0]["messages"])
        assert "I am the second." in str(one.state.requests[1]["messages"])


def test_a_model_that_fails_is_told_in_the_users_words(tmp_path: Path) -> None:
    python = litellm_python()
    model = scripted_model_app([RuntimeError("The insides of the model")] * 9)
    with live_server(model) as server:
        variables = {"OPENAI_API_KEY": "unused", "OPENAI_API_BASE": f"{server.url}/v1", "CHAT_MODELS": MODELS}
        with (
            Example("litellm", tmp_path, python=python, **variables).serving() as url,
            Visitor(url) as visitor,
        ):
            (error,) = (event for event in visitor.say("Hello") if event["type"] == "error")
            assert error["allow_retry"]
            assert "insides" not in error["message"]
            assert "model" in error["message"]


def test_a_stop_ends_the_stream_of_the_model(tmp_path: Path) -> None:
    python, held = litellm_python(), Held(after=4)
    model = scripted_model_app([ModelText("A long story.", pieces=12)], before_each_event=held.wait)
    with live_server(model) as server:
        variables = {"OPENAI_API_KEY": "unused", "OPENAI_API_BASE": f"{server.url}/v1", "CHAT_MODELS": MODELS}
        with (
            Example("litellm", tmp_path, python=python, **variables).serving() as url,
            Visitor(url) as visitor,
        ):
            kept = held.stop_meanwhile(visitor)["content"][0]["text"]
            assert kept
            assert "A long story.".startswith(kept)
