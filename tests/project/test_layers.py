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

from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 450

MODULES = [
    "__main__",
    "_checks",
    "_json",
    "_lazy",
    "_migrations",
    "_observers",
    "_outages",
    "_tasks",
    "_unicode",
    "_words",
    "search",
    "store/search",
    "store/_search_rows",
    "store/_sqlite_search",
    "store/_postgres_search",
    "store/_memory_search",
    "server/indexing",
    "_typos",
    "_postgres/database",
    "_redis",
    "_sql",
    "_sqlite",
    "actions",
    "admin/admin",
    "admin/records",
    "agents/context",
    "audit/auditing",
    "audit/base",
    "audit/entries",
    "audit/memory",
    "audit/operators",
    "audit/postgres",
    "audit/sqlite",
    "audit/verification",
    "frameworks/steps",
    "frameworks/agent_server",
    "frameworks/_langgraph_server",
    "frameworks/pydantic_ai",
    "cli/hosted_import",
    "cli/migrate",
    "cli/serve",
    "client/client",
    "counters/base",
    "counters/sqlite",
    "demo/guide",
    "demo/stock_check",
    "dialects/actions",
    "dialects/adapters",
    "dialects/openai_chatkit/calls",
    "dialects/openai_chatkit/files",
    "dialects/openai_chatkit/installation",
    "dialects/openai_chatkit/store",
    "dialects/reference/files",
    "dialects/reference/owners",
    "dialects/reference/row_ids",
    "dialects/reference/store",
    "dialects/signed_ids",
    "errors",
    "files/base",
    "files/bucket",
    "files/folder",
    "files/limits",
    "files/links",
    "files/local",
    "files/media_types",
    "files/preview_queue",
    "files/rendering",
    "files/scanning",
    "files/s3",
    "files/sigv4",
    "files/simple",
    "files/thumbnails",
    "hosted/app",
    "hosted/imported_items",
    "hosted/importing",
    "hosted/sqlite",
    "icons",
    "ids",
    "item_texts",
    "limits",
    "review",
    "server/reviews",
    "usage",
    "store/usage",
    "store/survey",
    "store/_postgres_survey",
    "store/_sqlite_survey",
    "store/_usage_rows",
    "store/_sqlite_usage",
    "server/turns/usage",
    "frameworks/usage",
    "frameworks/_langgraph_usage",
    "frameworks/_pydantic_ai_usage",
    "logs",
    "metrics",
    "quotas",
    "reduce",
    "server/server",
    "server/auditing",
    "server/turns/turn",
    "sse",
    "personal_data/data",
    "personal_data/registry",
    "store/_admission",
    "store/_memory_entries",
    "store/_memory_owners",
    "store/journal",
    "store/_journal_rows",
    "store/_memory_journal",
    "store/_sqlite_journal",
    "store/_postgres_journal",
    "store/_memory_turns",
    "store/_postgres_documents",
    "store/_postgres_turns",
    "store/_records",
    "store/_sqlite_statements",
    "store/_sqlite_turns",
    "store/acceptance",
    "store/base",
    "store/lookups",
    "store/memory",
    "store/owners",
    "store/postgres",
    "store/simple",
    "store/sqlite",
    "streams/backend",
    "streams/survey",
    "streams/backends/__init__",
    "streams/backends/listener",
    "streams/backends/postgres",
    "streams/backends/redis",
    "streams/backends/sqlite",
    "streams/backends/sqlite_survey",
    "streams/backends/sqlite_turns",
    "streams/backends/sqlite_workers",
    "streams/base",
    "streams/claims",
    "streams/following",
    "streams/local",
    "streams/log",
    "streams/memory",
    "streams/outgoing",
    "streams/postgres",
    "streams/records",
    "streams/redis",
    "streams/sender",
    "streams/session",
    "streams/shared/__init__",
    "streams/shared/backend",
    "streams/shared/log",
    "streams/shared/records",
    "streams/sqlite",
    "streams/window",
    "streams/worker",
    "testing/models",
    "think_tags",
    "tracing",
    "types/items",
    "web/app",
    "web/fastapi",
    "web/jwt",
    "widget_diff",
    "widgets/base",
]

