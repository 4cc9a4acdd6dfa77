"""Collects the wheel of this checkout and all that it needs, with hashes, for machines without a network.

Usage: `python scripts/_offline.py WHEEL FOLDER EXTRAS`. What is collected is for machines of this kind, with this
Python: the versions are those that `scripts/pin` pinned.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from _bill import NAME, all_extras, python_packages
from packaging.utils import canonicalize_name, parse_wheel_filename


def collect(wheel: Path, folder: Path, extras: list[str]) -> None:
    """Fills a folder with wheels, and with `requirements.txt`, which has their hashes and no address.

    Args:
        wheel: The wheel of this checkout.
        folder: Where to; what else is there stays, unless it is a wheel.
        extras: Which extras of the package will be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    pins = [
        f"{package.name}=={package.version}" for package in python_packages(extras) if package.name != NAME
    ]
    # Wheels alone: what has to be built needs tools, and may fetch others.
    download = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([sys.executable, "-m", "pip", *download, "--dest", str(folder), *pins], check=True)  # noqa: S603
    shutil.copy(wheel, folder)
    lines = ["# pip install --no-index --find-links . --require-hashes -r requirements.txt"]
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, *_ = parse_wheel_filename(path.name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[canonicalize_name(name)] = f"{name}=={version} --hash=sha256:{digest}"
    lines += [found[name] for name in sorted(found)]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Collects what the arguments name; returns the exit status."""
    if len(arguments) != 3:
        sys.stderr.write("Name the wheel, the folder and the extras\n")
        return 2
    extras = arguments[2].split(",")
    unknown = sorted(set(extras) - set(all_extras()))
    if unknown:
        sys.stderr.write(f"There is no extra {', '.join(unknown)}; there are {', '.join(all_extras())}\n")
        return 2
    collect(Path(arguments[0]), Path(arguments[1]), extras)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
