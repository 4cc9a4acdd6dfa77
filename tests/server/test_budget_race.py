"""Three processes race for a budget; ``python -m tests.server.budget_race 1000`` is the whole of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.server.budget_race import race
from tests.support.postgres import new_database
from tests.support.scale import examples


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_calls_at_once_over_three_processes_overspend_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    calls = examples(60)
    if kind == "postgres":
        with new_database(request.getfixturevalue("postgres_url")) as url:
            found = asyncio.run(race(url, calls))
    else:
        place = str(tmp_path / "chat.db") if kind == "sqlite" else request.getfixturevalue("redis_url")
        found = asyncio.run(race(place, calls))
    assert found.used <= found.budget
    assert found.counted == found.used
    assert found.left
    assert found.refused > 0
    assert found.made >= found.budget // 100
