"""Fresh virtual environments, and this checkout as a wheel to install in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from functools import cache
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
        self.folder = folder
        self.python = folder / "bin" / "python"

    @classmethod
    def with_shared_packages(cls, folder: Path) -> Environment:
        """Returns one that has what the tests are run with, but for this package.

        They are compiled already, which takes longer than installing them.
        """
        made = cls(folder)
        shared = folder / "shared"
        shared.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if "chatkit" not in path.name:
                (shared / path.name).symlink_to(path)
        (site,) = folder.glob("lib/python*/site-packages")
        # A path in a .pth file makes packages importable.
        (site / "shared.pth").write_text(str(shared))
        return made

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter, with nothing of the surrounding environment's packages."""
        done = run(self.python, *arguments, cwd=cwd or self.python.parent)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def install(self, *requirements: str | Path) -> None:
        """Installs with all that is needed; skips the test where no package registry can be reached."""
        reach(self._uv("install", "--constraint", PINS, *requirements))

    def put(self, *requirements: str | Path) -> None:
        """Installs without what is needed; skips the test where no package registry can be reached."""
        reach(self._uv("install", "--no-deps", *requirements))

    def uninstall(self, *names: str) -> None:
        done = self._uv("uninstall", *names)
        assert done.returncode == 0, done.stderr

    def _uv(self, verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return uv("pip", verb, "--quiet", "--python", self.python, *arguments)


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs pip."""
    return run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def uv(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs uv with the package index that pip was told about, and this interpreter."""
    index = {"UV_DEFAULT_INDEX": url} if (url := pip_setting("index-url")) else {}
    settings = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    return run(sys.executable, "-m", "uv", *arguments, cwd=cwd, variables={**settings, **index})


@cache
def pip_setting(name: str) -> str | None:
    """Returns what pip was told about this machine, which uv does not read."""
    listed = run(sys.executable, "-m", "pip", "config", "list").stdout
    found = re.search(rf"^[^=]*\.{name}='(.*)'$", listed, re.MULTILINE)
    return found[1] if found else None


def run(
    *command: str | Path, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, with nothing of the surrounding environment's packages."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**plain_environment(), **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def reach(done: subprocess.CompletedProcess[str]) -> None:
    """Skips the test if pip or uv could not reach a package registry, and fails it if they failed otherwise."""
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
    done = run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel
