"""The judge: makes out what must be from what clients sent and saw, and compares it with rows and views."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.chaos.asks import Ask
from benchmarks.chaos.client import Reader, short
from benchmarks.chaos.rows import Rows
from benchmarks.chaos.script import Telling
from benchmarks.chaos.sessions import Session
from benchmarks.chaos.wire import Refused, ask_json

__all__ = ["FAULTS", "Verdict", "judge", "judge_session"]

FAULTS: Final = ("lost", "doubled", "unordered", "differing", "empty", "unended", "wrong")
"""What must not be: a message or an answer that is not there, or more than once, or in another place than its own;
rows that are not what was seen, or not what a view shows; a thread without items; a reader without an end; and
everything else, such as a refusal or a text that nobody wrote."""
_ENDS: Final = {"complete": "completed"}


@dataclass
class Verdict:
    """What came of one run, or of several.

    Attributes:
        counts: Turns by how they ended, and faults by their kind.
        injected: What was done to workers, servers and networks, by its kind.
        lines: A line for each fault.
        reconnects: How often readers came back.
        snapshots: How often they came back to a snapshot.
        shrunk: Characters of shown text that were taken back, at most.
        records: What the readers of each session saw in which something is wrong.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    injected: Counter[str] = field(default_factory=Counter[str])
    lines: list[str] = field(default_factory=list[str])
    reconnects: int = 0
    snapshots: int = 0
    shrunk: int = 0
    records: list[str] = field(default_factory=list[str])

    @property
    def clean(self) -> bool:
        return not any(self.counts[kind] for kind in FAULTS)

    def add(self, kind: str, line: str) -> None:
        """Notes a fault."""
        self.counts[kind] += 1
        self.lines.append(f"{kind}: {line}")

    def merge(self, other: Verdict) -> None:
        """Adds what came of another run."""
        self.counts.update(other.counts)
        self.injected.update(other.injected)
        self.lines += other.lines
        self.records += other.records
        self.reconnects += other.reconnects
        self.snapshots += other.snapshots
        self.shrunk = max(self.shrunk, other.shrunk)


async def judge(
    sessions: Iterable[Session],
    rows: Rows,
    *,
    policy: str,
    untouched: Collection[str] = (),
    may_fail: bool = False,
    broken_until: float = 0.0,
) -> Verdict:
    """Judges what sessions saw.

    Args:
        sessions: They are over, and so is all that workers had left to write.
        rows: What the database has now.
        policy: What a message does in a thread in which a turn runs.
        untouched: Ports of workers whose turns must not be interrupted, for nobody touched them.
        may_fail: Whether turns may fail: the disk was full.
        broken_until: Loop time until which the database may not know of a turn's end: the disk was full, or was just
            before.
    """
    verdict = Verdict()
    owners = {session.user for session in sessions}
    for owner, thread_id in rows:
        if owner not in owners:
            verdict.add("wrong", f"thread {thread_id} of {owner}, who asked nothing")
    for session in sessions:
        judged = judge_session(
            session,
            rows,
            policy=policy,
            untouched=untouched,
            may_fail=may_fail,
            broken_until=broken_until,
        )
        verdict.merge(judged)
    gate = asyncio.Semaphore(8)

    async def compare(session: Session) -> None:
        async with gate:
            await _compare_views(verdict, session, _rows_of(session, rows))

    await asyncio.gather(*(compare(session) for session in sessions))
    return verdict


def judge_session(
    session: Session,
    rows: Rows,
    *,
    policy: str,
    untouched: Collection[str] = (),
    may_fail: bool = False,
    broken_until: float = 0.0,
) -> Verdict:
    """Judges one session by the rows alone; the parameters are those of :func:`judge`."""
    verdict = Verdict()
    judging = _SessionJudge(verdict, session, _rows_of(session, rows), policy)
    judging.judge(untouched, may_fail=may_fail)
    judging.judge_refusals(broken_until)
    if not verdict.clean:
        verdict.records += _records(session, _rows_of(session, rows))
    return verdict


def _records(session: Session, rows: dict[str, list[Any]]) -> list[str]:
    records = [f"{session.user} ({session.shape}), thread {session.thread_id}"]
    for thread_id, items in rows.items():
        records += [f"  stored in {thread_id}:"]
        records += [f"    {item.get('created_at')} {item['type']} {item['id']}" for item in items]
    for ask in session.asks:
        for reader in ask.readers:
            records += [f"  {ask.kind} {ask.number}, {reader.plan}, {reader.end}"]
            records += [f"    {line}" for line in reader.record]
    return records


