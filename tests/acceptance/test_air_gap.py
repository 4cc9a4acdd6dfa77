"""What is served works where there is no network, and reaches out to nobody; with an installation if asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatkit.web import ui_is_built
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_the_chat_needs_nothing_from_outside() -> None:
    if not ui_is_built():
        pytest.skip("the user interface is not built; run scripts/ui")
    whole = bool(os.environ.get("CHATKIT_TEST_WHEEL"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.air_gap", *([] if whole else ["--here"])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=scaled(500 if whole else 90),
        check=False,
    )
    if "No network namespace can be made here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout[done.stdout.index("{") :])
    assert seen["attempts to reach out"] == 0
    assert seen["answer"] == "completed"
    assert seen["resources"] > 10
