"""The drop-in suites with the newest ``openai-chatkit`` and ``@openai/chatkit``, and what these changed.

``scripts/test --newest``, or ``python -m tests.dropin.newest``: exit code 0 only where nothing is lost. Lost is what
the newest has and this package has not, and each test that fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hatch_build
from tests.dropin.changes import Changes, Members, compare, schema_members, surface_members, type_members
from tests.dropin.compatibility import differences
from tests.dropin.environments import ROOT, THEIRS, pip
from tests.support.scale import scaled

__all__ = ["main", "missing_fields", "missing_members", "report", "uncovered_types"]

KNOWN_VERSION = "1.6.5"
"""What the recordings and the documentation are of."""

TYPES = "@openai/chatkit"
SUITES = ("tests/dropin", "tests/adapters")
_HERE = Path(__file__).parent
_FOLDER = ROOT / ".cache" / "newest-types"


def main(arguments: list[str]) -> int:
    """Prints what changed, runs the suites, and returns the exit code."""
    newest = _newest_version()
    _say(f"{THEIRS}: {newest} is the newest, {KNOWN_VERSION} is what this package is made for")
    known, there, here = _python_of(KNOWN_VERSION), _python_of(newest), Path(sys.executable)
    surfaces = [_printed(python, "surface.py") for python in (known, there, here)]
    schemas = [_printed(python, "schemas.py") for python in (known, there, here)]
    report("Names and signatures", compare(*map(surface_members, surfaces[:2])))
    report("Events, requests and items", compare(*map(schema_members, schemas[:2])))
    lost = [
        *missing_members(surfaces[1], surfaces[2]),
        *missing_fields(schema_members(schemas[1]), schema_members(schemas[2])),
    ]

    version, folder = _newest_types()
    ours = hatch_build.SOURCE / "node_modules" / TYPES
    _say(f"{TYPES}: {version} is the newest, {_version_of(ours)} is what the element is made for")
    types = compare(_types_of(ours), _types_of(folder))
    report("Types of the element", types)
    lost += uncovered_types(types)
    lost += _compile_with(folder)

    _say("The drop-in suites")
    variables = {**os.environ, "CHATKIT_TEST_REFERENCE_VERSION": newest}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", *(arguments or SUITES)],
        cwd=ROOT,
        env=variables,
        check=False,
    )
    if done.returncode != 0:
        lost.append(f"the suites with {THEIRS} {newest}: see above")
    _say(f"Lost: {len(lost) or 'nothing'}")
    for line in lost:
        sys.stdout.write(f"  {line}\n")
    return 1 if lost else 0


def report(title: str, changes: Changes) -> None:
    """Prints what changed."""
    sys.stdout.write(f"  {title}: {'' if changes else 'no change'}\n")
    for line in changes.lines():
        sys.stdout.write(f"    {line[:400]}\n")


def missing_members(theirs: Any, ours: Any) -> list[str]:
    """Returns what the calls of an application for one surface would miss in the other, but for what is explained."""
    from tests.dropin.test_surface import ACCEPTED

    return [
        f"{place}: {problem}"
        for place, problem in differences(theirs, ours)
        if (place, problem) not in ACCEPTED
    ]


def missing_fields(theirs: Members, ours: Members) -> list[str]:
    """Returns the models and fields of one protocol that are not in the other one."""
    # A page of items is called by the names of all of them.
    return [
        f"{name}: not in the protocol here"
        for name in theirs
        if name not in ours and not name.startswith("Page_")
    ]


def uncovered_types(changes: Changes) -> list[str]:
    """Returns what types newer than those that the element is made for have beyond them."""
    return [f"{TYPES}: {name}" for name in (*changes.added, *changes.changed)]


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def _newest_version() -> str:
    done = pip("install", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", THEIRS)
    if done.returncode != 0:
        raise SystemExit(f"No package registry tells of {THEIRS}:\n{done.stderr[-2000:]}")
    return str(json.loads(done.stdout)["install"][0]["metadata"]["version"])


def _python_of(version: str) -> Path:
    """Returns the interpreter of an environment with a version, made if need be."""
    program = (
        "from tests.support.reference_package import openai_chatkit_python; print(openai_chatkit_python())"
    )
    return Path(
        _output(
            [sys.executable, "-c", program], cwd=ROOT, CHATKIT_TEST_REFERENCE_VERSION=version, seconds=700
        ).strip()
    )


def _printed(python: Path, program: str) -> Any:
    return json.loads(_output([str(python), str(_HERE / program)], cwd=_HERE))


def _output(command: Iterable[str], *, cwd: Path, seconds: float = 100, **variables: str) -> str:
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(seconds),
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"Failed: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def _newest_types() -> tuple[str, Path]:
    node, npm = hatch_build.find_node()
    hatch_build.install(node, npm)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    # Without one of its own, npm installs into the project around.
    (_FOLDER / "package.json").write_text('{"private": true}\n')
    _output(
        [node, npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"{TYPES}@latest"],
        cwd=_FOLDER,
        seconds=300,
        PATH=f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    )
    folder = _FOLDER / "node_modules" / TYPES
    return _version_of(folder), folder


def _version_of(folder: Path) -> str:
    return str(json.loads((folder / "package.json").read_text())["version"])


def _types_of(folder: Path) -> Members:
    """Returns the members of all types of a package."""
    return {
        f"{path.stem.removesuffix('.d')}/{name}": said
        for path in sorted((folder / "types").glob("*.d.ts"))
        for name, said in type_members(path.read_text(encoding="utf-8")).items()
    }


def _compile_with(folder: Path) -> list[str]:
    """Compiles the element with other types, and returns what does not fit."""
    node, _ = hatch_build.find_node()
    project = {
        "extends": str(hatch_build.SOURCE / "tsconfig.json"),
        "compilerOptions": {
            "paths": {TYPES: [str(folder / "types" / "index.d.ts")]},
            "noEmit": True,
        },
        "include": [str(hatch_build.SOURCE / name) for name in ("src", "tests", "*.ts")],
    }
    # In the folder of the sources: what their packages are called is looked up from there.
    place = hatch_build.SOURCE / "node_modules" / ".chatkit-newest.json"
    place.write_text(json.dumps(project))
    done = subprocess.run(
        [node, str(hatch_build.SOURCE / "node_modules" / "typescript" / "bin" / "tsc"), "-p", str(place)],
        cwd=hatch_build.SOURCE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(300),
        check=False,
    )
    told = (done.stdout + done.stderr).strip()
    return [f"the element does not fit {TYPES}:\n{told}"] if done.returncode != 0 else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
