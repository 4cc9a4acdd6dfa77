"""Builds the pages that were made for the stock element."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import hatch_build

__all__ = ["FOLDER", "VERSIONS", "build_page", "check_types"]

FOLDER = Path(__file__).parent
VERSIONS = ("react18", "react19")
_TOOLS = hatch_build.SOURCE / "node_modules"


def build_page(version: str, target: Path) -> None:
    """Builds the application for a version of React into a folder.

    In React's development mode: only there StrictMode does everything twice, and mistakes are told on the console.
    """
    variables = {
        "STOCK_APP": str(FOLDER / version),
        "STOCK_OUT": str(target),
        "NODE_ENV": "development",
    }
    config = FOLDER / "vite.config.mjs"
    _run(version, "vite/bin/vite.js", "build", "--mode", "development", "--config", str(config), **variables)


def check_types(version: str, project: Path | None = None) -> str:
    """Returns what the compiler finds wrong with the types of a version of React: in the application, or elsewhere."""
    return _run(version, "typescript/bin/tsc", "-p", str(project or FOLDER / version), check=False)


def _run(version: str, script: str, *arguments: str, check: bool = True, **variables: str) -> str:
    done = subprocess.run(
        [_installed(version), str(_TOOLS / script), *arguments],
        cwd=FOLDER / version,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = done.stdout + done.stderr
    assert not check or done.returncode == 0, told
    return told


@cache
def _installed(version: str) -> str:
    """Returns the path of Node, once the packages of a version are there."""
    node, npm = hatch_build.find_node()
    hatch_build.install(node, npm)
    hatch_build.install(node, npm, FOLDER / version)
    return node
