"""The example with the anthropic client, which streams from a server of its API on this machine."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chatkit.testing import ModelText, ModelThoughts, ModelToolCall
from tests.examples.messages_api import messages_app
from tests.examples.running import PNG, Example, Held, Visitor, converse, message, shown
from tests.support.live_server import live_server


@contextmanager
def served(tmp_path: Path, answers: list[Any], **options: Any) -> Iterator[tuple[Visitor, Any]]:
    """Serves the example and its model; yields a visitor and what the model's server knows."""
    model = messages_app(answers, **options)
    with live_server(model) as server:
        variables = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "unused"}
        with Example("anthropic", tmp_path, **variables).serving() as url, Visitor(url) as visitor:
            yield visitor, model.state


def test_a_conversation_with_a_tool_and_a_picture(tmp_path: Path) -> None:
    script = [
        [ModelThoughts(["They want the time."]), ModelText("I look. "), ModelToolCall("time_of_day")],
        ModelText("It is noon."),
        ModelText("A cup."),
    ]
    with served(tmp_path, script) as (visitor, model):
        events = visitor.say("What time is it?")
        assert shown(events) == "It is noon."
        thread_id = events[0]["thread"]["id"]
        kinds = [item["type"] for item in visitor.items(thread_id)]
        assert kinds == ["user_message", "workflow", "assistant_message", "workflow", "assistant_message"]
        thought, clock = (
            item["workflow"]["tasks"] for item in visitor.items(thread_id) if item["type"] == "workflow"
        )
        assert thought[0]["content"] == "They want the time."
        assert (clock[0]["title"], clock[0]["status_indicator"]) == ("Looking at the clock", "complete")
        first, second = (request["messages"] for request in model.requests)
        assert first == [{"role": "user", "content": [{"type": "text", "text": "What time is it?"}]}]
        assert [block["type"] for block in second[1]["content"]] == ["thinking", "text", "tool_use"]
        assert second[2]["content"][0]["tool_use_id"] == second[1]["content"][2]["id"]
        # As x-api-key or as a bearer: versions of the client differ.
        assert "unused" in " ".join(model.headers[0].values())

        picture = visitor.attach("cup.png", PNG, "image/png")
        with visitor.answer(message("And this?", thread_id, [picture["id"]])) as answer:
            assert shown(list(answer)) == "A cup."
        image, text = model.requests[2]["messages"][-1]["content"]
        assert image["source"]["media_type"] == "image/png"
        assert base64.b64decode(image["source"]["data"]) == PNG
        assert text["text"] == "And this?"
        # What was said before is given to the model.
        assert "It is noon." in str(model.requests[2]["messages"])


def test_a_model_that_is_overloaded_is_told_in_the_users_words(tmp_path: Path) -> None:
    # The client asks three times.
    with served(tmp_path, [OverflowError("Overloaded")] * 3) as (visitor, model):
        (error,) = (event for event in visitor.say("Hello") if event["type"] == "error")
        assert error["allow_retry"]
        assert "model" in error["message"]
        assert "Overloaded" not in error["message"]
        assert len(model.requests) == 3


def test_a_stop_ends_the_stream_of_the_model(tmp_path: Path) -> None:
    held = Held(after=7)
    script = [ModelText("A long story.", pieces=12)]
    with served(tmp_path, script, before_each_event=held.wait) as (visitor, model):
        kept = held.stop_meanwhile(visitor)["content"][0]["text"]
        assert kept
        assert "A long story.".startswith(kept)
        assert model.open_streams == 0


def test_a_conversation_survives_a_restart(tmp_path: Path) -> None:
    model = messages_app([ModelText("Good morning."), ModelText("Still here.")])
    with live_server(model) as server:
        example = Example("anthropic", tmp_path, ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY="unused")
        with example.serving() as url, Visitor(url) as visitor:
            thread_id, items = converse(visitor, expects="Good morning.")
        with example.serving() as url, Visitor(url) as visitor:
            assert visitor.items(thread_id) == items
            assert "Still here." in shown(visitor.say("And now?", thread_id))
        assert "Good morning." in str(model.state.requests[1])