ALLOWED = [
    ("store/sqlite", "chatkit.streams.sqlite"),
    ("__main__", "chatkit.cli"),
    ("__main__", "chatkit.dialects.openai_chatkit.installation"),
    ("testing/models", "chatkit.dialects.openai_chatkit.installation"),
    ("_sqlite", "chatkit._sql"),
    ("store/sqlite", "chatkit._sqlite"),
    ("streams/sqlite", "chatkit.streams.backends.sqlite"),
    ("store/__init__", "chatkit.store.sqlite"),
    ("server/turns/turn", "chatkit.streams.memory"),
    ("server/server", "chatkit.dialects.adapters"),
    ("dialects/adapters", "chatkit.store.base"),
    ("store/simple", "chatkit.dialects.adapters"),
    ("files/simple", "chatkit.dialects.adapters"),
    ("web/app", "chatkit.server.turns.turn"),
    ("web/app", "starlette"),
    ("web/fastapi", "fastapi"),
    ("web/jwt", "httpx2"),
    ("web/jwt", "jwt"),
    ("client/client", "httpx2"),
    ("cli/serve", "uvicorn"),
    ("cli/migrate", "sqlite3"),
    ("agents/context", "agents"),
    ("agents/context", "chatkit.frameworks.agent_server"),
    ("frameworks/_langgraph_server", "langgraph"),
    ("frameworks/steps", "chatkit.server.server"),
    ("_sqlite", "sqlite3"),
    ("store/postgres", "asyncpg"),
    ("store/postgres", "chatkit._postgres"),
    ("store/postgres", "chatkit.streams.postgres"),
    ("streams/postgres", "chatkit.streams.log"),
    ("streams/redis", "chatkit.streams.log"),
    ("_redis", "redis"),
    ("metrics", "prometheus_client"),
    ("tracing", "opentelemetry"),
    ("limits", "chatkit._observers"),
    ("cli/serve", "chatkit.metrics"),
    ("streams/backends/redis", "chatkit._redis"),
    ("counters/sqlite", "chatkit._sqlite"),
    ("server/server", "chatkit.counters.base"),
    ("audit/sqlite", "chatkit._sqlite"),
    ("server/server", "chatkit.audit.base"),
    ("admin/admin", "chatkit.audit.base"),
    ("admin/admin", "chatkit.streams.log"),
    ("hosted/app", "chatkit.web.app"),
    ("hosted/app", "chatkit.counters.sqlite"),
    ("hosted/app", "starlette"),
    ("cli/serve", "chatkit.hosted.app"),
    ("cli/hosted_import", "chatkit.hosted.importing"),
    ("cli/hosted_import", "openai"),
    ("_postgres/database", "asyncpg"),
]
FORBIDDEN = [
    ("dialects/openai_chatkit/installation", "chatkit.errors"),
    ("errors", "chatkit.ids"),
    ("ids", "chatkit.types.items"),
    ("actions", "chatkit.widgets.base"),
    ("types/items", "chatkit.reduce"),
    ("reduce", "chatkit.widget_diff"),
    ("item_texts", "chatkit.reduce"),
    ("store/base", "chatkit.dialects.adapters"),
    ("store/owners", "chatkit.store.base"),
    ("dialects/openai_chatkit/store", "chatkit.dialects.reference.store"),
    ("dialects/reference/store", "chatkit.dialects.openai_chatkit.store"),
    ("dialects/reference/store", "chatkit.dialects.adapters"),
    ("dialects/adapters", "chatkit.server.server"),
    ("files/base", "chatkit.dialects.reference.files"),
    ("store/memory", "chatkit.streams.log"),
    ("streams/log", "redis"),
    ("streams/log", "chatkit.streams.backends.redis"),
    ("store/base", "chatkit.streams.records"),
    ("streams/window", "chatkit.store.base"),
    ("store/memory", "chatkit.store.sqlite"),
    ("store/memory", "chatkit.streams.sqlite"),
    ("streams/sqlite", "chatkit.store.sqlite"),
    ("streams/records", "chatkit._sqlite"),
    ("streams/records", "chatkit._postgres"),
    ("server/turns/turn", "chatkit.store.memory"),
    ("server/server", "chatkit.streams.sqlite"),
    ("server/turns/turn", "chatkit.streams.backends.sqlite"),
    ("server/turns/turn", "chatkit.web.app"),
    ("client/client", "chatkit.web.app"),
    ("web/app", "chatkit.cli.serve"),
    ("testing/models", "chatkit.demo.guide"),
    ("types/items", "starlette"),
    ("server/turns/turn", "fastapi"),
    ("server/turns/turn", "agents"),
    ("frameworks/steps", "chatkit.agents.context"),
    ("frameworks/steps", "pydantic_ai"),
    ("frameworks/agent_server", "langgraph"),
    ("store/sqlite", "asyncpg"),
    ("web/app", "fastapi"),
    ("web/app", "httpx2"),
    ("web/app", "jwt"),
    ("store/memory", "sqlite3"),
    ("web/app", "chatkit.hosted.app"),
    ("counters/base", "chatkit.server.server"),
    ("audit/entries", "chatkit.audit.base"),
    ("admin/admin", "chatkit.server.server"),
    ("audit/sqlite", "chatkit.audit.postgres"),
    ("audit/sqlite", "sqlite3"),
    ("counters/sqlite", "sqlite3"),
    ("streams/backends/redis", "redis"),
    ("cli/serve", "sqlite3"),
    ("hosted/importing", "openai"),
    ("metrics", "chatkit.tracing"),
    ("server/turns/turn", "opentelemetry"),
    ("agents/context", "opentelemetry"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "chatkit"
    for name in MODULES:
        module = folder / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.touch()
    for part in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (part / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return folder


def test_allowed_imports(package: Path) -> None:
    for importer, imported in ALLOWED:
        with (package / f"{importer}.py").open("a") as module:
            module.write(f"import {imported}\n")
    answer = lint(package.parent)
    assert answer.returncode == 0, answer.stdout


def test_forbidden_imports(package: Path) -> None:
    for importer, imported in FORBIDDEN:
        with (package / f"{importer}.py").open("a") as module:
            module.write(f"import {imported}\n")
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    found = [f"chatkit.{importer.replace('/', '.')} -> {imported}" for importer, imported in FORBIDDEN]
    assert [name for name in found if name not in answer.stdout] == []


def test_import_for_types_only_is_free(package: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import chatkit.streams.base\n"
    (package / "store/base.py").write_text(text)
    answer = lint(package.parent)
    assert answer.returncode == 0, answer.stdout


def test_cycle_within_a_package(package: Path) -> None:
    (package / "server/turns/turn.py").write_text("import chatkit.server.server\n")
    (package / "server/server.py").write_text("import chatkit.server.turns.turn\n")
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    assert "No package has a cycle among its modules BROKEN" in answer.stdout


@pytest.mark.parametrize(
    "name", ["helpers", "dialects/helpers", "store/helpers", "files/helpers", "streams/helpers"]
)
def test_module_without_a_row(package: Path, name: str) -> None:
    (package / f"{name}.py").touch()
    answer = lint(package.parent)
    assert answer.returncode == 1, answer.stdout
    assert f"- chatkit.{name.replace('/', '.')}" in answer.stdout


def test_no_module_is_long() -> None:
    """What is longer has more than one job; the tree of errors is a list."""
    lines = {
        path: len(path.read_text().splitlines())
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "errors.py"
    }
    assert {
        path.relative_to(ROOT).as_posix(): count for path, count in lines.items() if count > LONGEST_MODULE
    } == {}
