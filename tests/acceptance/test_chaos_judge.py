"""The judge of the fault generator: what it finds where readers saw one thing and the database has another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.chaos.asks import Ask, Plan
from benchmarks.chaos.client import Reader
from benchmarks.chaos.judge import judge_session
from benchmarks.chaos.rows import Rows
from benchmarks.chaos.script import Telling
from benchmarks.chaos.sessions import Habits, Session

THREAD = ("user-0", "thr_1")


def item(kind: str, ask: Ask) -> dict[str, Any]:
    text = ask.telling.request() if kind == "user_message" else ask.telling.text()
    made = {"id": f"{kind}-{ask.number}", "type": kind, "created_at": "2026-01-01T00:00:00Z"}
    return {**made, "content": [{"text": text}]}


def answered() -> tuple[Session, Rows]:
    """Returns a session of three messages, the second and third sent at once, and what is stored of it."""
    session = Session(0, Habits(seed=1, deltas=3), 0, [1, 2])
    session.asks += [Ask(number, "user-0", "message", Telling(100 + number, 3)) for number in (1, 2)]
    rows: Rows = {THREAD: []}
    for number, ask in enumerate(session.asks):
        ask.thread_id = THREAD[1]
        ask.sent_at, ask.taken_at, ask.ended_at = number, number + 0.5, number + 10
        message, answer = item("user_message", ask), item("assistant_message", ask)
        reader = Reader(ask, 0, Plan(), heard=True, end="completed")
        reader.messages = {message["id"]: ask.telling.request()}
        reader.done = {answer["id"]: ask.telling.text()}
        reader.texts = dict(reader.done)
        rows[THREAD] += [message, answer]
    return session, rows


def lose_message(session: Session, rows: Rows) -> None:
    del rows[THREAD][2]


def lose_answer(session: Session, rows: Rows) -> None:
    del rows[THREAD][3]


def double_message(session: Session, rows: Rows) -> None:
    rows[THREAD].insert(2, {**rows[THREAD][2], "id": "another"})


def double_in_another_thread(session: Session, rows: Rows) -> None:
    rows["user-0", "thr_2"] = [{**rows[THREAD][0], "id": "another"}]


def answer_twice(session: Session, rows: Rows) -> None:
    rows[THREAD].append({**rows[THREAD][5], "id": "another"})


def answer_after_next_message(session: Session, rows: Rows) -> None:
    rows[THREAD][3:5] = rows[THREAD][4:2:-1]


def take_newest_first(session: Session, rows: Rows) -> None:
    rows[THREAD][2:] = rows[THREAD][4:] + rows[THREAD][2:4]


def change_a_byte(session: Session, rows: Rows) -> None:
    content = rows[THREAD][1]["content"][0]
    content["text"] = content["text"][:-2] + "x "


def write_after_a_stop(session: Session, rows: Rows) -> None:
    reader = session.asks[2].readers[0]
    reader.end, reader.done = "interrupted", {"assistant_message-2": session.asks[2].telling.words()[0]}
    reader.retryable = True


def leave_empty_thread(session: Session, rows: Rows) -> None:
    rows["user-0", "thr_2"] = []


def add_strange_message(session: Session, rows: Rows) -> None:
    rows[THREAD].append({"id": "m", "type": "user_message", "content": [{"text": "Who am I?"}]})


def swallow_end(session: Session, rows: Rows) -> None:
    session.asks[1].readers[0].end = None
    session.asks[1].readers[0].faults.append("the stream did not end")


def tell_readers_two_ends(session: Session, rows: Rows) -> None:
    Reader(session.asks[1], 0, Plan(), heard=True, end="interrupted", retryable=True)


def refuse_without_reason(session: Session, rows: Rows) -> None:
    session.asks[2].busy.append((20.0, 20.1))
    session.asks[2].ended_at = 30.0


FAULTS = [
    (lose_message, "lost"),
    (lose_answer, "lost"),
    (double_message, "doubled"),
    (double_in_another_thread, "doubled"),
    (answer_twice, "doubled"),
    (answer_after_next_message, "unordered"),
    (take_newest_first, "unordered"),
    (change_a_byte, "differing"),
    (write_after_a_stop, "differing"),
    (leave_empty_thread, "empty"),
    (add_strange_message, "wrong"),
    (swallow_end, "unended"),
    (tell_readers_two_ends, "differing"),
    (refuse_without_reason, "wrong"),
]


def test_what_was_seen_and_is_stored_is_clean() -> None:
    session, rows = answered()
    verdict = judge_session(session, rows, policy="enqueue")
    assert verdict.clean, verdict.lines
    assert verdict.counts == {"turns": 3, "completed": 3}


def test_a_message_that_is_stopped_while_it_waits_is_stored_at_once() -> None:
    session, rows = answered()
    del rows[THREAD][5]
    rows[THREAD].insert(3, rows[THREAD].pop())
    assert [item["id"] for item in rows[THREAD]][2:4] == ["user_message-1", "user_message-2"]
    reader = session.asks[2].readers[0]
    reader.end, reader.done, reader.texts, reader.plan = "stopped", {}, {}, Plan(stop_after=1)
    assert judge_session(session, rows, policy="enqueue").clean
    reader.end, reader.retryable = "interrupted", True
    assert judge_session(session, rows, policy="enqueue").counts["unordered"] == 1


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_a_fault_is_found_as_what_it_is(fault: Callable[[Session, Rows], None], kind: str) -> None:
    session, rows = answered()
    fault(session, rows)
    verdict = judge_session(session, rows, policy="enqueue")
    assert verdict.counts[kind] >= 1, verdict.lines
