"""The built-in assistant with a model, in this process."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chatkit.demo.assistant import AssistantServer, first_model, make_assistant
from chatkit.dialects.adapters import adapt_files
from chatkit.errors import ConfigurationError
from chatkit.files import LocalFileStore
from chatkit.frameworks.titles import first_words, tidied
from chatkit.store import MemoryStore
from chatkit.testing import ModelText, ScriptedModel, scripted_model_app
from chatkit.types import AttachmentCreateParams, HiddenContextItem, ThreadMetadata
from tests.files.page import PNG
from tests.support.live_server import live_server
from tests.support.scale import scaled

USER = {"user_id": "ada"}


class Model(ScriptedModel):
    """Answers at once; a title is made when it is released.

    Attributes:
        asked: Set when a title was asked for.
        release: To be set for the title to be made.
    """

    def __init__(self, *answers: Any, **options: Any) -> None:
        super().__init__(answers, **options)
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    async def get_response(self, *arguments: Any, **named: Any) -> Any:
        self.asked.set()
        await self.release.wait()
        return await super().get_response(*arguments, **named)


def message(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}, **more}


async def ask(
    server: AssistantServer, type: str, user: dict[str, str] = USER, **params: Any
) -> list[dict[str, Any]]:
    body = json.dumps({"type": type, "params": params})
    async with asyncio.timeout(scaled(20)):
        return [json.loads(frame[6:]) async for frame in await server.process(body, user)]


async def create(server: AssistantServer, text: str = "How do I make tea?") -> list[dict[str, Any]]:
    return await ask(server, "threads.create", input=message(text))


async def title_of(server: AssistantServer, thread_id: str) -> str | None:
    return (await server.store.load_thread(thread_id, USER)).title


async def titles_made(server: AssistantServer) -> None:
    async with asyncio.timeout(scaled(20)):
        await asyncio.gather(*server._titles.values())


def seen_titles(events: list[dict[str, Any]]) -> list[str]:
    return [event["thread"]["title"] for event in events if event["type"] == "thread.updated"]


async def test_a_title_that_is_ready_in_time_is_told() -> None:
    sent = 0

    async def hold_the_end() -> None:
        nonlocal sent
        sent += 1
        if sent == 8:
            await model.asked.wait()
            await titles_made(server)

    model = Model(ModelText("Boil water.", pieces=8), "Making tea", before_each_event=hold_the_end)
    model.release.set()
    server = AssistantServer(MemoryStore(), model)
    events = await create(server)
    assert seen_titles(events) == ["Making tea"]
    assert await title_of(server, events[0]["thread"]["id"]) == "Making tea"
    await server.close()


async def test_a_late_title_is_stored_and_delays_nothing() -> None:
    model = Model("Boil water.", "Making tea")
    server = AssistantServer(MemoryStore(), model)
    events = await create(server)
    thread_id = events[0]["thread"]["id"]
    assert model.asked.is_set()
    assert seen_titles(events) == []
    assert await title_of(server, thread_id) is None
    model.release.set()
    await titles_made(server)
    assert await title_of(server, thread_id) == "Making tea"
    await server.close()


async def test_one_title_is_asked_for_while_turns_follow_each_other() -> None:
    model = Model("Boil water.", "Then wait.", "Making tea", "Another title")
    server = AssistantServer(MemoryStore(), model)
    thread_id = (await create(server))[0]["thread"]["id"]
    await ask(server, "threads.add_user_message", thread_id=thread_id, input=message("And then?"))
    model.release.set()
    await titles_made(server)
    assert await title_of(server, thread_id) == "Making tea"
    assert len(model.requests) == 3
    await server.close()


class SameIds(MemoryStore[Any]):
    """Gives the threads of all owners the same id."""

    def generate_thread_id(self, context: Any) -> str:
        return "thr_1"


async def test_owners_with_the_same_thread_id_get_a_title_each() -> None:
    model = Model("Boil water.", "Pour it.", "A title", "A title")
    store = SameIds()
    server = AssistantServer(store, model)
    users = [{"user_id": "ada"}, {"user_id": "bob"}]
    for user in users:
        await ask(server, "threads.create", user, input=message("How do I make tea?"))
    model.release.set()
    await titles_made(server)
    assert [(await store.load_thread("thr_1", user)).title for user in users] == ["A title", "A title"]
    await server.close()


async def test_one_title_is_asked_for_while_turns_overlap() -> None:
    """The second turn begins, and ends, while the first one runs, which has stored its title."""
    sent = 0

    async def answer_another_message() -> None:
        nonlocal sent
        sent += 1
        if sent != 8:
            return
        await model.asked.wait()
        await titles_made(server)
        (thread,) = (await server.store.load_threads(10, None, "desc", USER)).data
        assert thread.title == "Making tea"
        await ask(server, "threads.add_user_message", thread_id=thread.id, input=message("And then?"))
        await titles_made(server)

    answers = [ModelText("Boil water.", pieces=8), "Making tea", "Then wait.", "Another title"]
    model = Model(*answers, before_each_event=answer_another_message)
    model.release.set()
    server = AssistantServer(MemoryStore(), model)
    thread_id = (await create(server))[0]["thread"]["id"]
    await titles_made(server)
    assert await title_of(server, thread_id) == "Making tea"
    assert len(model.requests) == 3
    await server.close()


async def test_a_title_is_asked_for_behind_the_first_text() -> None:
    sent: list[bool] = []

    async def look() -> None:
        sent.append(model.asked.is_set())

    model = Model("Boil water.", "Making tea", before_each_event=look)
    server = AssistantServer(MemoryStore(), model)
    await create(server)
    assert not any(sent[:3])
    assert model.asked.is_set()
    await server.close()


async def test_the_user_names_the_thread_first() -> None:
    model = Model("Boil water.", "Making tea")
    server = AssistantServer(MemoryStore(), model)
    thread_id = (await create(server))[0]["thread"]["id"]
    body = json.dumps({"type": "threads.update", "params": {"thread_id": thread_id, "title": "Mine"}})
    await server.process(body, USER)
    model.release.set()
    await titles_made(server)
    assert await title_of(server, thread_id) == "Mine"
    await server.close()


async def test_a_thread_that_is_deleted_gets_no_title() -> None:
    model = Model("Boil water.", "Making tea")
    server = AssistantServer(MemoryStore(), model)
    thread_id = (await create(server))[0]["thread"]["id"]
    await server.process(json.dumps({"type": "threads.delete", "params": {"thread_id": thread_id}}), USER)
    model.release.set()
    await titles_made(server)
    assert (await server.store.load_threads(10, None, "desc", USER)).data == []
    await server.close()


@pytest.mark.parametrize("end", ["close", "shutdown"])
async def test_the_end_of_the_server_does_not_wait_for_titles(end: str) -> None:
    before = asyncio.all_tasks()
    server = AssistantServer(MemoryStore(), Model("Boil water.", "Making tea"))
    thread_id = (await create(server))[0]["thread"]["id"]
    async with asyncio.timeout(scaled(10)):
        await getattr(server, end)()
    assert asyncio.all_tasks() == before
    assert await title_of(server, thread_id) is None


async def test_a_model_that_makes_no_title_leaves_the_first_words() -> None:
    model = Model("Boil water.", "  ")
    model.release.set()
    server = AssistantServer(MemoryStore(), model)
    thread_id = (await create(server, "How do I\n make tea?"))[0]["thread"]["id"]
    await titles_made(server)
    assert await title_of(server, thread_id) == "How do I make tea?"
    await server.close()


async def test_history_is_bounded_and_whole() -> None:
    model = Model(*["An answer."] * 41)
    server = AssistantServer(MemoryStore(), model)
    thread = ThreadMetadata(id="thr_1", title="Named", created_at="2026-01-01T00:00:00Z")
    await server.store.save_thread(thread, USER)
    hidden = HiddenContextItem(
        id="hid_1", thread_id=thread.id, created_at="2026-01-01T00:00:00Z", content="The user likes Assam."
    )
    await server.store.add_thread_item(thread.id, hidden, USER)
    for number in range(41):
        await ask(
            server, "threads.add_user_message", thread_id=thread.id, input=message(f"Question {number}")
        )
    assert "likes Assam" in str(model.requests[0].input)
    assert "An answer." in str(model.requests[1].input)
    assert len(model.requests[40].input) == 50
    assert "Question 40" in str(model.requests[40].input[-1])
    assert not model.asked.is_set(), "the thread has a title"
    await server.close()


@pytest.mark.parametrize(
    ("status", "explanation"),
    [
        (401, "Check OPENAI_API_KEY"),
        (403, "Check OPENAI_API_KEY"),
        (404, "There is no such model"),
        (429, "a limit is reached"),
        (400, "refused the request"),
        (500, "failed to answer"),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_errors_of_the_model_are_explained(
    status: int, explanation: str, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(request: Request) -> JSONResponse:
        # The client waits before it tries again, unless it is told not to.
        answer = {"error": {"message": "internal: sk-secret at 10.0.0.7", "type": "error"}}
        return JSONResponse(answer, status, {"x-should-retry": "false"})

    routes = [
        Route("/v1/responses", fail, methods=["POST"]),
        Route("/v1/chat/completions", fail, methods=["POST"]),
    ]
    with live_server(Starlette(routes=routes)) as endpoint, caplog.at_level(logging.WARNING, "chatkit"):
        server = make_assistant(MemoryStore(), name="m", api=api, base_url=f"{endpoint.url}/v1")
        events = await create(server)
        await server.close()
    assert events[-1]["type"] == "error"
    assert explanation in events[-1]["message"]
    assert events[-1]["allow_retry"] is True
    assert "sk-secret" not in json.dumps(events)
    (logged,) = [record for record in caplog.records if record.name.startswith("chatkit")]
    assert "sk-secret" in logged.getMessage()
    assert logged.exc_info is None


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("status", [400, 404, 422, 500])
async def test_a_model_that_takes_no_pictures_answers_without_them(
    status: int, api: Any, tmp_path: Path
) -> None:
    model = scripted_model_app(["I saw the text only.", "Hello."])
    asked: list[str] = []

    async def refuse_pictures(request: Request, answer: Any) -> Any:
        body = (await request.body()).decode()
        asked.append(body)
        if "image_url" in body:
            return JSONResponse({"error": {"message": "no vision"}}, status, {"x-should-retry": "false"})
        return await answer(request)

    model.add_middleware(BaseHTTPMiddleware, dispatch=refuse_pictures)
    with live_server(model) as endpoint:
        server = make_assistant(MemoryStore(), name="m", api=api, base_url=f"{endpoint.url}/v1")
        server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
        ids: list[str] = []
        for name, kind, content in (("a.png", "image/png", PNG), ("b.txt", "text/plain", b"Dear diary")):
            path = tmp_path / name
            path.write_bytes(content)
            params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
            ids.append(json.loads((await server.upload_attachment(params, path, USER)).json)["id"])
        thread = ThreadMetadata(id="thr_1", title="Titled")
        await server.store.save_thread(thread, USER)
        given = message("What is this?", attachments=ids)
        events = await ask(server, "threads.add_user_message", thread_id=thread.id, input=given)
        later = await ask(server, "threads.add_user_message", thread_id=thread.id, input=message("Hello"))
        await server.close()
    (notice,) = [event for event in events if event["type"] == "notice"]
    assert notice["level"] == "warning"
    assert events[-1]["item"]["content"][0]["text"] == "I saw the text only."
    assert "Dear diary" in asked[1]
    assert "a.png was attached; it cannot be read here" in asked[1]
    assert later[-1]["item"]["content"][0]["text"] == "Hello."
    assert not [event for event in later if event["type"] == "notice"], "it was told already"
    assert len(asked) == 4


def test_an_endpoint_without_models() -> None:
    async def none(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": []})

    with (
        live_server(Starlette(routes=[Route("/v1/models", none)])) as endpoint,
        pytest.raises(ConfigurationError, match="it lists none"),
    ):
        first_model(f"{endpoint.url}/v1")


@pytest.mark.parametrize(
    ("made", "title"),
    [
        ('"Making tea"', "Making tea"),
        ("Title: **Making tea.**\n\nShall I say more?", "Making tea"),
        ("<think>The user\nwants tea</think>\n\n# Making tea", "Making tea"),
        ("<think>without an end", ""),
        ("«»", ""),
        ("", ""),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
def test_titles_are_tidied(made: str, title: str) -> None:
    assert tidied(made) == title


@given(st.text(max_size=300))
def test_titles_are_short_lines(text: str) -> None:
    assert len(tidied(text).splitlines()) <= 1
    assert len(tidied(text)) <= 80
    assert 0 < len(first_words(text)) <= 49
