"""The built-in guide, talked to as a front end does."""

import asyncio
import base64
import re
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chatkit.client import ChatKitClient, TurnStream
from chatkit.demo import GuideServer
from chatkit.demo.commands import COMMANDS, find_command, help_text, unknown
from chatkit.demo.work import picture
from chatkit.errors import InvalidRequestError, ThreadClosedError, ThreadLockedError
from chatkit.store import MemoryStore
from chatkit.types import (
    ClientToolCallItem,
    GeneratedImageItem,
    StructuredInputItem,
    ThreadItem,
    WidgetItem,
    WorkflowItem,
)
from chatkit.web import create_app, single_user
from tests.support.live_server import live_server
from tests.support.scale import scaled


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = create_app(GuideServer(MemoryStore[Any](), delay=0), context=single_user())
    with live_server(app) as server:
        yield f"{server.url}/chatkit"


@pytest.fixture
async def chat(url: str) -> AsyncIterator[ChatKitClient]:
    async with ChatKitClient(url, timeout=scaled(20), backoff=0) as client:
        yield client


async def play(stream: TurnStream) -> TurnStream:
    async with stream:
        return await stream.until_done()


async def types_of(stream: TurnStream) -> list[str]:
    async with stream:
        return [event.type async for event in stream]


def only(items: list[ThreadItem], kind: type[Any]) -> Any:
    found = [item for item in items if isinstance(item, kind)]
    assert len(found) == 1
    return found[0]


async def stored(chat: ChatKitClient, thread_id: str | None) -> list[ThreadItem]:
    assert thread_id is not None
    return [item async for item in chat.iterate_items(thread_id)]


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
async def test_what_a_command_shows_is_what_is_stored(chat: ChatKitClient, command: str) -> None:
    stream = await play(chat.create_thread(command))
    assert stream.status == "completed"
    assert stream.items == await stored(chat, stream.thread_id)
    assert stream.thread is not None
    assert stream.thread.title == command


async def test_help_names_every_command_and_that_there_is_no_model(chat: ChatKitClient) -> None:
    text = (await play(chat.create_thread("help"))).text
    assert "No model" in text
    assert re.findall(r"^- `(\w+)`", text, re.MULTILINE) == [*(command.name for command in COMMANDS), "help"]


async def test_what_is_no_command_gets_an_honest_answer(chat: ChatKitClient) -> None:
    text = (await play(chat.create_thread("What is the capital of France?"))).text
    assert "no model" in text
    assert "`help`" in text


def test_commands_are_found_in_any_spelling() -> None:
    assert find_command(" /LONG  40 lines ")[1] == "40 lines"
    assert find_command("Help!")[0] is help_text
    assert find_command("")[0] is help_text
    assert find_command("helping")[0] is unknown


async def test_text_streams_word_by_word(chat: ChatKitClient) -> None:
    types = await types_of(chat.create_thread("markdown"))
    assert types.count("thread.item.updated") > 50
    assert (await play(chat.create_thread("markdown"))).text.startswith("## Markdown")


async def test_a_long_title_is_shortened_and_a_given_one_kept(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("a question that goes on " * 10))
    assert stream.thread is not None
    assert stream.thread.title is not None
    assert len(stream.thread.title) <= 49
    assert stream.thread.title.endswith("…")
    await chat.rename(stream.thread.id, "Mine")
    await play(chat.send_message(stream.thread.id, "help"))
    assert (await chat.get_thread(stream.thread.id)).title == "Mine"


async def test_workflow_ends_with_its_tasks_complete(chat: ChatKitClient) -> None:
    item = only((await play(chat.create_thread("workflow"))).items, WorkflowItem)
    assert [task.status_indicator for task in item.workflow.tasks] == ["complete"] * 3
    assert item.workflow.summary.title == "Took 3 steps"


async def test_passing_events(chat: ChatKitClient) -> None:
    assert (await types_of(chat.create_thread("progress"))).count("progress_update") == 3
    assert (await types_of(chat.create_thread("notice"))).count("notice") == 2
    assert (await types_of(chat.create_thread("effect"))).count("client_effect") == 1


async def test_sources_stand_behind_their_sentences(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("sources"))
    part = stream.items[-1].content[0]  # type: ignore[union-attr]
    assert [note.source.type for note in part.annotations] == ["url", "file", "entity"]
    assert all(part.text[: note.index].endswith(".") for note in part.annotations)


async def test_image_is_a_png(chat: ChatKitClient) -> None:
    item = only((await play(chat.create_thread("image"))).items, GeneratedImageItem)
    assert item.image.url == picture(64)
    png = base64.b64decode(item.image.url.removeprefix("data:image/png;base64,"))
    assert struct.unpack(">II", png[16:24]) == (64, 64)
    length = struct.unpack(">I", png[33:37])[0]
    assert len(zlib.decompress(png[41 : 41 + length])) == 64 * (1 + 64 * 3)


