"""The deployments that tests run over."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit.personal_data import erasing
from chatkit.store import _admission
from tests.personal_data.worlds import World


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Returns a deployment: all in an SQLite file; in PostgreSQL; or log, counts and sessions in Redis, files in S3."""
    folder = tmp_path / "place"
    folder.mkdir()
    if request.param == "postgres":
        return World(folder, request.getfixturevalue("postgres_database"))
    if request.param == "redis":
        return World(folder, redis=request.getfixturevalue("redis_url"), bucket=True)
    return World(folder)


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets workers hear of an erasure at once, and of its end."""
    monkeypatch.setattr(erasing, "KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(_admission, "LOOK_SECONDS", 0.0)
