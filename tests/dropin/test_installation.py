"""An openai-chatkit beside this package, really installed: it is noticed, and what to do about it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dropin.environments import OURS, THEIRS, Environment, pip
from tests.support.reference_package import REFERENCE_VERSION

pytestmark = pytest.mark.timeout(1200)
REFERENCE = f"{THEIRS}=={REFERENCE_VERSION}"


class Place:
    """An environment that both distributions are put into."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.environment = Environment.with_shared_packages(folder / "environment")
        self.folder = folder
        self.wheel = wheel
        self.command = self.environment.python.with_name("chatkit")

    def install_ours(self) -> None:
        self.environment.put(self.wheel)

    def install_theirs(self) -> None:
        self.environment.put(REFERENCE)

    def chatkit(self, *arguments: str) -> Any:
        return self.environment.run(self.command, *arguments, cwd=self.folder, check=False)

    def import_testing(self) -> Any:
        return self.environment.run("-c", "import chatkit.testing", cwd=self.folder, check=False)

    def repair(self, message: str) -> None:
        """Does what the message says, with this wheel in place of the one of the registry."""
        uninstall, install = [line.strip() for line in message.splitlines() if " -m pip " in line]
        assert uninstall.startswith(f"{self.environment.python} -m pip uninstall --yes ")
        assert install == f"{self.environment.python} -m pip install '{OURS}[serve]'"
        done = pip("--python", self.environment.python, *uninstall.split()[3:])
        assert done.returncode == 0, done.stderr
        self.install_ours()


@pytest.fixture(scope="module")
def made(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The place of all tests."""
    return Place(tmp_path_factory.mktemp("installation"), wheel)


@pytest.fixture
def place(made: Place) -> Place:
    """The place without either of them."""
    made.environment.uninstall(OURS)
    made.environment.uninstall(THEIRS)
    return made


def test_ours_alone_says_nothing_and_theirs_over_it_is_named(place: Place) -> None:
    place.install_ours()
    assert place.chatkit("--version").stdout.startswith("chatkit ")
    assert place.chatkit("serve", "no_such_module:app").stderr.count("\n") == 1
    done = place.import_testing()
    assert (done.returncode, done.stderr) == (0, "")

    place.install_theirs()
    for arguments in (["serve"], ["--version"], ["migrate"]):
        done = place.chatkit(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert f"{THEIRS} {REFERENCE_VERSION} is installed as well" in done.stderr
        for name in ("__init__", "actions", "errors", "icons"):
            assert f"chatkit/{name}.py" in done.stderr
    failed = place.import_testing()
    assert failed.returncode == 1
    assert f"ImportError: {THEIRS} {REFERENCE_VERSION} is installed as well" in failed.stderr

    # Only theirs is taken away, as one might do: with it goes what both have.
    place.environment.uninstall(THEIRS)
    done = place.chatkit("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert f"Files of {OURS} are gone, as after uninstalling {THEIRS}: chatkit/__init__.py" in done.stderr

    place.repair(done.stderr)
    assert place.chatkit("--version").stdout.startswith("chatkit ")
    assert place.import_testing().returncode == 0


def test_ours_over_theirs_works_and_warns(place: Place) -> None:
    place.install_theirs()
    place.install_ours()
    done = place.chatkit("serve", "no_such_module:app")
    assert f"WARNING: {THEIRS} {REFERENCE_VERSION} is installed as well" in done.stderr
    assert "takes files of the other one along" in done.stderr
    assert "no_such_module" in done.stderr
    imported = place.import_testing()
    assert imported.returncode == 0
    assert f"UserWarning: {THEIRS} {REFERENCE_VERSION} is installed as well" in imported.stderr

    place.repair(done.stderr)
    done = place.chatkit("serve", "no_such_module:app")
    assert THEIRS not in done.stderr
    assert place.import_testing().stderr == ""
