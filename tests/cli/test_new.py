"""``chatkit new`` writes projects that pass their own tests, type-check, and answer."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from chatkit.cli import main, requirements
from chatkit.cli.new import write_project
from chatkit.cli.project_kinds import Auth, Template
from tests.cli.processes import serving
from tests.cli.test_serve_dev import ask
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
KINDS = list(product(get_args(Template), get_args(Auth)))
NAMES = [f"shop_{template.replace('-', '_')}_{auth}" for template, auth in KINDS]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a project of each kind."""
    folder = tmp_path_factory.mktemp("projects")
    for name, (template, auth) in zip(NAMES, KINDS, strict=True):
        write_project(folder / name, template, auth)
    return folder


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=scaled(110), check=False
    )


def script(name: str) -> Path:
    return Path(sysconfig.get_path("scripts")) / name


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written(name: str, projects: Path) -> None:
    files = {path.relative_to(projects / name).as_posix() for path in (projects / name).rglob("*.*")}
    auth = {f"{name}/auth.py", "tests/test_auth.py"} if not name.endswith("trial") else set[str]()
    plain = {".dockerignore", ".gitignore", "README.md", "compose.yaml", "pyproject.toml"}
    code = {f"{name}/{module}.py" for module in ("__init__", "agent", "server")} | {"tests/test_server.py"}
    assert {file for file in files if "__pycache__" not in file} == plain | code | auth
    assert tomllib.loads((projects / name / "pyproject.toml").read_text())["project"]["name"] == name
    for path in (projects / name).rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert "{{" not in path.read_text(), path


# One of each framework, and of each kind of sign-in that has tests of its own.
@pytest.mark.parametrize("name", ["shop_agents_own", "shop_pydantic_ai_oidc", "shop_langgraph_trial"])
def test_the_tests_of_a_project_pass(name: str, projects: Path) -> None:
    options = ("-W", "error", "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider")
    done = run(sys.executable, *options, folder=projects / name)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^{1 if name.endswith('trial') else 3} passed", done.stdout, re.MULTILINE)


def test_all_projects_type_check(projects: Path) -> None:
    wrong = projects / NAMES[0] / "wrong.py"
    wrong.write_text(f"from {NAMES[0]}.agent import agent\n\nagent.name = 1\n")
    environments = [{"root": name} for name in NAMES]
    settings = {
        "include": NAMES,
        "typeCheckingMode": "basic",
        "venvPath": str(ROOT),
        "venv": ".venv",
        "executionEnvironments": environments,
    }
    projects.joinpath("pyrightconfig.json").write_text(json.dumps(settings))
    try:
        done = run(script("basedpyright"), "--outputjson", "-p", projects, folder=projects)
    finally:
        wrong.unlink()
    report = json.loads(done.stdout)
    found = [
        (Path(each["file"]).name, each["range"]["start"]["line"]) for each in report["generalDiagnostics"]
    ]
    assert found == [("wrong.py", 2)], report["generalDiagnostics"]
    assert report["summary"]["filesAnalyzed"] >= 5 * len(NAMES)


def test_all_projects_are_tidy(projects: Path) -> None:
    lint = ["check", "--isolated", "--select", "E,F,I,RUF,UP,W", "--line-length", "120"]
    for name in NAMES:
        for arguments in (lint, ["format", "--isolated", "--check", "--line-length", "110"]):
            done = run(script("ruff"), *arguments, ".", folder=projects / name)
            assert done.returncode == 0, done.stdout


def test_images_say_what_there_is(projects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose = [projects / name / "compose.yaml" for name in NAMES]
    done = run(
        script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *compose, folder=projects
    )
    assert done.returncode == 0, done.stdout
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    known = set(re.findall(r"CHATKIT_[A-Z_]+", capsys.readouterr().out))
    for name, (_, auth) in zip(NAMES, KINDS, strict=True):
        text = (projects / name / "Dockerfile").read_text()
        assert set(re.findall(r"CHATKIT_[A-Z_]+", text)) <= known
        named = dict(re.findall(r"(CHATKIT_(?:TARGET|CONTEXT))=(\S+)", text))
        assert ("CHATKIT_CONTEXT" in named) is (auth != "trial")
        for value in named.values():
            module, attribute = value.split(":")
            assert attribute in defined(projects / name / f"{module.replace('.', '/')}.py")
        # Whoever signs nobody in is open on this machine alone.
        assert '- "127.0.0.1:8000:8000"' in (projects / name / "compose.yaml").read_text()


def defined(path: Path) -> set[str]:
    """Returns the names of a module's functions, classes and annotated variables."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_a_project_is_served_and_answers(projects: Path) -> None:
    name = "shop_pydantic_ai_trial"
    target = f"{name}.server:ShopPydanticAiTrialServer"
    variables = {f"{name.upper()}_MODEL": "test"}
    with serving("--port", "0", target, folder=projects / name, **variables) as server:
        answer = ask(server.url)
    assert '"title":"Time of day"' in answer
    assert '"type":"error"' not in answer
    assert answer.count("thread.item.done") >= 3


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "corner_shop", "--template", "pydantic-ai", "--auth", "own"]) == 0
    said = capsys.readouterr().out
    assert "chatkit serve --dev corner_shop.server:CornerShopServer\n" in said
    assert "marked place in corner_shop/corner_shop/auth.py" in said
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["new", "corner_shop"]) == 1
    assert "corner_shop is there already, and stays as it is" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corner-shop", "is no name of a Python package: .* Write corner_shop."),
        ("Shop", "is no name of a Python package: .* Write shop."),
        ("../shop", "is no name of a Python package: .* Write shop."),
        ("class", "is no name of a Python package: .* a letter first."),
        ("agents", "is the name of something else .*"),
        ("tests", "is the name of something else .*"),
    ],
)
def test_names_that_cannot_be(
    name: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 1
    assert re.fullmatch(f"chatkit new: {re.escape(repr(name))} {message}\n", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recorded", ["file:///srv/my%20checkout", "https://example.com/chatkit.whl", None])
def test_pip_is_told_where_a_package_is_that_no_index_has(
    recorded: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if recorded is None else json.dumps({"url": recorded})

    monkeypatch.setattr(requirements, "distribution", lambda name: Installed())
    monkeypatch.chdir(tmp_path)
    assert main(["new", "corner_shop", "--auth", "oidc"]) == 0
    line = "  pip install '/srv/my checkout[agents,serve,auth]'\n  pip install -e '.[dev]'\n"
    is_told = recorded is not None and recorded.startswith("file:")
    assert (line in capsys.readouterr().out) is is_told
    readme = tmp_path.joinpath("corner_shop", "README.md").read_text()
    assert "pip install '/path/to/checkout[agents,serve,auth]'" in readme
    advice = "pip install 'chatkit-server[serve]'"
    expected = "pip install '/srv/my checkout[serve]'" if is_told else advice
    assert requirements.with_source(f"Do it: {advice}.") == f"Do it: {expected}."