async def test_widget_counts(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("widget"))
    assert stream.thread_id is not None
    widget = only(stream.items, WidgetItem)
    assert widget.widget.children[3].value.startswith("Each button")
    for cups, expected in [(1, "Tea: 1 cup"), (2, "Tea: 2 cups")]:
        pressed = await play(chat.action(stream.thread_id, "guide.count", {"cups": cups}, item_id=widget.id))
        assert only(pressed.items, WidgetItem).copy_text == expected
    answer = await chat.sync_action(stream.thread_id, "guide.count", {"cups": 0}, item_id=widget.id)
    assert isinstance(answer.updated_item, WidgetItem)
    assert answer.updated_item.copy_text == "Tea: 0 cups"
    assert only(await stored(chat, stream.thread_id), WidgetItem) == answer.updated_item


@pytest.mark.parametrize("payload", [None, {}, {"cups": -1}, {"cups": 10**9}, {"cups": "many"}, [1]])
async def test_widget_takes_nothing_but_numbers(chat: ChatKitClient, payload: Any) -> None:
    stream = await play(chat.create_thread("widget"))
    assert stream.thread_id is not None
    widget = only(stream.items, WidgetItem)
    pressed = await play(chat.action(stream.thread_id, "guide.count", payload, item_id=widget.id))
    assert pressed.error is not None
    with pytest.raises(InvalidRequestError):
        await chat.sync_action(stream.thread_id, "guide.count", payload, item_id=widget.id)
    assert only(await stored(chat, stream.thread_id), WidgetItem) == widget


async def test_tool_output_is_answered_once(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("tool"))
    assert stream.thread_id is not None
    call = only(stream.items, ClientToolCallItem)
    assert (call.name, call.status) == ("get_local_time", "pending")
    assert '"12:30"' in (await play(chat.add_tool_output(stream.thread_id, {"time": "12:30"}))).text
    await play(chat.send_message(stream.thread_id, "tool"))
    assert '"18:45"' in (await play(chat.add_tool_output(stream.thread_id, {"time": "18:45"}))).text


async def test_questions_are_thanked_for(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("questions"))
    assert stream.thread_id is not None
    item = only(stream.items, StructuredInputItem)
    assert [question.type for question in item.inputs] == ["multiple_choice", "freeform"]
    thanks = await play(
        chat.answer_questions(stream.thread_id, item.id, {"drinks": ["Tea", "Water"], "reason": "habit"})
    )
    assert "Tea, Water" in thanks.text
    assert "habit" in thanks.text


async def test_questions_can_be_skipped_and_answered_after_a_tool_call(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("questions"))
    assert stream.thread_id is not None
    item = only(stream.items, StructuredInputItem)
    await play(chat.send_message(stream.thread_id, "tool"))
    await play(chat.add_tool_output(stream.thread_id, "noon"))
    skipped = await play(chat.answer_questions(stream.thread_id, item.id, None))
    assert "skipped" in skipped.text


async def test_error_is_gone_after_a_retry(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("error"))
    assert stream.thread_id is not None
    assert stream.error is not None
    assert stream.error.allow_retry
    message = stream.items[0]
    again = await play(chat.retry(stream.thread_id, message.id))
    assert again.error is None
    assert "second try" in again.text


async def test_lock_and_unlock(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("lock"))
    assert stream.thread_id is not None
    assert stream.thread is not None
    assert stream.thread.status.type == "locked"
    with pytest.raises(ThreadLockedError):
        await play(chat.send_message(stream.thread_id, "help"))
    widget = only(stream.items, WidgetItem)
    await play(chat.action(stream.thread_id, "guide.unlock", item_id=widget.id))
    assert (await chat.get_thread(stream.thread_id)).status.type == "active"
    assert (await play(chat.send_message(stream.thread_id, "help"))).status == "completed"


async def test_close(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("close"))
    assert stream.thread_id is not None
    with pytest.raises(ThreadClosedError):
        await play(chat.send_message(stream.thread_id, "help"))


async def test_long_answer_has_as_many_lines_as_asked_for(chat: ChatKitClient) -> None:
    lines = (await play(chat.create_thread("long 7"))).text.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"Line {number} of 7" for number in range(1, 8)]
    assert "of 5000:" in (await first_line(chat, "long 999999"))


async def first_line(chat: ChatKitClient, text: str) -> str:
    async with chat.create_thread(text) as stream:
        async for _ in stream:
            if "\n" in stream.text:
                break
        await stream.stop()
        return stream.text


async def test_long_answer_can_be_stopped_and_what_was_seen_is_stored() -> None:
    app = create_app(GuideServer(MemoryStore[Any](), delay=0.001), context=single_user())
    with live_server(app) as server:
        async with ChatKitClient(f"{server.url}/chatkit") as chat, asyncio.timeout(scaled(30)):
            async with chat.create_thread("long 5000") as stream:
                async for _ in stream:
                    if stream.text.count("\n") >= 3:
                        break
                await stream.stop()
                await stream.until_done()
            assert stream.status == "stopped"
            assert 3 <= stream.text.count("\n") < 5000
            kept = await stored(chat, stream.thread_id)
            assert kept[-1] == stream.items[-1]


async def test_feedback_is_taken(chat: ChatKitClient) -> None:
    stream = await play(chat.create_thread("help"))
    assert stream.thread_id is not None
    await chat.feedback(stream.thread_id, [stream.items[-1].id], "positive")