def _rows_of(session: Session, rows: Rows) -> dict[str, list[Any]]:
    return {thread: items for (owner, thread), items in rows.items() if owner == session.user}


class _SessionJudge:
    """Judges one session by the rows of its user."""

    def __init__(self, verdict: Verdict, session: Session, rows: dict[str, list[Any]], policy: str) -> None:
        self.verdict = verdict
        self.session = session
        self.rows = rows
        self.policy = policy
        self.items = [item for items in rows.values() for item in items]

    def add(self, kind: str, text: str, ask: Ask | None = None) -> None:
        asked = "" if ask is None else f" {ask.kind} {ask.number}"
        self.verdict.add(
            kind, f"{self.session.user} ({self.session.shape}) {self.session.thread_id}{asked}: {text}"
        )

    def judge(self, untouched: Collection[str], *, may_fail: bool) -> None:
        for text in self.session.faults:
            self.add("wrong", text)
        for thread_id, items in self.rows.items():
            if not items:
                self.add("empty", f"thread {thread_id} has no items")
        for ask in self.session.asks:
            self._judge_readers(ask, untouched, may_fail=may_fail)
        self._judge_messages()
        self._judge_answers()
        self._judge_order()

    # What readers saw.

    def _judge_readers(self, ask: Ask, untouched: Collection[str], *, may_fail: bool) -> None:
        verdict = self.verdict
        outcomes: list[str] = []
        for reader in ask.readers:
            outcome = reader.outcome()
            outcomes.append(_ENDS.get(outcome, outcome))
            verdict.reconnects += reader.reconnects
            verdict.snapshots += reader.snapshots
            verdict.shrunk = max(verdict.shrunk, reader.shrunk)
            problem = self._problem(reader, outcome, may_fail=may_fail)
            if problem is not None:
                self.add(problem, f"{outcome} ({_story(reader)})", ask)
            elif outcome == "interrupted" and len(ask.readers) == 1 and reader.worker in untouched:
                self.add("wrong", f"interrupted although nobody touched its worker ({_story(reader)})", ask)
        known = {"completed", "interrupted", "stopped", "failed"}
        self.verdict.counts["turns"] += 1
        self.verdict.counts[outcomes[0] if outcomes[0] in known else "other"] += 1
        # Who knows nothing of turns cannot tell a stopped one from one that was cut off.
        told = [reader for reader in ask.readers if reader.end is not None and not reader.plan.stock]
        ends = {reader.end for reader in told}
        if len(ends) > 1:
            self.add("differing", f"its readers were told {[reader.end for reader in told]}", ask)
        if len({json.dumps(reader.answer, sort_keys=True) for reader in told}) > 1:
            self.add("differing", f"its readers saw {[short(reader.answer) for reader in told]}", ask)

    def _problem(self, reader: Reader, outcome: str, *, may_fail: bool) -> str | None:
        """Returns the kind of fault that an outcome is; None if it is none."""
        if outcome in {"complete", "interrupted"} or (outcome == "failed" and may_fail):
            return None
        if outcome == "stopped":
            asked = any(other.plan.stop_after is not None for other in reader.ask.readers)
            replaced = self.policy == "interrupt" and self.session.shape == "several"
            replaced = replaced or self.session.shape == "retry"
            # Who knows nothing of turns stops them where its connection ends.
            left = any(other.plan.stock and other.reconnects > 0 for other in reader.ask.readers)
            return None if asked or replaced or left else "wrong"
        return "unended" if reader.end is None and "did not end" in outcome else "wrong"

    # What is stored.

    def _judge_messages(self) -> None:
        """Each message once, to the byte, under the id that was told."""
        stored = defaultdict[str, list[Any]](list)
        for item in self.items:
            if item["type"] == "user_message":
                stored[_text(item)].append(item)
        for ask in self.session.asks:
            if ask.kind not in {"create", "message"}:
                continue
            found = stored.pop(ask.telling.request(), [])
            if len(found) > 1:
                self.add("doubled", f"the message is stored {len(found)} times", ask)
            if ask.heard and not found:
                self.add("lost", "the message is not stored", ask)
            text = ask.telling.request()
            told = {
                known for reader in ask.readers for known, seen in reader.messages.items() if seen == text
            }
            if found and told - {item["id"] for item in found}:
                self.add("differing", f"the message was told as {told}", ask)
        for text in stored:
            self.add("wrong", f"a message that nobody sent: {text[:60]!r}")

    def _judge_answers(self) -> None:
        """Each answer as its readers saw it when it was done, and nothing else."""
        answers = defaultdict[int | None, dict[str, str]](dict)
        calls = defaultdict[int | None, list[Any]](list)
        for item in self.items:
            if item["type"] == "assistant_message":
                answers[Telling.seed_of(_text(item))][item["id"]] = _text(item)
            elif item["type"] == "client_tool_call":
                calls[item["arguments"]["seed"]].append(item)
        governing: dict[int, list[Ask]] = defaultdict(list)
        for ask in self.session.asks:
            governing[ask.telling.seed].append(ask)
        everything = {item["id"]: _text(item) for item in self.items if item["type"] == "assistant_message"}
        for reader in self.session.readers:
            for item_id in reader.done.keys() - reader.answer.keys():
                # Another answer of the thread, which was shown to this reader too.
                if everything.get(item_id) != reader.done[item_id] and self.session.shape != "retry":
                    self.add("differing", f"{item_id} is not stored as it was shown", reader.ask)
        for seed, asks in governing.items():
            self._judge_answer(asks, answers.pop(seed, {}))
            self._judge_calls(asks[0], calls.pop(seed, []))
        for text in [text for items in answers.values() for text in items.values()]:
            self.add("wrong", f"an answer that nobody asked for: {text[:40]!r}")

    def _judge_answer(self, asks: list[Ask], stored: dict[str, str]) -> None:
        ask = asks[-1]
        if len(asks) > 1 and not ask.heard:
            # A retry that may have begun, or not.
            for item_id in asks[0].readers[0].done:
                stored.pop(item_id, None)
        seen: dict[str, str] = {}
        for reader in ask.readers:
            if not (reader.plan.stock and reader.end == "stopped"):
                seen |= reader.answer
        if len(stored) > 1:
            self.add("doubled", f"{len(stored)} answers are stored, seen as done was {short(seen)}", ask)
        elif seen and not stored:
            self.add("lost", f"seen as done was {short(seen)}, and nothing is stored", ask)
        elif stored != seen and not all(
            reader.plan.stock and reader.end == "stopped" for reader in ask.readers
        ):
            self.add("differing", f"stored is {short(stored)}, seen as done was {short(seen)}", ask)
        elif not all(ask.telling.text().startswith(text) for text in stored.values()):
            self.add("wrong", f"stored is {short(stored)}", ask)

    def _judge_calls(self, ask: Ask, stored: list[Any]) -> None:
        told = {call for reader in ask.readers for call in reader.calls}
        if told != {call["id"] for call in stored} or len(stored) > 1:
            self.add("differing", f"{len(stored)} calls of the tool are stored, told were {len(told)}", ask)
        outputs = [other for other in self.session.asks if other.kind == "output"]
        expected = [{"telling": other.telling.request()} for other in outputs if other.heard]
        for call in stored:
            if expected and call["output"] != expected[0]:
                self.add("lost", f"the output of the tool is not stored: {call['output']}", outputs[0])

    def _judge_order(self) -> None:
        """Messages in the order in which they were taken, each followed by its answer where turns wait."""
        if self.policy == "allow":
            return
        asks = {ask.telling.seed: ask for ask in self.session.asks if ask.kind in {"create", "message"}}
        order: list[tuple[str, Ask]] = []
        for item in self.rows.get(self.session.thread_id, []):
            if item["type"] == "user_message":
                ask = asks.get(_seed_of_message(item))
            elif item["type"] == "assistant_message":
                ask = asks.get(Telling.seed_of(_text(item)) or -1)
            else:
                continue
            if ask is not None:
                order.append((item["type"], ask))
        shown = ", ".join(f"{'m' if kind == 'user_message' else 'a'}{ask.number % 10}" for kind, ask in order)
        # A message that is stopped while it waits is stored at once.
        answered = {ask.number for kind, ask in order if kind != "user_message"}
        order = [(kind, ask) for kind, ask in order if ask.number in answered or not _is_stopped(ask)]
        asking: Ask | None = None
        for kind, ask in order:
            if kind == "user_message":
                asking = ask
            elif ask is not asking:
                self.add("unordered", f"the items are {shown}", ask)
                return
        messages = [ask for kind, ask in order if kind == "user_message"]
        for position, ask in enumerate(messages):
            # Sent when the other one had been taken already.
            if any(ask.sent_at > later.taken_at for later in messages[position + 1 :]):
                self.add("unordered", f"the messages were taken in another order than {shown}", ask)
                return

    def judge_refusals(self, broken_until: float) -> None:
        """A message is refused for another turn only while one may run."""
        for ask in self.session.asks:
            others = [other for other in self.session.asks if other is not ask]
            for sent_at, refused_at in ask.busy:
                if sent_at > broken_until and not any(
                    other.sent_at <= refused_at and other.ended_at >= sent_at for other in others
                ):
                    self.add("wrong", "refused as busy although everything had ended", ask)
                    return


