"""A client as a page is one: it sends a request, reads, loses its connection, comes back, and notes all that it saw."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.chaos.asks import Ask, Plan
from benchmarks.chaos.script import Telling
from benchmarks.chaos.wire import (
    AWAY,
    LONGEST_PATIENCE,
    PATIENCE,
    PAUSE,
    Broken,
    Refused,
    Response,
    frames,
    open_request,
)

__all__ = ["Reader", "short"]

_JUMP = 1 << 20
"""How far the numbers jump where a turn went on in another worker: by that much the log keeps clear of what the dead
one may have shown to its own readers in its last moment."""


@dataclass
class Reader:
    """One reader of an answer, and what it saw of it.

    Attributes:
        ask: What was asked.
        port: Where it sends its requests.
        plan: What it does.
        first_port: Where it sends its first request, if elsewhere.
        worker: The worker that the turn was begun on, as its port; "unknown" if the request had to be sent again.
        turn_id: The turn.
        texts: Text of each item as the events made it, by item id.
        done: Text of each item that was done and not removed since.
        messages: Text of each user message, by item id.
        calls: Ids of the calls of the page's tool.
        end: Status of the turn's end mark.
        gone: Whether there is nothing to resume any more.
        retryable: Whether an error event said that the message may be sent again.
        heard: Whether it was shown that the request is stored.
        ended_at: Loop time of the first word of the end.
        faults: What must not be: events twice, out of order, with a gap, text that does not fit.
        reconnects: How often it came back.
        snapshots: How often it came back to a snapshot.
        refusals: Answers other than 200.
        shrunk: Characters of shown text that were taken back: the last moment of a worker that died may be.
        reran: Whether an item was removed: the turn was run again.
        record: What was sent and what came, with times: it is written down where something is wrong.
    """

    ask: Ask
    port: int
    plan: Plan
    first_port: int | None = None
    worker: str = ""
    turn_id: str = ""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    done: dict[str, str] = field(default_factory=dict[str, str])
    messages: dict[str, str] = field(default_factory=dict[str, str])
    calls: list[str] = field(default_factory=list[str])
    end: str | None = None
    gone: bool = False
    retryable: bool = False
    heard: bool = False
    ended_at: float = 0.0
    faults: list[str] = field(default_factory=list[str])
    reconnects: int = 0
    snapshots: int = 0
    refusals: list[str] = field(default_factory=list[str])
    shrunk: int = 0
    reran: bool = False
    record: list[str] = field(default_factory=list[str])
    _sent: int = 0
    _seq: int = 0
    _received: int = 0
    _replays: bool = False
    _failed: str = ""
    _was_interrupted: bool = False
    _patience: float = PATIENCE

    def __post_init__(self) -> None:
        if not self.plan.resumes:
            self.ask.readers.append(self)

    @property
    def answer(self) -> dict[str, str]:
        """Those of the items that were done that answer what was asked: others of the thread may be shown as well."""
        return self.answer_to(self.ask)

    def answer_to(self, ask: Ask) -> dict[str, str]:
        """Returns those of the items that were done that answer a request."""
        seeds = {ask.telling.seed, None}
        return {item_id: text for item_id, text in self.done.items() if Telling.seed_of(text) in seeds}

    def _note(self, *parts: str) -> None:
        self.record.append(f"{datetime.now(UTC).time()} {' '.join(parts)}")

    def _is_own(self, text: str) -> bool:
        return Telling.seed_of(text) in {self.ask.telling.seed, None}

    async def run(self) -> None:
        """Sends the request and reads the answer to its end, whatever happens on the way."""
        await asyncio.sleep(self.plan.think)
        try:
            async with asyncio.timeout(self.plan.deadline):
                while self.end is None and not self.gone:
                    try:
                        await self._read(await self._connect())
                        await self._begin_anew_if_unheard()
                    except Broken:
                        self._note("broken off")
                        self.reconnects += 1
                        await asyncio.sleep(PAUSE * random.random())
                    except Refused as error:
                        self._note_refusal(error)
                        await asyncio.sleep(PAUSE * (0.5 + random.random()))
        except TimeoutError:
            self.faults.append("the stream did not end")
        if self.end is not None and not self.plan.resumes:
            self.ask.ended_at = min(self.ask.ended_at, _now())

    async def _begin_anew_if_unheard(self) -> None:
        unheard = self.end in {"failed", "interrupted"} and not self.heard and not self.plan.resumes
        # Told a second time, it is how the request ended: its handler was called, and had not said anything.
        again = self.end == "interrupted" and self._was_interrupted
        if unheard and self.retryable and not again:
            # Nothing came of it: sent again under its key, it is the same request.
            self.refusals.append("failed before it began")
            self._was_interrupted = self.end == "interrupted"
            self.end, self._failed = None, ""
            self._forget()
            await asyncio.sleep(PAUSE * random.random())

    def _forget(self) -> None:
        self.retryable, self.turn_id, self._seq = False, "", 0
        self.texts, self.done, self.calls = {}, {}, []

    def _note_refusal(self, error: Refused) -> None:
        self.refusals.append(str(error))
        self._note("refused", str(error))
        if error.status == 404 and self._replays:
            # Nothing is kept of it any more.
            self.gone = self.plan.resumes
            self._replays = False
            self._forget()
        elif error.status == 409 and b"thread_busy" in error.body:
            self.ask.busy.append((self._sent_at, _now()))
        elif error.status not in AWAY:
            self.faults.append(f"refused: {error}")
            self.gone = error.status < 500

    async def _connect(self) -> Response:
        request = self._request()
        port, self.first_port = self.first_port or self.port, None
        self._sent_at = _now()
        try:
            async with asyncio.timeout(self._patience):
                self._note("sent", request["type"], str(request["params"].get("after", "")))
                response = await open_request(port, self.ask.user, request)
                self._note("answered by", response.worker)
        except TimeoutError as error:
            self._note("no answer")
            self._patience = min(2 * self._patience, LONGEST_PATIENCE)
            raise Broken from error
        if not self.worker and not self._replays:
            # Sent again, the message may be answered by any worker, whoever has the turn.
            self.worker = "unknown" if self._sent > 1 else response.worker
        if not self.plan.resumes:
            self.ask.taken_at = min(self.ask.taken_at, _now())
            self.ask.taken.set()
        return response

    def _request(self) -> dict[str, Any]:
        ask = self.ask
        if self.plan.resumes or (ask.thread_id and self.turn_id and not self.plan.stock):
            self._replays = True
            params = {"thread_id": ask.thread_id}
            if self.turn_id:
                params["after"] = f"{self.turn_id}:{self._seq}"
            return {"type": "turns.resume", "params": params}
        self._forget()
        self.worker = ""
        self._sent += 1
        ask.sent_at = min(ask.sent_at, _now())
        return ask.body(resumable=not self.plan.stock)

    async def _read(self, response: Response) -> None:
        snapshot: list[bytes] = []
        try:
            async for event_id, name, data in frames(response, 2 * self._patience):
                self._note(event_id or "", name, data[:160].decode(errors="replace"))
                if name == "turn.end":
                    for event in snapshot:
                        self._take(json.loads(event))
                    self.end = json.loads(data)["status"]
                    self.ended_at = self.ended_at or _now()
                    if self._replays:
                        # As a page does: what was begun and never done, only a worker that died knew of.
                        self.texts = {item_id: self.texts[item_id] for item_id in self.done}
                    return
                if self.plan.stock:
                    self._take(json.loads(data))
                    self._received += 1
                elif event_id is None:
                    snapshot.append(data)
                else:
                    turn_id, _, number = event_id.rpartition(":")
                    self._take_numbered(snapshot, data, turn_id, int(number))
                    snapshot = []
                    await self._act()
            if not self.plan.stock:
                raise Broken
            self._end_without_mark()
        finally:
            response.cut()

    def _take_numbered(self, snapshot: list[bytes], data: bytes, turn_id: str, seq: int) -> None:
        if snapshot or seq != self._seq + 1:
            self._take_snapshot([*snapshot, data], seq, turn_id)
        else:
            self._take(json.loads(data))
        self.turn_id, self._seq = turn_id, seq
        self._received += 1
        self._patience = PATIENCE

    def _end_without_mark(self) -> None:
        """Ends as a client does that knows nothing of turns: with the response."""
        self.ended_at = self.ended_at or _now()
        if self._failed:
            self.end = self._failed
        elif list(self.answer.values()) == [self.ask.telling.text()]:
            self.end = "completed"
        else:
            self.end = "stopped"

    def _take_snapshot(self, events: list[bytes], seq: int, turn_id: str) -> None:
        if self.turn_id and turn_id != self.turn_id:
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
        body = {"type": "turns.stop", "params": {"thread_id": self.ask.thread_id}}
        while self.end is None and not self.gone:
            try:
                async with asyncio.timeout(30):
                    response = await open_request(self.port, self.ask.user, body)
                    await response.body()
            except (Broken, Refused, TimeoutError):
                await asyncio.sleep(PAUSE)
            else:
                return

    def _take(self, event: Any) -> None:
        self.heard = self.heard or event["type"] != "error"
        match event["type"]:
            case "thread.created":
                self.ask.thread_id = event["thread"]["id"]
            case "thread.item.added" | "thread.item.replaced":
                self._own(event["item"], self.texts)
            case "thread.item.done":
                self._take_done(event["item"])
            case "thread.item.updated":
                self._append(event["item_id"], event["update"])
            case "thread.item.removed":
                self.reran = True
                self.texts.pop(event["item_id"], None)
                self.done.pop(event["item_id"], None)
                self.calls = [call for call in self.calls if call != event["item_id"]]
            case "error":
                self.retryable = bool(event["allow_retry"])
                self._failed = "interrupted" if event.get("reason") == "interrupted" else "failed"
                self.ended_at = self.ended_at or _now()
            case _:
                pass

    def _take_done(self, item: Any) -> None:
        match item["type"]:
            case "assistant_message":
                self._own(item, self.texts)
                before = self.done.get(item["id"])
                self._own(item, self.done)
                if before is not None and before != self.done[item["id"]]:
                    self.faults.append("an item that was done changed")
            case "user_message":
                self.messages[item["id"]] = _text(item)
            case "client_tool_call" if item["id"] not in self.calls:
                self.calls.append(item["id"])
            case _:
                pass

    def _own(self, item: Any, where: dict[str, str]) -> None:
        if item["type"] == "assistant_message":
            text = _text(item)
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
        """Judges what was seen: ``complete``, ``interrupted``, ``stopped``, ``failed``, or what is wrong."""
        whole = self.ask.telling.text()
        texts = list(self.answer.values())
        if self.faults:
            return self.faults[0]
        if self.end in {"completed", "stopped", "interrupted"} and not self.ask.thread_id:
            return f"{self.end}, and never told of its thread"
        began_anew = self.reran or self.plan.reruns
        if self.shrunk and self.end in {"completed", "stopped"} and not began_anew:
            return "text that was shown is gone"
        if self.end == "completed":
            if texts == [whole] and [text for text in self.texts.values() if self._is_own(text)] == [whole]:
                return "complete"
            return f"wrong text: done {short(self.done)}, shown {short(self.texts)}"
        if any(not whole.startswith(text) for text in texts) or len(texts) > 1:
            return "wrong partial text"
        if self.end in {"interrupted", "failed"}:
            return self.end if self.retryable else f"{self.end} without retry"
        return self.end or "no end"


def short(texts: dict[str, str]) -> str:
    """Returns items as a line of a report has them."""
    return str({item_id: f"{len(text)} characters, ...{text[-20:]!r}" for item_id, text in texts.items()})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _text(item: Any) -> str:
    return "".join(part["text"] for part in item["content"])
