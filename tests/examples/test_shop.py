"""The shop that the tutorial builds: over HTTP, on both databases; and its files are what the tutorial shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.examples.running import EXAMPLES, Example, Visitor, message, shown

TUTORIAL = (EXAMPLES.parent / "docs" / "tutorial.md").read_text()
SHOP = EXAMPLES / "shop"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """Returns the environment that names the database."""
    if request.param == "sqlite":
        return {}
    return {"SHOP_DATABASE": request.getfixturevalue("postgres_database")}


def test_the_shop(tmp_path: Path, database: dict[str, str]) -> None:
    example = Example("shop", tmp_path, SHOP_SECRET="not a secret, in a test" * 2, **database)
    with example.serving() as url, Visitor(url) as ada, Visitor(url) as bob:
        assert ada.post("/chatkit", json=message("Hi")).status_code == 401
        assert ada.get("/sign-in/ada", follow_redirects=True).headers["content-type"].startswith("text/html")
        bob.get("/sign-in/bob")

        events = ada.say("Where is order 1042?")
        assert shown(events) == "Order 1042, a teapot, is on its way."
        thread_id: str = events[0]["thread"]["id"]
        (steps,) = (item["workflow"] for item in ada.items(thread_id) if item["type"] == "workflow")
        assert [task["title"] for task in steps["tasks"]] == ["Find order"]
        assert ada.ask("threads.get_by_id", thread_id=thread_id)["title"] == "Help with an order"

        card = widget(ada.say("Show me order 1042", thread_id))
        button = card["widget"]["children"][-1]
        assert shown(press(ada, card, button["onClickAction"])) == "Order 1042 is cancelled."
        assert [event["type"] for event in press(ada, card, button["onClickAction"])][-1] == "notice"

        form = widget(ada.say("I want to return 1043", thread_id))
        submit = form["widget"]["children"][0]["onSubmitAction"]
        (told,) = press(ada, form, submit, reason=None)[1:]
        assert told["message"] == "Choose a reason first."
        assert "label" in shown(press(ada, form, submit, reason="broken", note="The lid."))
        kept = {item["id"]: item for item in ada.items(thread_id)}
        states = [
            part["label"]
            for item in (card, form)
            for part in kept[item["id"]]["widget"]["children"]
            if part["type"] == "Badge"
        ]
        assert states == ["cancelled", "coming back (broken)"]
        assert "Button" not in str([kept[item["id"]] for item in (card, form)])

        file = {"file": ("bill.txt", b"The bill of order 1043.", "text/plain")}
        attachment = ada.post("/chatkit/files", files=file).json()
        body = message("What about this one?", thread_id)
        body["params"]["input"]["attachments"] = [attachment["id"]]
        with ada.answer(body) as answer:
            events = list(answer)
        assert shown(events) == "Order 1043, six cups, is coming back (broken)."

        disliked = events[-1]["item"]["id"]
        ada.ask("items.feedback", thread_id=thread_id, item_ids=[disliked], kind="negative")
        assert example.run(["python", "feedback.py"]).split() == ["ada", thread_id, disliked]

        assert bob.threads() == []
        assert shown(bob.say("Where is order 1043?")) == "Order 1043, six cups, is on its way."
        items = ada.items(thread_id)
        cookie = ada.cookies["session"]
    with example.serving() as url, Visitor(url, Cookie=f"session={cookie}") as ada:
        assert ada.items(thread_id) == items


def widget(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the widget among the items of an answer."""
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    (found,) = (item for item in done if item["type"] == "widget")
    return found


def press(
    visitor: Visitor, item: dict[str, Any], action: dict[str, Any], **values: str | None
) -> list[dict[str, Any]]:
    """Sends the action of a button, or of a form with these values; returns the events of the answer."""
    sent = {"type": action["type"], "payload": action["payload"] | values}
    params = {"thread_id": item["thread_id"], "item_id": item["id"], "action": sent}
    with visitor.answer({"type": "threads.custom_action", "params": params}) as events:
        return list(events)


def test_the_files_are_those_of_the_tutorial() -> None:
    blocks = re.findall(r"^```(\w+)\n# (\w+\.py)\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    files: dict[str, str] = {}
    for language, name, text in blocks:
        if language == "python":
            assert name not in files, f"{name} is there twice"
            files[name] = text
            continue
        # What changes: new lines begin with a plus, and stand between some that are there.
        for hunk in text.split("\n...\n"):
            lines = hunk.rstrip("\n").splitlines()
            before = "".join(f"{line[2:]}\n" for line in lines if line[:1] != "+")
            after = "".join(f"{line[2:]}\n" for line in lines)
            assert files[name].count(before) == 1, before
            files[name] = files[name].replace(before, after)
    assert files.pop("hello.py")
    # The tutorial's own test.
    assert files.pop("ask.py")
    assert {path.name: path.read_text() for path in SHOP.glob("*.py")} == files
