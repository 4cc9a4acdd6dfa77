"""The cost of the statements of the PostgreSQL store does not depend on how much is stored."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatkit.store import PostgresStore
from chatkit.store._postgres_documents import SQL
from chatkit.types import ThreadMetadata
from tests.support.postgres import new_database, on_server

CONTEXT = {"user_id": "alice"}
LENGTH = 100_000
FILL = """
INSERT INTO chatkit.threads (owner, id, data, created_at, updated_at)
SELECT 'alice', 'filler_' || n, '{}', now(), now() FROM generate_series(1, 2000) AS n;
INSERT INTO chatkit.threads (owner, id, data, created_at, updated_at)
SELECT 'owner_' || n, 'filler', '{}', now(), now() FROM generate_series(1, 2000) AS n;
INSERT INTO chatkit.items (thread, id, type, data)
SELECT 1, 'm' || n, 'assistant_message',
    jsonb_build_object('id', 'm' || n, 'type', 'assistant_message', 'thread_id', 'thr', 'content', '[]'::jsonb,
        'created_at', '2026-01-01T00:00:00Z')
FROM generate_series(1, %d) AS n;
INSERT INTO chatkit.items (thread, id, type, data)
SELECT number, 'm', 'assistant_message', '{}' FROM chatkit.threads WHERE number > 1;
INSERT INTO chatkit.attachments (owner, id, data)
SELECT 'alice', 'atc_' || n, '{}' FROM generate_series(1, 5000) AS n;
INSERT INTO chatkit.turns (owner, id, thread_id, token)
SELECT 'alice', 'turn_' || n, 'thr_' || n, n FROM generate_series(1, 5000) AS n;
INSERT INTO chatkit.turn_steps (owner, turn_id, position, kind, name, fingerprint, effect, status, result)
SELECT 'alice', 'turn_' || n, 1, 'tool', 'pay', 'print', 'once', 'ended', '1' FROM generate_series(1, 5000) AS n;
INSERT INTO chatkit.completed_turns (owner, id, forget_at)
SELECT 'alice', 'turn_' || n, now() + make_interval(secs => n) FROM generate_series(5001, 10000) AS n;
INSERT INTO chatkit.accepted_turns (owner, id, thread_id, status, lease_until, key, message)
SELECT 'alice', 'turn_' || n, 'thr_' || n / 10, CASE WHEN n < 4990 THEN 'ended' ELSE 'waiting' END,
    now() + make_interval(secs => n), 'key_' || n, '{}'
FROM generate_series(1, 5000) AS n;
INSERT INTO chatkit.usage (
    owner, created_at, turn_id, step, thread_id, model, input_tokens, cached_tokens, output_tokens, reasoning_tokens
)
SELECT CASE WHEN n %% 2 = 0 THEN 'alice' ELSE 'bob' END, timestamptz '2026-01-01Z' + make_interval(mins => n),
    'turn_' || n, '1', 'thr', 'm', 1, 0, 1, 0 FROM generate_series(1, 5000) AS n;
