"""The same application, with its data, on one distribution and then on the other, in fresh environments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dropin.environments import OURS, THEIRS, Environment
from tests.dropin.swapped.session import first_visit, pages, second_visit
from tests.support.reference_package import REFERENCE_VERSION

SERVERS = ("starlette", "uvicorn")


@pytest.mark.timeout(1200)
def test_an_application_moves_with_its_data(wheel: Path, tmp_path: Path) -> None:
    # Ours alone brings all that the application needs, but for its web framework and server.
    environment = Environment(tmp_path / "environment")
    environment.install(f"{OURS}[agents] @ {wheel.as_uri()}", *SERVERS)
    ours, theirs, from_ours, from_theirs = (tmp_path / f"{number}.db" for number in range(4))

    with pages(environment, ours, ours, from_ours) as (first, second, moves):
        first_visit(first)
        second_visit(second)
        first_visit(moves)
    ours_alone, moved_to_theirs = first.heard + second.heard, moves.heard

    environment.uninstall(OURS)
    environment.install(f"{THEIRS}=={REFERENCE_VERSION}")
    with pages(environment, theirs, theirs, from_ours, from_theirs) as (first, second, moved, moves):
        first_visit(first)
        second_visit(second)
        second_visit(moved)
        first_visit(moves)
    theirs_alone, moved_to_ours = first.heard + second.heard, moves.heard
    moved_to_theirs += moved.heard

    environment.uninstall(THEIRS)
    environment.put(wheel)
    with pages(environment, from_theirs) as (moved,):
        second_visit(moved)
    moved_to_ours += moved.heard

    assert len(theirs_alone) == 19
    assert {status for status, _, _ in theirs_alone} == {200}
    assert ours_alone == theirs_alone
    assert moved_to_theirs == theirs_alone
    assert moved_to_ours == theirs_alone
