"""A model behind the ``openai`` client alone, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkit.dialects.adapters import adapt_files
from chatkit.files import LocalFileStore
from chatkit.frameworks.openai import Api, ModelServer
from chatkit.store import MemoryStore
from chatkit.testing import ModelText, ModelThoughts, scripted_model_app
from chatkit.types import AttachmentCreateParams
from tests.files.page import PNG
from tests.frameworks.support import (
    ADA,
    EACH_MESSAGE_ONCE,
    create,
    done,
    talk_of_three,
    text_of,
    thread_of,
    titles_of,
)
from tests.support.live_server import live_server
from tests.support.scale import scaled

APIS: list[Api] = ["responses", "chat"]


@asynccontextmanager
async def serving(answers: list[Any], api: Api, **options: Any) -> AsyncGenerator[tuple[Any, Any], None]:
    """Yields a function that makes servers of the model, and the requests that the model got."""
    options = {"titles": False, **options}
    app = scripted_model_app(answers)
    with live_server(app) as live:
        async with DefaultAsyncHttpxClient() as http:
            client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key="k", http_client=http, max_retries=0)

            def make(store: Any) -> ModelServer[Any]:
                return ModelServer("m", store, client=client, api=api, **options)

            yield make, app.state.requests


def said(request: dict[str, Any]) -> list[Any]:
    return [entry["content"] for entry in request.get("input") or request["messages"]]


@pytest.mark.parametrize("api", APIS)
async def test_the_model_is_given_each_message_once(api: Api) -> None:
    async with serving(["A1", "A2", "A3", "A4", "A5"], api) as (make, requests):
        store = MemoryStore[Any]()
        await talk_of_three(make(store), make(store))
        assert [said(request) for request in requests] == EACH_MESSAGE_ONCE


@pytest.mark.parametrize("api", APIS)
async def test_thoughts_text_sources_and_titles(api: Api) -> None:
    cited = {
        "type": "url_citation",
        "url": "https://tea.example",
        "title": "Tea",
        "start_index": 0,
        "end_index": 1,
    }
    answer = [ModelThoughts(["It is a leaf."]), ModelText("A leaf.", citations=[cited])]
    async with serving([answer, "Tea"], api, titles=True, instructions="Be brief.") as (make, requests):
        server = make(MemoryStore())
        events = await create(server, "Tea?")
        async with asyncio.timeout(scaled(20)):
            await asyncio.gather(*titles_of(server))
        assert (await server.store.load_thread(thread_of(events), ADA)).title == "Tea"
        assert text_of(events) == "A leaf."
        (task,) = done(events, "workflow")[0]["workflow"]["tasks"]
        assert (task["type"], task["content"]) == ("thought", "It is a leaf.")
        sources = [
            annotation["source"]["url"]
            for item in done(events, "assistant_message")
            for part in item["content"]
            for annotation in part["annotations"]
        ]
        assert sources == (["https://tea.example"] if api == "responses" else [])
        assert "Be brief." in json.dumps(requests[0])


@pytest.mark.parametrize("api", APIS)
async def test_files_are_given_as_what_they_are(api: Api, tmp_path: Path) -> None:
    async with serving(["Seen."], api) as (make, requests):
        server = make(MemoryStore())
        server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
        ids: list[str] = []
        files = (
            ("a.png", "image/png", PNG),
            ("b.pdf", "application/pdf", b"%PDF-1.4"),
            ("c.txt", "text/plain", b"c"),
        )
        for name, kind, content in files:
            path = tmp_path / name
            path.write_bytes(content)
            params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
            ids.append(json.loads((await server.upload_attachment(params, path, ADA)).json)["id"])
        await create(server, "Look", attachments=ids)
        ((parts,),) = [said(request) for request in requests]
        kinds = {
            "responses": ["input_text", "input_image", "input_file", "input_text"],
            "chat": ["text", "image_url", "file", "text"],
        }
        assert [part["type"] for part in parts] == kinds[api]
        await server.close()