async def _compare_views(verdict: Verdict, session: Session, rows: dict[str, list[Any]]) -> None:
    """Compares what the server shows with the rows."""

    def differs(what: str) -> None:
        verdict.add("differing", f"{session.user} ({session.shape}) {session.thread_id}: {what}")

    async def view(kind: str, **params: Any) -> Any:
        return await ask_json(session.port, session.user, {"type": kind, "params": params})

    try:
        listed = await view("threads.list", limit=100, order="asc")
        if {thread["id"] for thread in listed["data"]} != set(rows):
            differs(f"threads.list shows {len(listed['data'])} threads, stored are {len(rows)}")
        for thread_id, items in rows.items():
            stored = [_face(item) for item in items]
            page = await view("items.list", thread_id=thread_id, order="asc", limit=100)
            if [_face(item) for item in page["data"]] != stored:
                differs(f"items.list shows {_ids(page['data'])}, stored are {_ids(items)}")
            page = await view("items.list", thread_id=thread_id, order="desc", limit=100)
            if [_face(item) for item in page["data"]] != stored[::-1]:
                differs(f"items.list, newest first, shows {_ids(page['data'])}, stored are {_ids(items)}")
            thread = await view("threads.get_by_id", thread_id=thread_id)
            if [_face(item) for item in thread["items"]["data"]] != stored:
                differs(f"threads.get_by_id shows {_ids(thread['items']['data'])}, stored are {_ids(items)}")
            if thread.get("active_turn") is not None:
                differs(f"threads.get_by_id shows that {thread['active_turn']} runs")
    except Refused as error:
        differs(f"a view is refused: {error}")
    except TimeoutError:
        differs("a view is not answered")
    _compare_replay(verdict, session, differs)


