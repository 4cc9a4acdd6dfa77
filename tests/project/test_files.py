"""What no file of the project may hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Put together here, so that this file does not hold them itself.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "yarnpkg" + ".com",
    "crates" + ".io",
]
MACHINE_PATHS = ["/wo" + "rk/", "/tmp" + "/ock", "/ro" + "ot/", "/ho" + "me/"]

PIN = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^@:]+)?")


def files_of_the_project() -> list[Path]:
    """What git tracks or would take, so that a file is looked at before it is committed."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in sorted(set(listing.stdout.split("\0"))) if name]
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in files_of_the_project()
    }


def holding(texts: dict[str, str], words: list[str]) -> list[str]:
    pattern = re.compile("|".join(re.escape(word) for word in words))
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_files_are_found(texts: dict[str, str]) -> None:
    assert {"pyproject.toml", "src/chatkit/py.typed", "requirements/dev.txt"} <= texts.keys()


def test_no_registry_is_named(texts: dict[str, str]) -> None:
    assert holding(texts, REGISTRY_HOSTS) == []


def test_no_path_of_a_machine_is_named(texts: dict[str, str]) -> None:
    assert holding(texts, MACHINE_PATHS) == []


def test_no_lock_file(texts: dict[str, str]) -> None:
    assert [name for name in texts if name.endswith("uv.lock")] == []


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_plain_pins(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_license_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.splitlines()) > 190


def test_decision_records_are_indexed() -> None:
    folder = ROOT / "docs/decisions"
    records = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    indexed = re.findall(r"^\| \[\d{4}\]\(([^)]+)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert indexed == records
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
