"""No block of the reference is left out by mistake, and every repair is needed and explained."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.reference.conftest import Load
from tests.reference.document import DOCUMENT, Block, read_blocks
from tests.reference.repairs import ELSEWHERE, PACKAGE, REPAIRS, module_name
from tests.support.scale import scaled


def test_every_block_is_run_or_named_as_later_work() -> None:
    titles = [block.title for block in read_blocks()]
    assert [title for title, times in Counter(titles).items() if times > 1] == []
    assert len(titles) == DOCUMENT.read_text().count("\n```python\n") == 26
    assert REPAIRS.keys() | ELSEWHERE.keys() == set(titles)
    assert REPAIRS.keys() & ELSEWHERE.keys() == set()
    assert len({module_name(title) for title in REPAIRS}) == len(REPAIRS)


def test_every_repair_has_its_reason() -> None:
    for title, repair in REPAIRS.items():
        assert bool(repair.before) == bool(repair.reason), title
        assert all(change.reason for change in repair.changes), title
    assert all(ELSEWHERE.values())


@pytest.mark.parametrize("block", read_blocks(), ids=lambda block: block.title)
def test_a_change_of_the_document_is_noticed(block: Block) -> None:
    assert block.language == "python"
    if block.title not in REPAIRS:
        return
    repair = REPAIRS[block.title]
    module = repair.module(block)
    kept = [
        line for line in block.code.splitlines() if not any(c.old.strip() in line for c in repair.changes)
    ]
    assert len(kept) >= len(block.code.splitlines()) - sum(change.times for change in repair.changes)
    lines = {line.strip() for line in module.splitlines()}
    assert all(line.strip() in lines for line in kept)


@pytest.mark.parametrize("title", REPAIRS)
def test_a_block_runs(title: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert vars(load(title))


def test_the_blocks_type_check(blocks_folder: Path) -> None:
    report = run_type_checker(blocks_folder)
    found = [
        f"{Path(entry['file']).name}:{entry['range']['start']['line'] + 1}: {entry['message']}"
        for entry in report["generalDiagnostics"]
    ]
    assert found == []
    assert report["summary"]["filesAnalyzed"] == len(REPAIRS) + 1


def test_the_type_checker_would_tell(blocks_folder: Path, tmp_path: Path) -> None:
    package = tmp_path / PACKAGE
    package.mkdir()
    (package / "wrong.py").write_text(
        "from chatkit.types import ThreadItemDoneEvent\n\nevent = ThreadItemDoneEvent(name='msg_123')\n"
    )
    (problem,) = run_type_checker(tmp_path)["generalDiagnostics"]
    assert problem["rule"] == "reportCallIssue"


def run_type_checker(folder: Path) -> dict:
    """Checks a folder as an application's own type checker would: in standard mode, against the installed package."""
    settings = {"include": [PACKAGE], "typeCheckingMode": "standard", "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("basedpyright")),
            "--project",
            str(folder),
            "--pythonpath",
            sys.executable,
            "--outputjson",
        ],
        capture_output=True,
        text=True,
        timeout=scaled(110),
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)
