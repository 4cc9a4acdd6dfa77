"""Each example is set up and served as its README says, and has a conversation that survives a restart."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, NAMES, Example, Visitor, converse

ROOT = EXAMPLES.parent
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_is_short_and_right(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    assert len(text.splitlines()) <= 30
    (extras,) = re.findall(r"^pip install '\.\[([\w,-]+)\]'", text, re.MULTILINE)
    assert set(extras.split(",")) <= EXTRAS
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (EXAMPLES / name / target).exists(), target
    for file in re.findall(r"`(\w+\.(?:py|html))`", text):
        assert list((EXAMPLES / name).rglob(file)), file


def test_the_index_names_each_example() -> None:
    index = (ROOT / "docs/examples.md").read_text()
    assert sorted(re.findall(r"\]\(\.\./examples/([\w-]+)/README\.md\)", index)) == NAMES


@pytest.mark.parametrize("name", ["minimal", "own-store"])
def test_an_example_for_one_user(name: str, tmp_path: Path) -> None:
    example = Example(name, tmp_path)
    expects = "Good morning" if name == "minimal" else ""
    with example.serving() as url, Visitor(url) as visitor:
        page = visitor.get("/")
        assert page.headers["content-type"].startswith("text/html")
        thread_id, items = converse(visitor, expects=expects)
    with example.serving() as url, Visitor(url) as visitor:
        assert visitor.threads() == [thread_id]
        assert visitor.items(thread_id) == items
        visitor.say("And again", thread_id)
        assert len(visitor.items(thread_id)) > len(items)
        visitor.ask("threads.delete", thread_id=thread_id)
        assert visitor.threads() == []


def test_fastapi_sign_in(tmp_path: Path) -> None:
    example = Example("fastapi-sign-in", tmp_path)
    ada = {"name": "ada", "password": "analytical"}
    with example.serving() as url, Visitor(url) as visitor, Visitor(url) as other:
        body = {"type": "threads.list", "params": {}}
        assert visitor.post("/chatkit", json=body).status_code == 401
        wrong = visitor.post("/sign-in", data=ada | {"password": "wrong"})
        assert wrong.status_code == 401
        assert visitor.post("/chatkit", json=body).status_code == 401

        signed_in = visitor.post("/sign-in", data=ada)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/chat/")
        assert "httponly" in signed_in.headers["set-cookie"].lower()
        assert visitor.get("/chat/").headers["content-type"].startswith("text/html")
        assert "Signed in as ada" in visitor.get("/").text
        thread_id, items = converse(visitor, expects="ada, you said: Good morning")

        other.post("/sign-in", data={"name": "grace", "password": "nanosecond"})
        assert other.threads() == []
        assert (
            other.post(
                "/chatkit", json={"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
            ).status_code
            == 404
        )

        kept = visitor.cookies["session"]
        visitor.post("/sign-out")
        for cookies in ({}, {"Cookie": f"session={kept}"}):
            assert visitor.post("/chatkit", json=body, headers=cookies).status_code == 401
    with example.serving() as url, Visitor(url) as visitor:
        visitor.post("/sign-in", data=ada)
        assert visitor.items(thread_id) == items
