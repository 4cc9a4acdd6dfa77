"""A worker dies at a point of a request, and its client sends the message again: told once, answered once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.kill_points import (
    AT_ONCE,
    RESENT,
    SETUPS,
    SITUATIONS,
    Case,
    Places,
    is_passing,
    points,
    run_case,
    trace,
)
from tests.support.postgres import new_database
from tests.support.scale import FAST, examples

pytestmark = [
    pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not"),
    pytest.mark.timeout(300),
    # A worker that lives and stands still for a lease, on a busy machine, counts as dead.
    pytest.mark.flaky(reruns=2),
]
TRACED = [
    Case(SETUPS[(at + further) % 3], way, scene, policy, 1, "at once", "")
    for further, way in enumerate(("accepting", "apart"))
    for at, (scene, policy) in enumerate(SITUATIONS)
]
"""Each situation both ways, each time over another log."""


@pytest.fixture(scope="module")
def databases(postgres_url: str) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(new_database(postgres_url)) for _ in range(AT_ONCE)]


@pytest.fixture
def places(databases: list[str], redis_url: str, tmp_path: Path) -> Places:
    return Places(databases, redis_url, tmp_path)


async def test_the_points_are_all_that_a_request_waits_for(places: Places) -> None:
    found = await places.each(TRACED, trace)
    differences = {
        case: sorted({point for point in set(seen) ^ set(points(case)) if not is_passing(case, point)})
        for case, seen in found
    }
    assert {case: names for case, names in differences.items() if names} == {}


def chosen(setup: str, way: str, further: int) -> list[Case]:
    """Returns a case for each point that there is over a log, of another situation and another kind each time."""
    situations = [Case(setup, way, scene, policy, 0, "", "") for scene, policy in SITUATIONS]
    reached = {case: points(case) for case in situations}
    # After what only asks, nothing is other than before the next point.
    names = dict.fromkeys(
        point
        for found in reached.values()
        for point in found
        if not point.startswith("after") or point[6:] in WRITES
    )
    cases: list[Case] = []
    for at, point in enumerate(names, further):
        there = [case for case, found in reached.items() if point in found]
        case = there[at % len(there)]
        cases.append(case._replace(reruns=at // 2 % 2, resent=RESENT[at % 3], point=point))
    return cases


WRITES = {
    point.partition(" ")[2]
    for scene, policy in SITUATIONS
    for way in ("accepting", "apart")
    for point in points(Case("sqlite", way, scene, policy, 0, "", ""))
    if point.startswith("open ")
} | {"log.save"}


@pytest.mark.parametrize("way", ["accepting", "apart"])
async def test_a_message_whose_worker_died_is_taken_once(places: Places, way: str) -> None:
    """Each point over one of the logs; ``python -m tests.server.kill_points`` takes all of them, or more."""
    every = [chosen(setup, way, further) for further in range(examples(1)) for setup in SETUPS]
    cases = [case for at, listed in enumerate(every) for case in listed[at % 3 :: 3]]
    found = [f"{case}: {text}" for case, told in await places.each(cases, run_case) for text in told]
    assert not found, "\n".join(found)
