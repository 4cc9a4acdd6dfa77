"""The import contracts see what they are there to see.

Each test lays out an empty package with the modules of the design, adds one import, and runs the linter with
the project's contracts. That the package itself keeps them is checked by `scripts/check`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MODULES = [
    "__main__",
    "_installation",
    "_tasks",
    "_postgres/database",
    "_sql",
    "_sqlite",
    "actions",
    "agents/context",
    "frameworks/steps",
    "frameworks/_pydantic_ai_run",
    "cli/migrate",
    "cli/serve",
    "client/client",
    "demo/guide",
    "errors",
    "files/base",
    "files/limits",
    "files/links",
    "files/local",
    "files/media_types",
    "files/s3",
    "files/sigv4",
    "files/simple",
    "files/thumbnails",
    "icons",
    "ids",
    "item_texts",
    "reduce",
    "server/server",
    "server/turn",
    "sse",
    "store/_records",
    "store/adopted",
    "store/base",
    "store/memory",
    "store/postgres",
    "store/simple",
    "store/sqlite",
    "streams/base",
    "streams/checkpoints",
    "streams/memory",
    "streams/postgres",
    "streams/redis",
    "streams/shared",
    "streams/snapshot",
    "streams/sqlite",
    "streams/ticker",
    "streams/worker",
    "testing/models",
    "types/items",
    "web/app",
    "web/fastapi",
    "web/jwks",
    "widget_diff",
    "widgets/base",
]

ALLOWED = [
    ("store/sqlite", "chatkit.streams.sqlite"),
    ("__main__", "chatkit.cli"),
    ("__main__", "chatkit._installation"),
    ("testing/models", "chatkit._installation"),
    ("_sqlite", "chatkit._sql"),
    ("store/sqlite", "chatkit._sqlite"),
    ("streams/sqlite", "chatkit.streams.checkpoints"),
    ("store/__init__", "chatkit.store.sqlite"),
    ("server/turn", "chatkit.streams.memory"),
    ("web/app", "chatkit.server.turn"),
    ("web/app", "starlette"),
    ("web/fastapi", "fastapi"),
    ("web/jwks", "httpx2"),
    ("web/jwks", "jwt"),
    ("client/client", "httpx2"),
    ("cli/serve", "uvicorn"),
    ("cli/migrate", "sqlite3"),
    ("agents/context", "agents"),
    ("frameworks/_pydantic_ai_run", "pydantic_ai"),
    ("frameworks/steps", "chatkit.server.server"),
    ("_sqlite", "sqlite3"),
    ("store/postgres", "asyncpg"),
    ("store/postgres", "chatkit._postgres"),
    ("store/postgres", "chatkit.streams.postgres"),
    ("streams/postgres", "chatkit.streams.shared"),
    ("streams/redis", "chatkit.streams.shared"),
    ("streams/redis", "redis"),
    ("_postgres/database", "asyncpg"),
]
FORBIDDEN = [
    ("_installation", "chatkit.errors"),
    ("errors", "chatkit.ids"),
    ("ids", "chatkit.types.items"),
    ("actions", "chatkit.widgets.base"),
    ("types/items", "chatkit.reduce"),
    ("reduce", "chatkit.widget_diff"),
    ("item_texts", "chatkit.reduce"),
    ("store/base", "chatkit.store.simple"),
    ("store/adopted", "chatkit.store.simple"),
    ("store/memory", "chatkit.streams.shared"),
    ("streams/shared", "redis"),
    ("streams/shared", "chatkit.streams.redis"),
    ("store/base", "chatkit.streams.base"),
    ("streams/memory", "chatkit.store.base"),
    ("store/memory", "chatkit.store.sqlite"),
    ("store/memory", "chatkit.streams.sqlite"),
    ("streams/sqlite", "chatkit.store.sqlite"),
    ("streams/base", "chatkit._sqlite"),
    ("streams/base", "chatkit._postgres"),
    ("server/turn", "chatkit.store.memory"),
    ("server/server", "chatkit.streams.sqlite"),
    ("server/turn", "chatkit.streams.checkpoints"),
    ("server/turn", "chatkit.web.app"),
    ("client/client", "chatkit.web.app"),
    ("web/app", "chatkit.cli.serve"),
    ("testing/models", "chatkit.demo.guide"),
    ("types/items", "starlette"),
    ("server/turn", "fastapi"),
    ("server/turn", "agents"),
    ("frameworks/steps", "chatkit.agents.context"),
    ("frameworks/steps", "pydantic_ai"),
    ("store/sqlite", "asyncpg"),
    ("web/app", "fastapi"),
    ("web/app", "httpx2"),
    ("web/app", "jwt"),
    ("store/memory", "sqlite3"),
    ("cli/serve", "sqlite3"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "chatkit"
    for name in MODULES:
        module = folder / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.touch()
    for part in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
        (part / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return folder


def test_allowed_imports(package: Path) -> None:
    for importer, imported in ALLOWED:
        with (package / f"{importer}.py").open("a") as module:
            module.write(f"import {imported}\n")
    answer = lint(package.parent)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(("importer", "imported"), FORBIDDEN)
def test_forbidden_import(package: Path, importer: str, imported: str) -> None:
    (package / f"{importer}.py").write_text(f"import {imported}\n")
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    assert "BROKEN" in answer.stdout
    assert f"chatkit.{importer.replace('/', '.')} -> {imported}" in answer.stdout


def test_import_for_types_only_is_free(package: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import chatkit.streams.base\n"
    (package / "store/base.py").write_text(text)
    answer = lint(package.parent)
    assert answer.returncode == 0, answer.stdout


def test_cycle_within_a_package(package: Path) -> None:
    (package / "server/turn.py").write_text("import chatkit.server.server\n")
    (package / "server/server.py").write_text("import chatkit.server.turn\n")
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    assert "No package has a cycle among its modules BROKEN" in answer.stdout


@pytest.mark.parametrize("name", ["helpers", "store/helpers", "files/helpers", "streams/helpers"])
def test_module_without_a_row(package: Path, name: str) -> None:
    (package / f"{name}.py").touch()
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    assert f"- chatkit.{name.replace('/', '.')}" in answer.stdout
