"""How many classes a message passes, and that the architecture lists them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
MOST, MOST_SHARED = 20, 28


def test_the_architecture_lists_the_classes_that_a_message_passes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/_way.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    section = (
        (ROOT / "docs/architecture.md")
        .read_text()
        .partition("## The classes of that way")[2]
        .partition("\n## ")[0]
    )
    listed = re.findall(r"^- `chatkit\.\S+`$", section, re.MULTILINE)
    passed = done.stdout.splitlines()
    assert listed == passed
    assert len(passed) <= MOST


def test_a_shared_log_adds_few_classes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/_way.py", "sqlite"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= MOST_SHARED