UPDATE chatkit.search_items SET words = 'word', vector = ('tagword' || item %% 5000 || ':1')::tsvector;
INSERT INTO chatkit.search_titles (thread, owner, words, vector)
SELECT number, owner, 'word', ('tagword' || number || ':1')::tsvector FROM chatkit.threads ON CONFLICT DO NOTHING;
UPDATE chatkit.accepted_turns SET forget_at = now() + make_interval(secs => 60) WHERE status = 'ended';
"""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
# The arguments of each statement that could be slow.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "is_turn_running": ("alice", "turn_7", 7),
    "end_replacing": ("alice", "turn_7", 60.0),
    "end_turn": ("alice", "turn_7", 7),
    "finish_turn": ("alice", "turn_7", 7, "completed", 60.0, ""),
    "find_turn": ("alice", "turn_7"),
    "find_keyed_turn": ("alice", "key_7"),
    "waiting_message": ("alice", "turn_4995"),
    "turns_before": ("alice", "thr_499", "turn_4999"),
    "open_turn": ("alice", "turn_7", 7),
    "claim_turn": ("alice", "turn_7", 10.0, False),
    "forget_turn": ("alice", "turn_7"),
    "end_turns_of_thread": ("alice", "thr_7", "deleted", 60.0),
    "renew_turns": (["alice"] * 3, ["turn_7", "turn_8", "turn_9"], [7, 8, 9], 60.0),
    "has_lapsed": (),
    "lapsed_turns": (10.0,),
    "has_completed": ("alice", "turn_7"),
    "load_thread": ("alice", "thr"),
    "find_thread": ("alice", "thr"),
    "lock_thread": ("alice", "thr"),
    "load_threads_asc": ("alice", "filler_1000", 20),
    "load_threads_desc": ("alice", "filler_1000", 20),
    "delete_attachments_of_thread": ("alice", "thr"),
    "delete_turns_of_thread": ("alice", "thr"),
    "find_item": (1, "m50000"),
    "load_item": ("alice", "thr", "m50000"),
    "load_items_asc": ("alice", "thr", "m50000", 20),
    "load_items_desc": ("alice", "thr", "m50000", 20),
    "delete_item": ("alice", "thr", "m50000"),
    "delete_items_after": (1, LENGTH - 10),
    "delete_thread": ("alice", "filler_1"),
    "load_attachment": ("alice", "atc_7"),
    "attachments_of_thread": ("alice", "thr"),
    "delete_attachment": ("alice", "atc_7"),
    "sweep_attachments": (86400.0,),
    "unclaimed_attachments": (86400.0,),
    "is_passed": ("alice", "thr", f"m{LENGTH - 10}"),
    "turns_beside": ("alice", "thr_7", "turn_70", None, 86400.0),
    "sum_usage": ("alice", LONG_AGO, LONG_AGO + timedelta(hours=1)),
    "survey_usage": (LONG_AGO, LONG_AGO + timedelta(hours=1)),
    "delete_usage": (LONG_AGO,),
    "save_steps": ("alice", "turn_7", 7, [2], ["tool"], ["pay"], ["print"], ["once"], ["started"], [""]),
    "load_steps": ("alice", "turn_7"),
    "index_accepted": ("alice", "thr", "m50000", "word", "'word':1", "word", "'word':1"),
    "newest_search_items": ("alice", 4000),
    "find_search": ("alice", "('tagword7')", 1000, 0),
    "load_found": ("alice", [1], [1], [50_000]),
    "is_search_waiting": (),
    "files_of_owner": ("bob", "atc_7"),
    "files_of_group": ("alice", "atc_7", "red"),
    "size_of_attachment": ("alice", "atc_7"),
    "set_size": ("alice", "atc_7", 5, "red"),
    "survey_place": ("alice", "filler_7"),
    "survey_turns": ("alice", "turn_4990", 20),
}


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[str]:
    """Returns a database with a thread of 100,000 items, the planner's statistics up to date."""

    async def migrate(url: str) -> None:
        store = PostgresStore(url)
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await store.close()

    with new_database(postgres_url) as url:
        asyncio.run(migrate(url))
        on_server(url, lambda connection: connection.execute(FILL % LENGTH))
        on_server(url, lambda connection: connection.execute("VACUUM ANALYZE"))
        yield url


def plan_of(url: str, name: str, *, generic: bool) -> dict[str, Any]:
    async def explain(connection: Any) -> dict[str, Any]:
        # A statement that is prepared may be planned for its arguments or for any; both have to be good.
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await connection.execute(f"SET plan_cache_mode = {mode}")
        transaction = connection.transaction()
        await transaction.start()
        try:
            query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SQL[name]}"
            (row,) = await connection.fetch(query, *ARGUMENTS[name])
        finally:
            await transaction.rollback()
        return json.loads(row[0])[0]["Plan"]

    return on_server(url, explain)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_statements_search_by_index(filled: str, name: str, generic: bool) -> None:
    plan = plan_of(filled, name, generic=generic)
    assert [node["Node Type"] for node in nodes(plan) if "Seq Scan" in node["Node Type"]] == []
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(("kind", "index"), [("items", "items_pkey"), ("threads", "threads_of_owner")])
def test_pages_begin_at_their_cursor(filled: str, kind: str, index: str, order: str, generic: bool) -> None:
    plan = plan_of(filled, f"load_{kind}_{order}", generic=generic)
    (scan,) = [node for node in nodes(plan) if node.get("Index Name") == index]
    assert re.search(r"seq [<>] COALESCE", scan["Index Cond"])
    assert scan["Actual Rows"] == 20
    assert "Filter" not in scan


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_reads_as_much_in_a_thread_of_any_length(filled: str, order: str) -> None:
    plan = plan_of(filled, f"load_items_{order}", generic=False)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 25


def test_every_statement_was_looked_at() -> None:
    writes_one_row = {"begin_turn", "change_thread", "add_thread", "save_attachment", "add_usage"}
    writes_one_row |= {"add_item", "change_item", "save_item"}
    # Pieces of what waits to be indexed.
    writes_one_row |= {
        f"{what}_{kind}" for what in ("index", "waiting_search") for kind in ("items", "titles")
    }
    writes_one_row |= {"accept_turn", "register_turn", "void_turn", "set_begun", "token_of_turn"}
    # For an operator, who is told that they read the places of all that the owners have.
    surveys = {
        "survey_threads_asc",
        "survey_threads_desc",
        "survey_owners",
        "survey_owner",
        "owners_of_thread",
    }
    # Of a table that has a row for each erasure that is under way, and few others.
    surveys |= {"erased_owners"}
    assert set(ARGUMENTS) == set(SQL) - writes_one_row - surveys - {"check", "lock_files", "lock_owner"}
    assert not [name for name, statement in SQL.items() if "OFFSET" in statement.upper()]
