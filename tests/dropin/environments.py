"""Fresh virtual environments, and this checkout as a wheel to install in them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import reference_package

__all__ = ["OURS", "THEIRS", "Environment", "build_wheel"]

ROOT = Path(__file__).resolve().parents[2]
OURS = "chatkit-server"
THEIRS = "openai-chatkit"
# Both distributions run with the same versions of everything else, so that a difference is one of the two.
PINS = ROOT / "requirements" / "dev.txt"
SECONDS = 600


class Environment:
    """A virtual environment.

    Attributes:
        python: Its interpreter.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.python = folder / "bin" / "python"

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter, with nothing of the surrounding environment's packages."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd or self.python.parent,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def install(self, *requirements: str | Path) -> None:
        """Installs; skips the test where no package registry can be reached."""
        done = self._pip("install", "--constraint", str(PINS), *map(str, requirements))
        if done.returncode != 0 and any(
            sign in done.stderr.lower() for sign in reference_package._UNREACHABLE
        ):
            pytest.skip(f"no package registry can be reached to install {requirements}")
        assert done.returncode == 0, done.stderr

    def uninstall(self, *names: str) -> None:
        done = self._pip("uninstall", "--yes", *names)
        assert done.returncode == 0, done.stderr

    def _pip(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ("-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments)
        return self.run(*command, check=False)


def plain_environment() -> dict[str, str]:
    """Returns the variables of this process without those that would lead to its packages or measure them."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHATKIT_", "COVERAGE_", "OPENAI_", "PYTHON", "VIRTUAL_ENV"))
    }


def build_wheel(folder: Path) -> Path:
    """Builds this checkout's wheel with the pinned build backend and returns its path."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel
