"""A worker is killed at points of a turn's journal: another one goes on, and nothing is done twice without a word."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.journal_kills import FLOWS, cases_of, points, run_case
from tests.server.journal_worker_process import MOMENTS
from tests.server.kill_points import Places
from tests.support.postgres import new_database
from tests.support.scale import FAST, examples

pytestmark = [
    pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not"),
    pytest.mark.timeout(300),
    # A worker that lives and stands still for a lease, on a busy machine, counts as dead.
    pytest.mark.flaky(reruns=2),
]
_CASES = 10
"""As many as run side by side; ``python -m tests.server.journal_kills`` runs more."""


@pytest.fixture(scope="module")
def databases(postgres_url: str) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(new_database(postgres_url)) for _ in range(_CASES)]


async def test_a_turn_goes_on_wherever_its_worker_was_killed(
    databases: list[str], redis_url: str, tmp_path: Path
) -> None:
    places = Places(databases, redis_url, tmp_path)
    seen = await points(places)
    for flow in FLOWS:
        assert set(seen[flow]) == set(MOMENTS), "each kind of point is one of each flow"
    cases = random.Random(17).sample(cases_of(seen), examples(_CASES))
    found = await places.each(cases, run_case)  # type: ignore[arg-type]
    assert {(case, outcome.died): outcome.faults for case, outcome in found if outcome.faults} == {}
    assert {outcome.end for _, outcome in found} <= {"completed", "unsure"}
    assert sum(outcome.end == "completed" for _, outcome in found) > 0
