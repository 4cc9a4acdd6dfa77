"""An environment with LiteLLM, kept in ``.cache``, and with all that the tests run with.

It is made only where ``CHATKIT_TEST_LITELLM`` is set: LiteLLM and what it needs are 60 MB, for one example.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path

import pytest

from tests.dropin.environments import ROOT, pip, reach

__all__ = ["litellm_python"]

PINS = ROOT / "requirements" / "litellm.txt"
_FOLDER = ROOT / ".cache" / "litellm"


@cache
def litellm_python() -> Path:
    """Returns the interpreter; skips the test where it was not asked for, or no package registry can be reached."""
    if not os.environ.get("CHATKIT_TEST_LITELLM"):
        pytest.skip("installs LiteLLM only when asked to: CHATKIT_TEST_LITELLM=1")
    shared = sysconfig.get_path("purelib")
    wanted = hashlib.sha256("\n".join((sys.version, shared, PINS.read_text())).encode()).hexdigest()
    stamp, python = _FOLDER / "ready", _FOLDER / "bin" / "python"
    _FOLDER.parent.mkdir(exist_ok=True)
    # The lock goes with the process that holds it, however that ends.
    with (_FOLDER.parent / "litellm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(_FOLDER, ignore_errors=True)
            venv.create(_FOLDER)
            places = {"base": str(_FOLDER), "platbase": str(_FOLDER)}
            # Paths in a .pth file make packages importable: those of the tests, and this checkout.
            Path(sysconfig.get_path("purelib", vars=places), "shared.pth").write_text(
                f"{ROOT / 'src'}\n{shared}\n"
            )
            reach(pip("--python", python, "install", "--no-deps", "--requirement", PINS))
            stamp.write_text(wanted)
    return python
