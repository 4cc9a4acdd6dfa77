"""Every lower bound of the package and its extras is what ``scripts/test --oldest`` runs."""

from __future__ import annotations

import os
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def lower_bounds() -> list[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found: set[tuple[str, str]] = set()
    for requirement in map(Requirement, (entry for group in groups for entry in group)):
        if requirement.name == project["name"]:
            continue
        lowest = [clause.version for clause in requirement.specifier if clause.operator == ">="]
        assert lowest, f"{requirement.name} has no lower bound"
        found.add((requirement.name, lowest[0]))
    return sorted(found)


@pytest.mark.parametrize(("name", "lowest"), lower_bounds())
def test_the_lower_bound_is_the_version_that_is_tested(name: str, lowest: str) -> None:
    pins = dict(
        line.split("==", 1)
        for line in re.findall(
            r"^[^#\s][^;\s]*", f"{DEVELOPMENT.read_text()}\n{OLDEST.read_text()}", re.MULTILINE
        )
    )
    assert Version(pins[name]) == Version(lowest)


@pytest.mark.skipif("CHATKIT_TEST_OLDEST" not in os.environ, reason="only in scripts/test --oldest")
@pytest.mark.parametrize(("name", "lowest"), lower_bounds())
def test_the_oldest_version_is_what_is_imported(name: str, lowest: str) -> None:
    assert Version(version(name)) == Version(lowest)


DEVELOPMENT = ROOT / "requirements/dev.txt"
"""Where the oldest version that is allowed is the newest that there is, or others need it."""

OLDEST = ROOT / "requirements/oldest.txt"
