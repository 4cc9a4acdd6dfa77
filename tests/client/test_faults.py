"""Broken connections and odd servers, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.client import (
    ChatKitClient,
    ServerError,
    StreamInterrupted,
    TransportError,
    UnexpectedAnswerError,
)
from chatkit.errors import NotFoundError, ThreadLockedError
from tests.client.scripted import Reply, scripted
from tests.support.scale import scaled

THREAD = {"id": "thr_1", "created_at": "2026-01-01T00:00:00Z", "status": {"type": "active"}}
CREATED = {"type": "thread.created", "thread": {**THREAD, "items": {"data": [], "has_more": False}}}


def client(url: str, **options: Any) -> ChatKitClient:
    return ChatKitClient(url, backoff=0, timeout=scaled(10), **options)


def progress(text: str) -> dict[str, Any]:
    return {"type": "progress_update", "text": text}


async def texts(stream: AsyncIterator[Any]) -> list[str]:
    return [event.text async for event in stream if event.type == "progress_update"]


async def cut_at_once(request: dict[str, Any], reply: Reply) -> None:
    reply.cut()


async def whole_turn(request: dict[str, Any], reply: Reply) -> None:
    await reply.begin()
    await reply.event(CREATED, "turn_1:1")
    await reply.event(progress("a"), "turn_1:2")
    await reply.turn_end("turn_1:3")
    await reply.end()


async def two_events_then_cut(request: dict[str, Any], reply: Reply) -> None:
    await reply.begin()
    await reply.event(CREATED, "turn_1:1")
    await reply.event(progress("a"), "turn_1:2")
    await reply.send(b'id: turn_1:3\ndata: {"type":"progress_')
    reply.cut()


async def rest_of_turn(request: dict[str, Any], reply: Reply) -> None:
    await reply.begin()
    await reply.event(progress("b"), "turn_1:3")
    await reply.turn_end("turn_1:4")
    await reply.end()


async def test_a_message_whose_answer_never_came_is_sent_again_as_the_same_turn() -> None:
    async with scripted(cut_at_once, whole_turn) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            assert await texts(stream) == ["a"]
        assert stream.status == "completed"
        assert (stream.thread_id, stream.turn_id, stream.last_event_id) == ("thr_1", "turn_1", "turn_1:3")
        first, second = server.requests
        assert first == second
        assert len(first["metadata"]["idempotency_key"]) >= 16
        assert first["metadata"]["resumable"] is True


async def test_each_message_has_a_key_of_its_own_unless_the_caller_gives_one() -> None:
    async with scripted(whole_turn, whole_turn, whole_turn) as server, client(server.url) as chat:
        for key in (None, None, "mine"):
            async with chat.send_message(
                "thr_1", "hello", idempotency_key=key, metadata={"page": 1}
            ) as stream:
                await stream.until_done()
        keys = [request["metadata"]["idempotency_key"] for request in server.requests]
        assert keys[2] == "mine"
        assert len(set(keys)) == 3
        assert all(request["metadata"]["page"] == 1 for request in server.requests)


async def test_an_action_whose_answer_never_came_is_not_sent_again() -> None:
    async with scripted(cut_at_once, cut_at_once, cut_at_once) as server, client(server.url) as chat:
        with pytest.raises(TransportError):
            async with chat.action("thr_1", "buy"):
                pass
        with pytest.raises(TransportError):
            await chat.rename("thr_1", "x")
        assert [request["type"] for request in server.requests] == ["threads.custom_action", "threads.update"]


async def test_reading_requests_are_sent_again_a_bounded_number_of_times() -> None:
    async with (
        scripted(cut_at_once, cut_at_once, cut_at_once) as server,
        client(server.url, retries=2) as chat,
    ):
        with pytest.raises(TransportError, match="cannot be reached"):
            await chat.list_threads()
        assert len(server.requests) == 3


async def test_nobody_listens() -> None:
    async with client("http://127.0.0.1:1/chatkit", retries=1) as chat:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1"):
            await chat.rename("thr_1", "x")
    async with client("ftp://example.org") as chat:
        with pytest.raises(TransportError, match="not an http"):
            await chat.list_threads()


async def test_a_broken_stream_goes_on_after_the_last_whole_event() -> None:
    async with scripted(two_events_then_cut, rest_of_turn) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            assert await texts(stream) == ["a", "b"]
        assert stream.status == "completed"
        assert server.requests[1]["type"] == "turns.resume"
        assert server.requests[1]["params"] == {"thread_id": "thr_1", "after": "turn_1:2"}


async def test_an_item_that_came_back_goes_on_growing() -> None:
    item = {
        "type": "assistant_message",
        "id": "msg_1",
        "thread_id": "thr_1",
        "created_at": "2026-01-01T00:00:00Z",
    }

    def told(kind: str, text: str) -> dict[str, Any]:
        return {"type": kind, "item": item | {"content": [{"type": "output_text", "text": text}]}}

    async def begun_then_cut(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        await reply.event(told("thread.item.added", "T"), "turn_1:2")
        reply.cut()

    async def state_then_more(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(told("thread.item.replaced", "Ten"), "turn_1:3")
        update = {
            "type": "assistant_message.content_part.text_delta",
            "content_index": 0,
            "delta": "nis",
        }
        await reply.event({"type": "thread.item.updated", "item_id": "msg_1", "update": update}, "turn_1:4")
        await reply.event(told("thread.item.done", "Tennis"), "turn_1:5")
        await reply.turn_end("turn_1:5")
        await reply.end()

    async with scripted(begun_then_cut, state_then_more) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            seen = [stream.text async for _ in stream]
        assert seen == ["", "T", "Ten", "Tennis", "Tennis"]


@pytest.mark.parametrize("was_done", [False, True])
async def test_what_a_dead_worker_showed_last_is_gone_at_the_end(was_done: bool) -> None:
    message = {"type": "assistant_message", "thread_id": "thr_1", "created_at": "2026-01-01T00:00:00Z"}

    def item(item_id: str, text: str) -> dict[str, Any]:
        return {**message, "id": item_id, "content": [{"type": "output_text", "text": text}]}

    async def begun_then_cut(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        if was_done:
            await reply.event({"type": "thread.item.done", "item": item("msg_1", "T")}, "turn_1:2")
        await reply.event({"type": "thread.item.added", "item": item("msg_1", "Ten")}, "turn_1:3")
        reply.cut()

    async def run_again(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event({"type": "thread.item.done", "item": item("msg_2", "Tennis")}, "turn_1:900")
        await reply.turn_end("turn_1:901")
        await reply.end()

    async with scripted(begun_then_cut, run_again) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            await stream.until_done()
        assert [shown.id for shown in stream.items] == ["msg_2"]


async def test_a_workflow_that_waits_for_a_tool_stays_although_the_stream_came_back() -> None:
    own = {"thread_id": "thr_1", "created_at": "2026-01-01T00:00:00Z"}
    workflow = {**own, "type": "workflow", "id": "wf_1", "workflow": {"type": "custom", "tasks": []}}
    call = {
        **own,
        "type": "client_tool_call",
        "id": "call_1",
        "call_id": "c",
        "name": "where",
        "arguments": {},
    }

    async def begun_then_cut(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        await reply.event({"type": "thread.item.added", "item": {**workflow, "id": "wf_0"}}, "turn_1:2")
        reply.cut()

    async def called(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event({"type": "thread.item.added", "item": workflow}, "turn_1:901")
        await reply.event({"type": "thread.item.done", "item": {**call, "status": "pending"}}, "turn_1:902")
        await reply.turn_end("turn_1:902")
        await reply.end()

    async with scripted(begun_then_cut, called) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            await stream.until_done()
        assert [shown.id for shown in stream.items] == ["wf_1", "call_1"]


async def test_a_stream_that_ends_without_its_end_mark_goes_on_too() -> None:
    async def closed_early(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        await reply.event(progress("a"), "turn_1:2")
        await reply.end()

    async with (
        scripted(closed_early, rest_of_turn) as server,
        client(server.url) as chat,
        chat.create_thread("hello") as stream,
    ):
        assert await texts(stream) == ["a", "b"]


async def test_progress_resets_the_count_of_failures() -> None:
    async def one_event(request: dict[str, Any], reply: Reply) -> None:
        number = int(request["params"]["after"].partition(":")[2]) + 1
        await reply.begin()
        await reply.event(progress(str(number)), f"turn_1:{number}")
        reply.cut()

    async def last(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.turn_end("turn_1:7")
        await reply.end()

    script = [two_events_then_cut, one_event, one_event, one_event, one_event, last]
    async with (
        scripted(*script) as server,
        client(server.url, retries=1) as chat,
        chat.create_thread("hello") as stream,
    ):
        assert await texts(stream) == ["a", "3", "4", "5", "6"]


async def test_a_stream_that_stays_broken_is_an_error_that_keeps_what_was_read() -> None:
    script = [two_events_then_cut, cut_at_once, cut_at_once, cut_at_once, cut_at_once, cut_at_once]
    async with scripted(*script) as server, client(server.url, retries=1) as chat:
        async with chat.create_thread("hello") as stream:
            assert [(await anext(stream)).type, (await anext(stream)).type] == [
                "thread.created",
                "progress_update",
            ]
            with pytest.raises(StreamInterrupted) as caught:
                await anext(stream)
        assert caught.value.last_event_id == "turn_1:2"
        assert stream.status is None
        assert [request["type"] for request in server.requests][1:] == ["turns.resume"] * 2


async def test_a_turn_that_the_server_forgot_is_an_error() -> None:
    async def forgotten(request: dict[str, Any], reply: Reply) -> None:
        await reply.json({"error": {"code": "not_found", "message": "gone"}}, 404)

    async with (
        scripted(two_events_then_cut, forgotten) as server,
        client(server.url) as chat,
        chat.create_thread("hello") as stream,
    ):
        with pytest.raises(StreamInterrupted, match="no longer keeps"):
            await stream.until_done()


async def test_a_server_that_is_down_for_a_moment_is_asked_again() -> None:
    async def unavailable(request: dict[str, Any], reply: Reply) -> None:
        await reply.json({"error": {"code": "store_unavailable", "message": "Later."}}, 503)

    async with (
        scripted(two_events_then_cut, unavailable, rest_of_turn) as server,
        client(server.url) as chat,
        chat.create_thread("hello") as stream,
    ):
        assert await texts(stream) == ["a", "b"]


async def test_without_resumable_a_broken_stream_is_an_error_at_once() -> None:
    async def cut_later(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED)
        await reply.event(progress("a"))
        reply.cut()

    async with scripted(cut_later) as server, client(server.url, resumable=False) as chat:
        async with chat.create_thread("hello") as stream:
            with pytest.raises(StreamInterrupted):
                await stream.until_done()
        assert server.requests[0].get("metadata", {}) == {}
        assert len(server.requests) == 1


async def test_a_server_that_does_not_number_its_events_ends_a_turn_by_closing() -> None:
    async def plain(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED)
        await reply.event(progress("a"))
        await reply.end()

    async with scripted(plain) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            assert await texts(stream) == ["a"]
        assert (stream.status, stream.turn_id, stream.thread_id) == (None, None, "thr_1")


async def test_stopping_at_such_a_server_closes_the_connection() -> None:
    async def endless(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED)

    async with scripted(endless) as server, client(server.url) as chat, chat.create_thread("hello") as stream:
        await stream.stop()
        assert [event.type async for event in stream] == ["thread.created"]
        await asyncio.wait_for(server.gone.wait(), scaled(10))


async def test_events_of_a_newer_protocol_are_skipped() -> None:
    async def newer(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        await reply.event({"type": "hologram.added", "depth": 3}, "turn_1:2")
        await reply.event({"type": "thread.item.done", "item": {"id": "x", "type": "hologram"}}, "turn_1:3")
        await reply.send(b": keep-alive\n\n")
        await reply.event(progress("a"), "turn_1:4")
        await reply.turn_end("turn_1:5")
        await reply.end()

    async with scripted(newer) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            assert [event.type async for event in stream] == ["thread.created", "progress_update"]
        assert stream.last_event_id == "turn_1:5"


async def test_a_frame_that_is_no_event_is_an_error() -> None:
    async def broken(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.send(b"id: turn_1:1\ndata: not json\n\n")

    async with scripted(broken) as server, client(server.url) as chat, chat.create_thread("hello") as stream:
        with pytest.raises(UnexpectedAnswerError):
            await stream.until_done()


async def test_the_url_is_not_a_chat() -> None:
    async def page(request: dict[str, Any], reply: Reply) -> None:
        await reply.answer(200, b"<html>hello</html>", "text/html")

    async def moved(request: dict[str, Any], reply: Reply) -> None:
        await reply.answer(302, b"", "text/html", location="/login")

    async with scripted(page, page, moved) as server, client(server.url) as chat:
        with pytest.raises(UnexpectedAnswerError, match="endpoint"):
            await chat.list_threads()
        with pytest.raises(UnexpectedAnswerError, match="text/html"):
            async with chat.create_thread("hello"):
                pass
        with pytest.raises(ServerError, match="302"):
            await chat.list_threads()


async def test_refusals_come_back_as_errors_before_a_turn_begins() -> None:
    async def locked(request: dict[str, Any], reply: Reply) -> None:
        await reply.json({"error": {"code": "thread_locked", "message": "Locked for now."}}, 409)

    async def missing(request: dict[str, Any], reply: Reply) -> None:
        await reply.json({"error": {"code": "not_found", "message": "No such thread."}}, 404)

    async with scripted(locked, missing) as server, client(server.url) as chat:
        with pytest.raises(ThreadLockedError, match=r"Locked for now\."):
            async with chat.send_message("thr_1", "hello"):
                pass
        with pytest.raises(NotFoundError, match="No such thread"):
            await chat.get_thread("thr_1")


async def test_headers_and_empty_output_are_sent() -> None:
    async with (
        scripted(whole_turn) as server,
        client(server.url, headers={"Authorization": "Bearer x"}) as chat,
    ):
        async with chat.add_tool_output("thr_1", None) as stream:
            await stream.until_done()
        assert server.headers[0]["authorization"] == "Bearer x"
        assert server.headers[0]["accept"] == "text/event-stream"
        assert server.headers[0]["content-type"] == "application/json"
        assert server.requests[0]["params"] == {"thread_id": "thr_1", "result": None}


async def test_a_stream_must_be_entered() -> None:
    async with client("http://127.0.0.1:1/chatkit") as chat:
        with pytest.raises(RuntimeError, match="async with"):
            await anext(chat.create_thread("hello"))


async def test_reading_goes_on_after_a_cancelled_wait() -> None:
    async def stalls(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        await reply.event(CREATED, "turn_1:1")
        await reply.event(progress("a"), "turn_1:2")

    async with scripted(stalls, rest_of_turn) as server, client(server.url) as chat:
        async with chat.create_thread("hello") as stream:
            assert [(await anext(stream)).type, (await anext(stream)).type] == [
                "thread.created",
                "progress_update",
            ]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(stream)
            assert await texts(stream) == ["b"]
        assert stream.status == "completed"


async def ends_before_its_title(request: dict[str, Any], reply: Reply) -> None:
    await reply.begin()
    await reply.event(CREATED, "turn_1:1")
    await reply.turn_end("turn_1:2", awaits_title=True)
    await asyncio.Event().wait()


async def test_a_turn_is_over_before_its_title_is_there() -> None:
    async with scripted(ends_before_its_title, whole_turn) as server, client(server.url) as chat:
        told: list[bool] = []
        for _ in range(2):
            async with asyncio.timeout(scaled(20)), chat.send_message("thr_1", "hello") as stream:
                await stream.until_done()
            told.append(stream.awaits_title)
        assert (told, stream.status) == ([True, False], "completed")
