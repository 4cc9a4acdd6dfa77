"""What every served agent has, shown with functions."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.dialects.adapters import adapt_files, adapt_store
from chatkit.errors import ConfigurationError, ContentRefusedError, CustomStreamError
from chatkit.files import LocalFileStore
from chatkit.frameworks import AgentTurn, FunctionServer, ThoughtStep, ToolEndStep, ToolStep
from chatkit.frameworks.failures import find_failure
from chatkit.review import map_texts
from chatkit.store import MemoryStore
from chatkit.types import AssistantMessageItem, AttachmentCreateParams, ThreadItem, UserMessageItem
from tests.files.page import PNG
from tests.frameworks.support import ADA, ask, create, done, say, text_of, thread_of
from tests.stateful.plain_store import PlainStore


async def echo(text: str) -> AsyncIterator[Any]:
    yield ToolStep("1", "Listening")
    yield ToolEndStep("1")
    yield "You said: "
    yield f"<think>hm</think>{text}"


def texts(items: list[ThreadItem]) -> list[str]:
    return [
        "".join(part.text for part in item.content)
        if isinstance(item, AssistantMessageItem | UserMessageItem)
        else f"({getattr(item, 'content', item.type)})"
        for item in items
    ]


async def test_a_function_answers() -> None:
    server = FunctionServer(echo, MemoryStore())
    events = await create(server, "Hello there")
    assert text_of(events) == "You said: Hello there"
    assert done(events, "workflow")[0]["workflow"]["tasks"][0]["title"] == "Listening"
    assert [event["thread"]["title"] for event in events if event["type"] == "thread.updated"] == [
        "Hello there"
    ]
    await server.close()


def test_only_generator_functions_are_served() -> None:
    async def no_generator(text: str) -> str:
        return text

    with pytest.raises(ConfigurationError, match="serves a function such as"):
        FunctionServer(no_generator, MemoryStore())  # type: ignore[arg-type]


class Summarising(FunctionServer[Any]):
    async def summarise(self, thread: Any, oldest: Any, context: Any) -> str:
        return "before: " + " ".join(texts(await self.load_before(thread, oldest, 50, context)))


@pytest.mark.parametrize("kind", ["own", "reference"])
async def test_history_is_the_newest_items_with_a_summary_of_the_others(kind: str) -> None:
    seen: list[list[str]] = []

    async def agent(text: str, turn: AgentTurn) -> AsyncIterator[str]:
        seen.append(texts(turn.items))
        yield text.upper()

    store: Any = MemoryStore() if kind == "own" else PlainStore()
    server = Summarising(agent, store, history_items=3, titles=False)
    thread_id = thread_of(await create(server, "a"))
    for text in ("b", "c"):
        await say(server, thread_id, text)
    assert seen == [["a"], ["a", "A", "b"], ["(before: a A)", "b", "B", "c"]]


@pytest.mark.parametrize("kind", ["own", "reference"])
async def test_feedback_is_kept(kind: str) -> None:
    store: Any = MemoryStore() if kind == "own" else PlainStore()
    server = FunctionServer(echo, store, titles=False)
    events = await create(server)
    thread_id, item_id = thread_of(events), done(events, "assistant_message")[0]["id"]
    for feedback in ("positive", "negative"):
        params = {"thread_id": thread_id, "item_ids": [item_id], "kind": feedback}
        await server.process(json.dumps({"type": "items.feedback", "params": params}), ADA)
    await say(server, thread_id, "And now?")
    thread = await adapt_store(store).load_thread(thread_id, ADA)
    assert server.feedback_of(thread) == {item_id: "negative"}


async def test_texts_are_read_and_pictures_named(tmp_path: Path) -> None:
    asked: list[str] = []

    async def agent(text: str) -> AsyncIterator[str]:
        asked.append(text)
        yield "Seen."

    server = FunctionServer(agent, MemoryStore(), model_takes=("text",))
    server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
    ids: list[str] = []
    for name, kind, content in (("a.png", "image/png", PNG), ("b.txt", "text/plain", b"Dear diary")):
        path = tmp_path / name
        path.write_bytes(content)
        params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
        ids.append(json.loads((await server.upload_attachment(params, path, ADA)).json)["id"])
    await create(server, "Look", attachments=ids)
    assert asked == [
        (
            "Look\n\n(The file a.png was attached; it cannot be read here.)\n\n"
            "The file b.txt was attached:\n\nDear diary"
        )
    ]
    await server.close()


class APIStatusError(Exception):
    def __init__(self, status_code: int, message: str = "sk-secret", code: str | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code


class GraphRecursionError(RecursionError):
    pass


class ContentFilterError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "user", "log"),
    [
        (APIStatusError(401), "not set up", "Check the key"),
        (APIStatusError(429), "a limit is reached", "ask the model's provider for more"),
        (APIStatusError(429, code="insufficient_quota"), "not set up", "billing"),
        (APIStatusError(400, code="context_length_exceeded"), "too long", "history_items="),
        (APIStatusError(400, "prompt is too long"), "too long", "summarise()"),
        (APIStatusError(400, code="content_filter"), "content filter", ""),
        (ContentFilterError("no"), "content filter", ""),
        (APIStatusError(400), "refused", ""),
        (APIStatusError(503), "failed to answer", ""),
        (GraphRecursionError("25"), "more steps", "limit of steps"),
    ],
)
async def test_what_the_user_and_the_operator_are_told(
    error: Exception, user: str, log: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def agent(text: str) -> AsyncIterator[str]:
        yield "Well, "
        raise RuntimeError("a framework's own") from error

    server = FunctionServer(agent, MemoryStore(), titles=False)
    with caplog.at_level(logging.WARNING, "chatkit"):
        events = await create(server)
    assert events[-1]["type"] == "error"
    assert user in events[-1]["message"]
    assert "sk-secret" not in json.dumps(events)
    (logged,) = [record for record in caplog.records if record.name == "chatkit.frameworks"]
    assert log in logged.getMessage()


async def test_a_key_that_is_not_set_is_the_operators_and_shown_to_developers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SHOP_API_KEY", raising=False)

    async def agent(text: str) -> AsyncIterator[str]:
        raise RuntimeError("Set the SHOP_API_KEY environment variable.")
        yield text

    for shows in (False, True):
        server = FunctionServer(agent, MemoryStore(), titles=False)
        server.shows_exceptions = shows
        message = (await create(server))[-1]["message"]
        assert message.startswith("This chat is not set up completely")
        assert ("Set the SHOP_API_KEY" in message) is shows
        assert ("Check the key of the model" in message) is shows
    monkeypatch.setenv("SHOP_API_KEY", "sk-test")
    assert find_failure(RuntimeError("The SHOP_API_KEY is out of date.")) is None
    assert find_failure(TypeError("Could not resolve authentication method. Expected one of")) is not None


async def test_a_step_is_complete_when_its_tool_is_though_it_showed_something() -> None:
    async def agent(text: str) -> AsyncIterator[Any]:
        yield ToolStep("1", "Looking")
        yield ToolStep("2", "Asking")
        yield "Meanwhile, "
        yield ToolEndStep("1")
        yield ToolEndStep("2", failed=True)
        yield "there."

    events = await create(FunctionServer(agent, MemoryStore(), titles=False))
    marks = [
        [task["status_indicator"] for task in event["item"]["workflow"]["tasks"]]
        for event in events
        if event["type"] in {"thread.item.done", "thread.item.replaced"}
        and event["item"]["type"] == "workflow"
    ]
    assert marks == [["none", "none"], ["complete", "none"]]
    assert text_of(events) == "Meanwhile, there."


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), NotImplementedError("mine"), CustomStreamError("mine"), KeyError("status_code")],
)
def test_errors_of_the_application_stay_what_they_are(error: Exception) -> None:
    assert find_failure(error) is None


async def test_a_retry_is_told_from_a_new_message() -> None:
    points: list[Any] = []

    class Remembering(FunctionServer[Any]):
        async def recall(self, turn: AgentTurn[Any]) -> bool:
            points.append(self.point_before(turn))
            if points[-1] is None:
                await self.remember_point(turn, len(points))
            return turn.message is not None and len(points) > 1

    seen: list[list[str]] = []

    async def agent(text: str, turn: AgentTurn) -> AsyncIterator[Any]:
        seen.append(texts(turn.items))
        yield ThoughtStep("hm")
        yield text

    server = Remembering(agent, MemoryStore(), titles=False)
    thread_id = thread_of(await create(server, "a"))
    events = await say(server, thread_id, "b")
    message_id = done(events, "user_message")[0]["id"]
    await ask(server, "threads.retry_after_item", thread_id=thread_id, item_id=message_id)
    await say(server, thread_id, "c")
    assert points == [None, None, 2, None]
    assert seen == [["a"], ["b"], ["b"], ["c"]]


class ReviewedInput(FunctionServer[Any]):
    how: Any = None

    async def review_model_input(self, items: Any, thread: Any, context: Any) -> Any:
        if self.how is not None:
            return self.how(items)
        return [map_texts(item, lambda text: text.replace("4111", "[card]")) for item in items]


async def test_a_model_gets_what_the_review_leaves_and_the_store_keeps_what_was_said(tmp_path: Path) -> None:
    seen: list[str] = []

    async def agent(text: str, turn: AgentTurn) -> AsyncIterator[str]:
        seen.extend([text, turn.text, *texts(turn.items)])
        yield "4111 it is"

    store = MemoryStore()
    server = ReviewedInput(agent, store, LocalFileStore(tmp_path))
    events = await create(server, "My card: 4111")
    await say(server, thread_of(events), "And 4111")
    assert "4111" not in str(seen)
    assert seen[-3:] == ["My card: [card]", "[card] it is", "And [card]"]
    kept = (await store.load_thread_items(thread_of(events), None, 10, "asc", ADA)).data
    assert texts(kept)[:2] == ["My card: 4111", "4111 it is"]
    await server.close()


def refusing(items: list[ThreadItem]) -> Any:
    raise ContentRefusedError("Ask something else.")


def failing(items: list[ThreadItem]) -> Any:
    raise OSError("away")


def forgetting(items: list[ThreadItem]) -> Any:
    return None


def shortening(items: list[ThreadItem]) -> Any:
    return items[:-1]


@pytest.mark.parametrize(
    ("how", "message", "allow_retry"),
    [
        (refusing, "Ask something else.", False),
        (failing, "could not be checked", True),
        (forgetting, "could not be checked", True),
        (shortening, "could not be checked", True),
    ],
)
async def test_a_model_is_not_called_when_its_input_is_not_reviewed(
    how: Any, message: str, allow_retry: bool
) -> None:
    called: list[str] = []

    async def agent(text: str) -> AsyncIterator[str]:
        called.append(text)
        yield "Hello"

    server = ReviewedInput(agent, MemoryStore())
    server.how = how
    (error,) = [event for event in await create(server, "4111") if event["type"] == "error"]
    assert message in error["message"]
    assert error["allow_retry"] is allow_retry
    assert called == []
    await server.close()


async def test_steps_and_words_of_an_agent_are_reviewed_before_they_are_shown() -> None:
    class ReviewedOutput(FunctionServer[Any]):
        async def review_output(self, item: Any, thread: Any, context: Any) -> Any:
            return map_texts(item, lambda text: text.replace("4111", "[card]"))

    async def agent(text: str) -> AsyncIterator[Any]:
        yield ThoughtStep("They want 4111")
        yield ToolStep("1", "Charging 4111")
        yield ToolEndStep("1")
        yield "Charged "
        yield "4111."

    store = MemoryStore()
    server = ReviewedOutput(agent, store)
    events = await create(server, "Hi")
    kept = (await store.load_thread_items(thread_of(events), None, 10, "asc", ADA)).data
    assert "4111" not in str(events) + str(kept)
    assert "Charging [card]" in str(done(events, "workflow"))
    assert "Charged [card]." in texts(kept)
    await server.close()
