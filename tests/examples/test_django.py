"""The Django example: sign-in, CSRF, a conversation, a client that leaves, and the end of the process."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.examples.running import LONG, Example, Visitor, begun, converse, message, partial_answer


def sign_in(visitor: Visitor) -> None:
    """Signs in as a browser does: the form's token goes back with it, the page's with each request."""
    form = {"username": "ada", "password": "analytical", "csrfmiddlewaretoken": token_of(visitor, "/sign-in")}
    assert visitor.post("/sign-in", data=form).headers["location"] == "/"
    page = visitor.get("/").text
    found = re.search(r'"X-CSRFToken", "(\w+)"', page)
    assert found is not None
    assert "Sign out ada" in page
    visitor.headers["X-CSRFToken"] = found[1]


def token_of(visitor: Visitor, path: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.get(path).text)
    assert found is not None
    return found[1]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example("django", tmp_path)


def test_a_conversation(example: Example) -> None:
    with example.serving() as url, Visitor(url) as visitor:
        assert visitor.get("/ui/chatkit.js").status_code == 200
        assert visitor.get("/").headers["location"] == "/sign-in?next=/"
        assert visitor.post("/chatkit", json=message("Hi")).status_code == 403

        # Not signed in, but with a token of the form.
        visitor.headers["X-CSRFToken"] = token_of(visitor, "/sign-in")
        refused = visitor.post("/chatkit", json=message("Hi"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated")

        sign_in(visitor)
        thread_id, items = converse(visitor, expects="ada, you said: Good morning")
        missing = visitor.post(
            "/chatkit", json={"type": "threads.get_by_id", "params": {"thread_id": "thr_no"}}
        )
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        del visitor.headers["X-CSRFToken"]
        assert visitor.post("/chatkit", json=message("Hi")).status_code == 403
    with example.serving() as url, Visitor(url) as visitor:
        sign_in(visitor)
        assert visitor.items(thread_id) == items


def test_an_answer_ends_with_its_client_and_with_the_process(example: Example) -> None:
    with ExitStack() as late, example.serving() as url:
        visitor = late.enter_context(Visitor(url))
        sign_in(visitor)
        with begun(visitor) as thread_id:
            pass
        assert 0 < len(partial_answer(visitor, thread_id)) < len(LONG)
        # Still read while the process ends.
        thread_id = late.enter_context(begun(visitor))
    with example.serving() as url, Visitor(url) as visitor:
        sign_in(visitor)
        assert visitor.threads()[0] == thread_id
        assert 0 < len(partial_answer(visitor, thread_id)) < len(LONG)
