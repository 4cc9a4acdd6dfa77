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
@pytest.mark.parametrize("first", [THEIRS, OURS])
def test_an_application_moves_with_its_data(first: str, wheel: Path, tmp_path: Path) -> None:
    requirements = {THEIRS: f"{THEIRS}=={REFERENCE_VERSION}", OURS: f"{OURS}[agents] @ {wheel.as_uri()}"}
    second = OURS if first == THEIRS else THEIRS
    environment = Environment(tmp_path / "environment")

    environment.install(requirements[first], *SERVERS)
    before = visit(environment, tmp_path / "alone.db", VISITS)
    moved = visit(environment, tmp_path / "moved.db", VISITS[:1])

    environment.uninstall(first)
    environment.install(requirements[second], *SERVERS)
    moved += visit(environment, tmp_path / "moved.db", VISITS[1:])
    after = visit(environment, tmp_path / "alone_again.db", VISITS)

    assert len(before) == 19
    assert {status for status, _, _ in before} == {200}
    assert after == before
    assert moved == before
