"""What a newcomer meets first: workflows, templates, hooks, extras and the site's navigation."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.project.test_faces import FACES
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [
    path for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def versions_of_python() -> list[str]:
    prefix = "Programming Language :: Python :: 3."
    return [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if name.startswith(prefix)]


def pages_of_the_site() -> list[str]:
    def targets(nav: list[dict[str, Any]]) -> list[str]:
        return [
            page
            for entry in nav
            for target in entry.values()
            for page in (targets(target) if isinstance(target, list) else [target])
        ]

    return targets(tomllib.loads((ROOT / "docs/zensical.toml").read_text())["project"]["nav"])


def validate(schema: str, *files: Path) -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [tool, "--builtin-schema", schema, *files],
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_are_valid_and_end() -> None:
    validate("vendor.github-workflows", *WORKFLOWS)
    validate("custom.github-workflows-require-timeout", *WORKFLOWS)


def test_issue_forms_are_valid() -> None:
    validate("vendor.github-issue-forms", *FORMS)
    validate("vendor.github-issue-config", ROOT / ".github/ISSUE_TEMPLATE/config.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_scripts_that_exist(path: Path) -> None:
    scripts = re.findall(r"^ *(?:- )?run: (\.?\w+/\w+)", path.read_text(), re.MULTILINE)
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read_unless_a_job_says_more(path: Path) -> None:
    assert "\npermissions:\n  contents: read\n" in path.read_text()


def test_ci_runs_on_every_version_that_is_promised() -> None:
    tested = re.findall(r'"(3\.\d+)"', (ROOT / ".github/workflows/ci.yml").read_text())
    assert sorted(tested) == sorted(versions_of_python()) == ["3.11", "3.12", "3.13", "3.14"]


def test_hooks_run_tools_that_are_pinned() -> None:
    tools = re.findall(r"entry: \.venv/bin/([\w-]+)", (ROOT / ".pre-commit-config.yaml").read_text())
    pins = (ROOT / "requirements/dev.txt").read_text()
    packages = {"lint-imports": "import-linter"}
    assert tools
    assert [tool for tool in tools if f"\n{packages.get(tool, tool)}==" not in pins] == []


def test_the_extra_all_has_every_extra() -> None:
    extras = PROJECT["optional-dependencies"]

    def reached(name: str) -> set[str]:
        own = {name}
        for requirement in extras[name]:
            if match := re.fullmatch(r"chatkit-server\[(.+)\]", requirement):
                own.update(*(reached(part) for part in match.group(1).split(",")))
        return own

    assert reached("all") == set(extras)


def test_every_page_is_in_the_navigation() -> None:
    pages = [
        ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASE.md", "SECURITY.md")
    ]
    pages += [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/how-to").glob("*.md"),
        ROOT / "docs/decisions/README.md",
    ]
    written = {path.relative_to(ROOT).as_posix() for path in pages}
    assert written == {page for page in pages_of_the_site() if not page.startswith("api/")}


def test_every_page_is_in_the_index() -> None:
    folder = ROOT / "docs"
    index = re.findall(r"\]\(([^)#]+)\)", (folder / "README.md").read_text())
    pages = [
        path for path in [*folder.glob("*.md"), *(folder / "how-to").glob("*.md")] if path.name != "README.md"
    ]
    assert {path.relative_to(folder).as_posix() for path in pages} <= set(index)


def test_every_public_module_has_an_api_page() -> None:
    pages = {
        page.removeprefix("api/").removesuffix(".md")
        for page in pages_of_the_site()
        if page.startswith("api/")
    }
    modules = {
        f"chatkit.{name}"
        for name in (
            *("web.fastapi", "limits", "logs", "metrics", "quotas", "review", "search", "tracing", "usage"),
        )
    }
    assert set(FACES) | modules == pages