def _compare_replay(verdict: Verdict, session: Session, differs: Any) -> None:
    """Compares what a page that was loaded again was shown of the last turn."""
    replay = session.replay
    if replay is None or replay.gone:
        return
    if replay.end is None:
        verdict.add("unended", f"{session.user}: {replay.outcome()}, of a page that was loaded again")
        return
    for reader in session.readers:
        if reader.turn_id == replay.turn_id and reader.end is not None and not reader.plan.stock:
            # The last turn need not be that of the last request.
            shown = replay.answer_to(reader.ask)
            if (reader.end, reader.answer) != (replay.end, shown):
                differs(
                    f"a page that was loaded again was shown {replay.end}, {short(shown)}, not {reader.end}, "
                    f"{short(reader.answer)}"
                )
            return


def _is_stopped(ask: Ask) -> bool:
    return any(reader.end == "stopped" for reader in ask.readers)


def _seed_of_message(item: Any) -> int:
    try:
        return Telling.parse(_text(item)).seed
    except (ValueError, TypeError):
        return -1


def _face(item: Any) -> tuple[Any, ...]:
    """Returns what must be the same in all views of an item."""
    content = _text(item) if "content" in item else None
    return item["id"], item["type"], content, item.get("status"), item.get("output"), item["created_at"]


def _text(item: Any) -> str:
    return "".join(part["text"] for part in item["content"])


def _ids(items: list[Any]) -> str:
    return ", ".join(f"{item['type']} {item['id']}" for item in items)


def _story(reader: Reader) -> str:
    """Returns what helps to find out what happened to a reader."""
    return (
        f"turn {reader.turn_id or 'unknown'}, end {reader.end}, worker {reader.worker or 'unknown'}, "
        f"{reader.reconnects} reconnects, refused: {reader.refusals[-1:]}{', stock' if reader.plan.stock else ''}"
    )
