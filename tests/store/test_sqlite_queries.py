"""The cost of each statement of the SQLite store does not depend on how much is stored."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from chatkit._sql import load_queries
from chatkit.store import SQLiteStore
from chatkit.store import _sqlite_statements as statements
from chatkit.testing._store_samples import message
from chatkit.types import ThreadMetadata

CONTEXT = {"user_id": "alice"}


async def _plans() -> dict[str, list[str]]:
    store = SQLiteStore(":memory:")
    parameters = Counter[str]()  # every parameter is 0

    def explain(connection: sqlite3.Connection) -> dict[str, list[str]]:
        return {
            name: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for name, statement in statements.SQL.items()
        }

    try:
        return await store.database.read(explain)
    finally:
        await store.close()


PLANS = asyncio.run(_plans())


OF_OPERATORS = {
    "owners_of_thread",
    "survey_owner",
    "survey_owners",
    "survey_threads_of_owner",
    "survey_turns",
}
"""What is told of all owners reads what there is of those on a page, or what an index has of all."""


@pytest.mark.parametrize("name", sorted(OF_OPERATORS))
def test_what_operators_ask_reads_no_table_that_has_an_index_for_it(name: str) -> None:
    table = re.compile(r"SCAN (accepted_turns|attachments|items|threads)(?! USING (COVERING )?INDEX)")
    assert not [step for step in PLANS[name] if table.match(step)]
    assert "OFFSET" not in statements.SQL[name].upper()


@pytest.mark.parametrize("name", sorted(PLANS.keys() - OF_OPERATORS))
def test_statements_search_by_index(name: str) -> None:
    # An operator, who asks for threads of several owners, is told that this reads the places of all of them.
    # Who asks what was used in some days is told that it is put in groups.
    if name == "wait_for_search":
        # Notes all that there is, once in the life of a file.
        return
    sorts = "SCAN" if name.startswith(("survey_threads", "sum_usage", "survey_usage")) else "TEMP B-TREE"
    assert not [step for step in PLANS[name] if "SCAN" in step or sorts in step]
    assert "OFFSET" not in statements.SQL[name].upper()


@pytest.mark.parametrize(("name", "comparison"), [("asc", ">"), ("desc", "<")])
def test_pages_begin_at_their_cursor(name: str, comparison: str) -> None:
    assert PLANS[f"load_items_{name}"] == [
        f"SEARCH items USING INDEX items_of_thread (thread=? AND rowid{comparison}?)"
    ]
    assert PLANS[f"load_threads_{name}"] == [
        f"SEARCH threads USING INDEX threads_of_owner (owner=? AND rowid{comparison}?)"
    ]


def test_work_for_a_page_is_the_same_in_a_thread_of_any_length() -> None:
    async def scenario() -> None:
        store = SQLiteStore(":memory:")
        steps: dict[int, int] = {}
        for length in (50, 5000):
            thread_id = f"thr_{length}"
            await store.save_thread(ThreadMetadata(id=thread_id), CONTEXT)

            def fill(
                connection: sqlite3.Connection, thread_id: str = thread_id, length: int = length
            ) -> None:
                for n in range(length):
                    statements.store_item(
                        connection,
                        query="add_item",
                        owner="alice",
                        thread_id=thread_id,
                        item_id=f"m{n}",
                        type="assistant_message",
                        data=message(f"m{n}").model_dump_json(),
                    )

            def count(
                connection: sqlite3.Connection, thread_id: str = thread_id, length: int = length
            ) -> int:
                ticks = 0

                def tick() -> int:
                    nonlocal ticks
                    ticks += 1
                    return 0

                # Counts the instructions of SQLite's virtual machine.
                connection.set_progress_handler(tick, 1)
                page = statements.load_items(
                    connection,
                    owner="alice",
                    thread_id=thread_id,
                    limit=20,
                    after=f"m{length // 2}",
                    order="desc",
                )
                connection.set_progress_handler(None, 1)
                assert len(page.data) == 20
                return ticks

            await store.database.write(fill)
            steps[length] = await store.database.read(count)
        assert steps[50] == steps[5000] > 0
        await store.close()

    asyncio.run(scenario())


def test_named_queries(tmp_path: Path) -> None:
    path = tmp_path / "q.sql"
    path.write_text("-- What this is.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- note\nSELECT\n2;\n")
    assert load_queries(path) == {"one": "SELECT 1", "two": "-- note\nSELECT\n2"}
