"""A page that talks to an application with files, and applications for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request

from chatkit.errors import AuthenticationError
from chatkit.web import create_app
from chatkit.web.fastapi import chatkit_router
from tests.support.live_server import live_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer, message
from tests.web.test_app import error_of, events

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))
HTML = b"<!doctype html><script>alert(document.domain)</script>"

__all__ = ["HTML", "PNG", "Page", "error_of", "make_app", "pages"]


def who(request: Request) -> dict[str, str]:
    """The context: whoever the header names."""
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not name:
        raise AuthenticationError
    return {"user_id": name}


def make_app(server: SampleServer, framework: str = "starlette", **options: Any) -> Starlette:
    """Returns an application of either framework; the one of FastAPI has the router below a prefix."""
    if framework == "starlette":
        return create_app(server, context=who, **options)
    app = FastAPI()
    app.include_router(chatkit_router(server, context=who, **options), prefix="/api")
    return app


class Page:
    """What the page of a user does.

    Attributes:
        client: Sends the user's requests to the application.
        url: Where the protocol is spoken.
    """

    def __init__(self, base: str, user: str, path: str = "/chatkit") -> None:
        headers = {"Authorization": f"Bearer {user}"} if user else {}
        self.client = httpx2.Client(base_url=base, timeout=scaled(20), headers=headers)
        self.url = path

    def ask(self, kind: str, **params: Any) -> httpx2.Response:
        return self.client.post(self.url, json={"type": kind, "params": params})

    def announce(
        self, content: bytes, mime_type: str = "image/png", name: str = "a.png", size: int | None = None
    ) -> dict[str, Any]:
        answer = self.ask(
            "attachments.create",
            name=name,
            size=len(content) if size is None else size,
            mime_type=mime_type,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, attachment: dict[str, Any], content: bytes, **headers: str) -> httpx2.Response:
        """Uploads as the descriptor says; without the user's credentials, which buckets must not get."""
        descriptor = attachment["upload_descriptor"]
        return httpx2.request(
            descriptor["method"],
            descriptor["url"],
            content=content,
            headers={**descriptor["headers"], **{name.replace("_", "-"): headers[name] for name in headers}},
            timeout=scaled(20),
        )

    def upload(self, content: bytes, mime_type: str = "image/png", name: str = "a.png") -> dict[str, Any]:
        attachment = self.announce(content, mime_type, name)
        answer = self.put(attachment, content)
        assert 200 <= answer.status_code < 300, answer.text
        return attachment

    def send(self, *attachment_ids: str, **params: Any) -> httpx2.Response:
        body = message("look", **params)
        body["params"]["input"]["attachments"] = list(attachment_ids)
        return self.client.post(self.url, json=body)

    def new_thread(self, *attachment_ids: str) -> tuple[str, dict[str, Any]]:
        """Returns the id of a new thread and its message."""
        answer = self.send(*attachment_ids)
        assert answer.status_code == 200, answer.text
        sent = events(answer.content)
        return sent[0]["thread"]["id"], sent[1]["item"]

    def stored_message(self, thread_id: str) -> dict[str, Any]:
        answer = self.ask("threads.get_by_id", thread_id=thread_id)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]["data"][0]

    def threads(self) -> list[str]:
        found = self.ask("threads.list", limit=100, order="desc").json()["data"]
        return [thread["id"] for thread in found]


@contextmanager
def pages(app: Any, path: str = "/chatkit") -> Iterator[tuple[Page, Page]]:
    """Serves an application; yields the pages of two users."""
    with live_server(app) as server:
        alice, bob = (Page(server.url, name, path) for name in ("alice", "bob"))
        with alice.client, bob.client:
            yield alice, bob
