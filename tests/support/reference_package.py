"""An environment with ``openai-chatkit`` 1.6.5, the package that applications come from, to compare with.

Both distributions are imported as ``chatkit``, so that one has an environment of its own: tests run programs with its
interpreter and compare what they print. ``CHATKIT_TEST_OPENAI_CHATKIT`` names the interpreter of another environment,
``CHATKIT_TEST_REFERENCE_VERSION`` another version, as ``scripts/test --newest`` does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path

import pytest

from tests.support.scale import scaled

__all__ = ["REFERENCE_VERSION", "openai_chatkit_python"]

REFERENCE_VERSION = os.environ.get("CHATKIT_TEST_REFERENCE_VERSION") or "1.6.5"

_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = _ROOT / ".cache" / f"openai-chatkit-{REFERENCE_VERSION}"
_PACKAGES = (f"openai-chatkit=={REFERENCE_VERSION}",)
_INSTALL_SECONDS = scaled(600.0)
_UNREACHABLE = (
    "connection broken",
    "connection refused",
    "connection reset",
    "connecttimeout",
    "dns error",
    "error sending request",
    "failed to fetch",
    "failed to establish a new connection",
    # What pip says of a registry that it gave up on, as of one that has never heard of the package.
    "from versions: none",
    "name resolution",
    "network is unreachable",
    "proxyerror",
    "read timed out",
    "readtimeouterror",
)


def openai_chatkit_python() -> Path:
    """Returns the interpreter of an environment with ``openai-chatkit`` 1.6.5, made on the first call.

    It is kept in ``.cache`` of the checkout. Processes that ask at once wait for one another. Skips the test where no
    package registry can be reached.

    Raises:
        RuntimeError: The environment cannot be made, or the one that the environment variable names lacks the version.
    """
    found = _find_or_make()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _find_or_make() -> Path | str:
    """Returns the interpreter, or why there is none: an answer that is kept, so that tests do not wait again."""
    given = os.environ.get("CHATKIT_TEST_OPENAI_CHATKIT")
    if given:
        _check(Path(given))
        return Path(given)
    stamp = _ENVIRONMENT / "ready"
    expected = _expected_stamp()
    _ENVIRONMENT.parent.mkdir(parents=True, exist_ok=True)
    # The lock goes with the process that holds it, however that ends.
    with (_ENVIRONMENT.parent / f"{_ENVIRONMENT.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != expected:
            failure = _make()
            if failure is not None:
                return failure
            _check(_interpreter())
            stamp.write_text(expected)
    return _interpreter()


def _interpreter() -> Path:
    return _ENVIRONMENT / "bin" / "python"


def _expected_stamp() -> str:
    """What the environment is made from. It holds absolute paths, so the place is part of it."""
    made_from = "\n".join((str(_ENVIRONMENT), sys.version, *_PACKAGES, sysconfig.get_path("purelib")))
    return hashlib.sha256(made_from.encode()).hexdigest()


def _make() -> str | None:
    """Makes the environment; returns None, or why the registry cannot be reached."""
    venv.create(_ENVIRONMENT, clear=True)
    # Everything else is what the tests themselves run with, so that a difference is one of the two packages. A path in
    # a .pth file makes packages importable, and does not install the editable chatkit among them.
    paths = {"base": _ENVIRONMENT, "platbase": _ENVIRONMENT}
    site = Path(sysconfig.get_path("purelib", vars={name: str(path) for name, path in paths.items()}))
    site.joinpath("of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    command = (
        *(sys.executable, "-m", "pip", "--python", str(_interpreter()), "install", "--quiet", "--no-deps"),
        *("--disable-pip-version-check", *_PACKAGES),
    )
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return None
    if any(sign in done.stderr.lower() for sign in _UNREACHABLE):
        return (
            f"needs {_PACKAGES[0]}, and no package registry can be reached to install it. With a connection it is "
            "installed once; or name the interpreter of an environment that has it: "
            "CHATKIT_TEST_OPENAI_CHATKIT=/path/to/python"
        )
    raise RuntimeError(f"{_PACKAGES[0]} cannot be installed into {_ENVIRONMENT}:\n{done.stderr[-4000:]}")


def _check(python: Path) -> None:
    program = "from importlib.metadata import version; print(version('openai-chatkit'))"
    done = subprocess.run(
        [python, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    if done.stdout.strip() != REFERENCE_VERSION:
        raise RuntimeError(
            f"{python} has openai-chatkit {done.stdout.strip() or 'not at all'}, not {REFERENCE_VERSION}: install "
            f"openai-chatkit=={REFERENCE_VERSION} there.\n{done.stderr[-1000:]}"
        )
