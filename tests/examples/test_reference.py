"""The application of the reference: tokens, owners, an agent with a widget, an action, a failure, files in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from chatkit.testing import ModelToolCall, scripted_model_app
from tests.examples.running import PNG, Example, Visitor, message, shown
from tests.reference.turns import action
from tests.support.live_server import live_server
from tests.support.s3 import s3_server

BROKEN = RuntimeError("The model is away.")
# The client of the model asks three times.
SCRIPT = [
    ModelToolCall("offer", {"options": ["Tea", "Water"]}),
    "What will it be?",
    BROKEN,
    BROKEN,
    BROKEN,
    "A picture.",
]


def sign_in(example: Example, visitor: Visitor, name: str) -> None:
    token = example.run(["python", "accounts.py", name]).strip()
    visitor.headers["Authorization"] = f"Bearer {token}"


def test_the_application(tmp_path: Path) -> None:
    bucket = s3_server()
    model = scripted_model_app(SCRIPT)
    with live_server(model) as model_server:
        example = Example(
            "reference",
            tmp_path,
            OPENAI_BASE_URL=f"{model_server.url}/v1",
            S3_BUCKET=bucket.bucket,
            AWS_ENDPOINT_URL_S3=bucket.endpoint,
            AWS_DEFAULT_REGION=bucket.region,
            AWS_ACCESS_KEY_ID=bucket.access_key_id,
            AWS_SECRET_ACCESS_KEY=bucket.secret_access_key,
        )
        with example.serving() as url, Visitor(url) as ada, Visitor(url) as bob:
            assert ada.get("/health").json() == {"status": "ok"}
            assert ada.post("/chatkit", json=message("Hi")).status_code == 401
            wrong = {"Authorization": "Bearer wrong"}
            assert ada.post("/chatkit", json=message("Hi"), headers=wrong).status_code == 401
            sign_in(example, ada, "ada")
            sign_in(example, bob, "bob")

            events = ada.say("I am thirsty")
            assert shown(events) == "What will it be?"
            thread_id: str = events[0]["thread"]["id"]
            assert ada.threads() == [thread_id]
            kinds = [item["type"] for item in ada.items(thread_id)]
            assert kinds == ["user_message", "widget", "assistant_message"]
            button = ada.items(thread_id)[1]["widget"]["children"][0]
            clicked = button["onClickAction"]
            with ada.answer(action(thread_id, clicked["type"], clicked["payload"])) as answer:
                assert shown(list(answer)) == "You chose Tea."

            assert bob.threads() == []
            other = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
            assert bob.post("/chatkit", json=other).status_code == 404

            (error,) = (event for event in ada.say("Again", thread_id) if event["type"] == "error")
            assert error["message"] == "The assistant cannot answer now."
            assert error["allow_retry"]
            kept = ada.items(thread_id)

        with example.serving() as url, Visitor(url) as ada:
            sign_in(example, ada, "ada")
            assert ada.items(thread_id) == kept
            attachment = ada.attach("cup.png", PNG, "image/png")
            body = message("What is this?", thread_id)
            body["params"]["input"]["attachments"] = [attachment["id"]]
            with ada.answer(body) as answer:
                assert shown(list(answer)) == "A picture."
            asked: Any = model.state.requests[-1]["input"]
            (picture,) = (part for part in asked[-1]["content"] if part["type"] == "input_image")
            assert httpx2.get(picture["image_url"]).content == PNG
            ada.ask("threads.delete", thread_id=thread_id)
            assert ada.threads() == []
            assert httpx2.get(picture["image_url"]).status_code == 404


def test_a_page_of_the_named_origin_may_ask(tmp_path: Path) -> None:
    with Example("reference", tmp_path).serving() as url, Visitor(url) as visitor:
        for origin, status in (("http://localhost:5173", 200), ("https://evil.example", 400)):
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type",
            }
            assert visitor.options("/chatkit", headers=asked).status_code == status
