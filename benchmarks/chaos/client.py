"""A client as a page is one: it sends a message, reads, loses its connection, comes back, and notes all that it saw."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from benchmarks.chaos.script import Telling
from benchmarks.chaos.wire import Broken, Refused, Response, open_request

__all__ = ["Client", "Plan"]

_PATIENCE = 5.0
"""Seconds that a client waits for the head of an answer, and for the next sign of life of a stream twice."""
_PAUSE = 0.25
_JUMP = 1 << 20
"""How far the numbers jump where a turn went on in another worker: by that much the log keeps clear of what the dead
one may have shown to its own readers in its last moment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client will do.

    Attributes:
        telling: The answer that it asks for.
        think: Seconds before it sends its message.
        cuts: Numbers of received events at which it loses its connection.
        stop_after: Number of received events at which it asks for a stop; None if it does not.
        deadline: Seconds after which an answer without an end is an endless one.
    """

    telling: Telling
    think: float = 0.0
    cuts: tuple[int, ...] = ()
    stop_after: int | None = None
    deadline: float = 90.0


@dataclass
class Client:
    """One client, one message, and what it saw of the answer.

    Attributes:
        number: Of this client; decides its user and its idempotency key.
        worker: The worker that the turn was begun on, as its port; "unknown" if the message had to be sent again.
        thread_id: The thread.
        texts: Text of each item as the events made it, by item id.
        done: Text of each item that was done and not removed since.
        end: Status of the turn's end mark.
        retryable: Whether an error event said that the message may be sent again.
        ended_at: Loop time of the first word of the end.
        faults: What must not be: events twice, out of order, with a gap, text that does not fit.
        reconnects: How often it came back.
        snapshots: How often it came back to a snapshot.
        refusals: Answers other than 200.
        shrunk: Characters of shown text that were taken back: the last moment of a worker that died may be.
        reran: Whether an item was removed: the turn was run again.
    """

    port: int
    number: int
    plan: Plan
    worker: str = ""
    thread_id: str = ""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    done: dict[str, str] = field(default_factory=dict[str, str])
    end: str | None = None
    retryable: bool = False
    ended_at: float = 0.0
    faults: list[str] = field(default_factory=list[str])
    reconnects: int = 0
    snapshots: int = 0
    refusals: list[str] = field(default_factory=list[str])
    shrunk: int = 0
    reran: bool = False
    _sent: int = 0
    _turn_id: str = ""
    _seq: int = 0
    _received: int = 0
    _replays: bool = False

    @property
    def user(self) -> str:
        return f"user-{self.number}"

    async def run(self) -> None:
        """Sends the message and reads the answer to its end, whatever happens on the way."""
        await asyncio.sleep(self.plan.think)
        try:
            async with asyncio.timeout(self.plan.deadline):
                while self.end is None:
                    try:
                        await self._read(await self._connect())
                        unheard = self.end in {"failed", "interrupted"} and not self.thread_id
                        if unheard and self.retryable:
                            # Nothing was stored: sent again under its key, it is the same message.
                            self.refusals.append("failed before it began")
                            self.end, self.retryable, self._turn_id, self._seq = None, False, "", 0
                    except Broken:
                        self.reconnects += 1
                        await asyncio.sleep(_PAUSE * random.random())
                    except Refused as error:
                        self.refusals.append(str(error))
                        await asyncio.sleep(_PAUSE)
        except TimeoutError:
            self.faults.append("the stream did not end")

    async def _connect(self) -> Response:
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await open_request(self.port, self.user, self._request())
        except TimeoutError as error:
            raise Broken from error
        if not self.worker:
            # Sent again, the message may be answered by any worker, whoever has the turn.
            self.worker = "unknown" if self._sent > 1 else response.worker
        return response

    def _request(self) -> dict[str, Any]:
        if self.thread_id and self._turn_id:
            self._replays = True
            return {
                "type": "turns.resume",
                "params": {"thread_id": self.thread_id, "after": f"{self._turn_id}:{self._seq}"},
            }
        self.worker = ""
        self._sent += 1
        key = str(UUID(int=(self.plan.telling.seed << 32) + self.number))
        return {
            "type": "threads.create",
            "params": {
                "input": {
                    "content": [{"type": "input_text", "text": self.plan.telling.request()}],
                    "attachments": [],
                    "inference_options": {},
                }
            },
            "metadata": {"resumable": True, "idempotency_key": key},
        }

    async def _read(self, response: Response) -> None:
        snapshot: list[Any] = []
        try:
            async for event_id, name, data in _frames(response):
                if name == "turn.end":
                    self.end = json.loads(data)["status"]
                    self.ended_at = self.ended_at or asyncio.get_running_loop().time()
                    if self._replays:
                        # As a page does: what was begun and never done, only a worker that died knew of.
                        self.texts = {item_id: self.texts[item_id] for item_id in self.done}
                    return
                if event_id is None:
                    snapshot.append(data)
                    continue
                turn_id, _, number = event_id.rpartition(":")
                seq = int(number)
                if snapshot or seq != self._seq + 1:
                    self._take_snapshot([*snapshot, data], seq, turn_id)
                    snapshot = []
                else:
                    self._take(json.loads(data))
                self._turn_id, self._seq = turn_id, seq
                self._received += 1
                await self._act()
            raise Broken
        finally:
            response.cut()

    def _take_snapshot(self, events: list[Any], seq: int, turn_id: str) -> None:
        if self._turn_id and turn_id != self._turn_id:
            self.faults.append(f"events of another turn: {turn_id}")
        if seq <= self._seq:
            self.faults.append(f"event {seq} came after event {self._seq}")
        elif not self._replays and seq - self._seq < _JUMP:
            self.faults.append(f"gap: event {seq} came after event {self._seq}")
        self.snapshots += 1
        for data in events:
            self._take(json.loads(data))

    async def _act(self) -> None:
        if self._received in self.plan.cuts:
            raise Broken
        if self._received == self.plan.stop_after:
            asyncio.get_running_loop().create_task(self._stop())

    async def _stop(self) -> None:
        body = {"type": "turns.stop", "params": {"thread_id": self.thread_id}}
        while self.end is None:
            try:
                async with asyncio.timeout(30):
                    response = await open_request(self.port, self.user, body)
                    await response.body()
            except (Broken, Refused, TimeoutError):
                await asyncio.sleep(_PAUSE)
            else:
                return

    def _take(self, event: Any) -> None:
        match event["type"]:
            case "thread.created":
                self.thread_id = event["thread"]["id"]
            case "thread.item.added" | "thread.item.replaced":
                self._own(event["item"], self.texts)
            case "thread.item.done":
                self._own(event["item"], self.texts)
                before = self.done.get(event["item"]["id"])
                self._own(event["item"], self.done)
                if before is not None and before != self.done[event["item"]["id"]]:
                    self.faults.append("an item that was done changed")
            case "thread.item.updated":
                self._append(event["item_id"], event["update"])
            case "thread.item.removed":
                self.reran = True
                self.texts.pop(event["item_id"], None)
                self.done.pop(event["item_id"], None)
            case "error":
                self.retryable = bool(event["allow_retry"])
                self.ended_at = self.ended_at or asyncio.get_running_loop().time()
            case _:
                pass

    def _own(self, item: Any, where: dict[str, str]) -> None:
        if item["type"] == "assistant_message":
            text = "".join(part["text"] for part in item["content"])
            if where is self.texts:
                before = self.texts.get(item["id"], "")
                if not text.startswith(before):
                    self.shrunk = max(self.shrunk, len(before) - len(text))
            where[item["id"]] = text

    def _append(self, item_id: str, update: Any) -> None:
        if update["type"] != "assistant_message.content_part.text_delta":
            return
        if item_id not in self.texts:
            self.faults.append("a delta of an item that was not added")
        self.texts[item_id] = self.texts.get(item_id, "") + update["delta"]

    def outcome(self) -> str:
        """Judges what was seen: ``complete``, ``interrupted``, ``stopped``, or what is wrong."""
        whole = self.plan.telling.text()
        texts = list(self.done.values())
        if self.faults:
            return self.faults[0]
        if self.end in {"completed", "stopped", "interrupted"} and not self.thread_id:
            return f"{self.end}, and never told of its thread"
        if self.shrunk and self.end in {"completed", "stopped"} and not self.reran:
            return "text that was shown is gone"
        if self.end == "completed":
            if texts == [whole] and list(self.texts.values()) == [whole]:
                return "complete"
            return f"wrong text: done {_short(self.done)}, shown {_short(self.texts)}"
        if any(not whole.startswith(text) for text in texts) or len(texts) > 1:
            return "wrong partial text"
        if self.end == "interrupted":
            return "interrupted" if self.retryable else "interrupted without retry"
        if self.end == "stopped":
            return "stopped" if self.plan.stop_after is not None else "stopped by nobody"
        if self.end == "failed":
            return "failed with retry" if self.retryable else "failed without retry"
        return "no end"

    async def compare_with_store(self) -> str | None:
        """Returns what the store holds against what the client saw as done; None if they agree."""
        body = {"type": "items.list", "params": {"thread_id": self.thread_id, "order": "asc", "limit": 100}}
        response = await open_request(self.port, self.user, body)
        page = json.loads(await response.body())
        response.cut()
        stored: dict[str, str] = {}
        messages = 0
        for item in page["data"]:
            if item["type"] == "user_message":
                messages += 1
            elif item["type"] == "assistant_message":
                self._own(item, stored)
        if messages != 1:
            return f"{messages} user messages"
        return (
            None
            if stored == self.done
            else f"the store has {_short(stored)}, seen as done was {_short(self.done)}"
        )


def _short(texts: dict[str, str]) -> str:
    return str({item_id: f"{len(text)} characters, ...{text[-20:]!r}" for item_id, text in texts.items()})


async def _frames(response: Response) -> AsyncIterator[tuple[str | None, str, bytes]]:
    """Yields id, event name and data of each frame.

    Raises:
        Broken: The connection ended, or nothing came for so long that a page would try anew.
    """
    rest = b""
    chunks = aiter(response.chunks())
    while True:
        try:
            async with asyncio.timeout(2 * _PATIENCE):
                chunk = await anext(chunks)
        except (TimeoutError, StopAsyncIteration) as error:
            raise Broken from error
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            event_id, name, data = None, "", b""
            for line in frame.split(b"\n"):
                field_name, _, value = line.partition(b": ")
                if field_name == b"id":
                    event_id = value.decode()
                elif field_name == b"event":
                    name = value.decode()
                elif field_name == b"data":
                    data = value
            if data:
                yield event_id, name, data
