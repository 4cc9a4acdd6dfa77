"""Checks that a wheel holds every file of `src/chatkit`.

Usage: `python scripts/_check_wheel.py dist/chatkit_server-0.1.0-py3-none-any.whl`
"""

import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
# What the build makes, which has to be there even where nobody has built before.
BUILT = {
    f"chatkit/web/static/{name}" for name in ("chatkit.js", "index.html", "licenses.txt", "packages.json")
}
GENERATED = {"__pycache__", ".DS_Store"}


def missing_files(wheel: Path) -> list[str]:
    """Returns the files of the source tree, relative to `src`, that the wheel lacks."""
    files = (path.relative_to(SOURCE) for path in (SOURCE / "chatkit").rglob("*") if path.is_file())
    wanted = {path.as_posix() for path in files if not GENERATED.intersection(path.parts)}
    wanted |= BUILT
    return sorted(wanted - set(zipfile.ZipFile(wheel).namelist()))


def main(arguments: list[str]) -> int:
    """Checks the one wheel that the arguments name; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write(f"Name exactly one wheel, not {arguments}\n")
        return 2
    missing = missing_files(Path(arguments[0]))
    for name in missing:
        sys.stderr.write(f"The wheel lacks {name}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
