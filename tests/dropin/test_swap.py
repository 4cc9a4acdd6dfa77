"""The same application, with its data, on one distribution and then on the other, in fresh environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dropin.environments import OURS, THEIRS, Environment
from tests.dropin.swapped.session import first_visit, page, second_visit
from tests.support.reference_package import REFERENCE_VERSION

VISITS = (first_visit, second_visit)
SERVERS = ("starlette", "uvicorn")


def visit(environment: Environment, database: Path, visits: Any) -> list[Any]:
    """Returns what the page hears in the visits."""
    heard: list[Any] = []
    for each in visits:
        with page(environment, database) as visitor:
            each(visitor)
        heard += visitor.heard
    return heard


@pytest.mark.timeout(1200)
def test_an_application_moves_with_its_data(wheel: Path, tmp_path: Path) -> None:
    # Ours alone brings all that the application needs, but for its web framework and server.
    bare = Environment(tmp_path / "bare")
    bare.install(f"{OURS}[agents] @ {wheel.as_uri()}", *SERVERS)
    ours_alone = visit(bare, tmp_path / "ours.db", VISITS)

    environment = Environment.with_shared_packages(tmp_path / "environment")
    environment.put(wheel)
    moved_to_theirs = visit(environment, tmp_path / "from_ours.db", VISITS[:1])

    environment.uninstall(OURS)
    environment.put(f"{THEIRS}=={REFERENCE_VERSION}")
    moved_to_theirs += visit(environment, tmp_path / "from_ours.db", VISITS[1:])
    theirs_alone = visit(environment, tmp_path / "theirs.db", VISITS)
    moved_to_ours = visit(environment, tmp_path / "from_theirs.db", VISITS[:1])

    environment.uninstall(THEIRS)
    environment.put(wheel)
    moved_to_ours += visit(environment, tmp_path / "from_theirs.db", VISITS[1:])

    assert len(theirs_alone) == 19
    assert {status for status, _, _ in theirs_alone} == {200}
    assert ours_alone == theirs_alone
    assert moved_to_theirs == theirs_alone
    assert moved_to_ours == theirs_alone
