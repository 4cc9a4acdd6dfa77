"""Two environments with the adapters of other frameworks, one for each distribution, kept in ``.cache``.

Ours is made as docs/frameworks.md says, by uv, with this checkout in the place of a release. The other one has
``openai-chatkit`` in front of the same packages, so that a difference is one of the two distributions.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path

from tests.dropin.environments import ROOT, THEIRS, reach, uv
from tests.support.reference_package import REFERENCE_VERSION

__all__ = ["PINS", "RECIPE", "our_python", "their_python"]

PINS = ROOT / "requirements" / "adapters.txt"
RECIPE = re.findall(
    r"^```toml\n(.*?)^```$", (ROOT / "docs" / "frameworks.md").read_text(), re.MULTILINE | re.DOTALL
)
_FOLDER = ROOT / ".cache" / f"adapters-{REFERENCE_VERSION}"


def our_python() -> Path:
    """Returns the interpreter with this checkout; skips the test where no package registry can be reached."""
    return _made() / "ours" / ".venv" / "bin" / "python"


def their_python() -> Path:
    """Returns the interpreter with ``openai-chatkit``; skips the test where no package registry can be reached."""
    return _made() / "theirs" / "bin" / "python"


@cache
def _made() -> Path:
    project = _project()
    wanted = hashlib.sha256(
        "\n".join((sys.version, project, REFERENCE_VERSION, (ROOT / "pyproject.toml").read_text())).encode()
    ).hexdigest()
    stamp = _FOLDER / "ready"
    _FOLDER.parent.mkdir(exist_ok=True)
    # The lock goes with the process that holds it, however that ends.
    with (_FOLDER.parent / f"{_FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(_FOLDER, ignore_errors=True)
            (_FOLDER / "ours").mkdir(parents=True)
            (_FOLDER / "ours" / "pyproject.toml").write_text(project)
            _make_ours()
            _make_theirs()
            stamp.write_text(wanted)
    return _FOLDER


def _project() -> str:
    """Returns the project of the recipe, with versions that are pinned and this checkout."""
    (recipe,) = RECIPE
    pins = [line for line in PINS.read_text().splitlines() if not line.startswith(("#", THEIRS))]
    constraints = "".join(f'  "{line}",\n' for line in pins)
    assert recipe.count("[tool.uv]\n") == 1
    return (
        recipe.replace("[tool.uv]\n", f"[tool.uv]\nconstraint-dependencies = [\n{constraints}]\n")
        + f'\n[tool.uv.sources]\nchatkit-server = {{ path = "{ROOT}", editable = true }}\n'
    )


def _make_ours() -> None:
    reach(uv("sync", "--no-install-project", "--no-progress", cwd=_FOLDER / "ours"))


def _make_theirs() -> None:
    venv.create(_FOLDER / "theirs", clear=True)
    # A path in a .pth file makes packages importable, but for the editable one among them.
    _site(_FOLDER / "theirs").joinpath("shared.pth").write_text(str(_site(_FOLDER / "ours" / ".venv")))
    python = _FOLDER / "theirs" / "bin" / "python"
    reach(uv("pip", "install", "--quiet", "--python", python, "--no-deps", f"{THEIRS}=={REFERENCE_VERSION}"))


def _site(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
