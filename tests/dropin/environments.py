"""Fresh virtual environments, and this checkout as a wheel to install in them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import reference_package
from tests.support.scale import scaled

__all__ = ["OURS", "THEIRS", "Environment", "build_wheel", "pip", "reach"]

ROOT = Path(__file__).resolve().parents[2]
OURS = "chatkit-server"
THEIRS = "openai-chatkit"
# Both distributions run with the same versions of everything else, so that a difference is one of the two.
PINS = ROOT / "requirements" / "dev.txt"
SECONDS = scaled(600)


class Environment:
    """A virtual environment.

    Attributes:
        python: Its interpreter.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
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
        # Compiling what is installed takes longer than installing it; what is imported is compiled then.
        reach(self.pip("install", "--no-compile", "--constraint", str(PINS), *map(str, requirements)))

    def uninstall(self, *names: str) -> None:
        done = self.pip("uninstall", "--yes", *names)
        assert done.returncode == 0, done.stderr

    def pip(self, verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs the pip of the tests for this environment, which has none of its own."""
        return pip("--python", self.python, verb, *arguments)


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs pip."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def reach(done: subprocess.CompletedProcess[str]) -> None:
    """Skips the test if pip could not reach a package registry, and fails it if pip failed otherwise."""
    if done.returncode != 0 and any(sign in done.stderr.lower() for sign in reference_package._UNREACHABLE):
        pytest.skip(f"no package registry can be reached: {done.args}")
    assert done.returncode == 0, done.stderr


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
