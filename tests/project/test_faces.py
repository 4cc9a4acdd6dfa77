"""The public faces: small sorted lists of names that are there, and what importing them costs."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.scale import scaled

CORE_FACES = (
    "chatkit.actions",
    "chatkit.admin",
    "chatkit.audit",
    "chatkit.counters",
    "chatkit.errors",
    "chatkit.files",
    "chatkit.icons",
    "chatkit.server",
    "chatkit.store",
    "chatkit.streams",
    "chatkit.types",
    "chatkit.widgets",
)
FACES = (
    *CORE_FACES,
    "chatkit.agents",
    "chatkit.client",
    "chatkit.frameworks",
    "chatkit.frameworks.attachments",
    "chatkit.frameworks.langgraph",
    "chatkit.frameworks.openai",
    "chatkit.frameworks.pydantic_ai",
    "chatkit.hosted",
    "chatkit.personal_data",
    "chatkit.testing",
    "chatkit.web",
)

FRAMEWORKS_AND_DRIVERS = {
    "PIL",
    "agents",
    "aiosqlite",
    "asyncpg",
    "fastapi",
    "httpx2",
    "jinja2",
    "jsonschema",
    "jwt",
    "langchain_core",
    "langgraph",
    "obstore",
    "openai",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pydantic_ai",
    "redis",
    "sqlite3",
    "starlette",
    "uvicorn",
}
ADAPTERS = {
    "chatkit._postgres",
    "chatkit._redis",
    "chatkit._sqlite",
    "chatkit.files.local",
    "chatkit.files.s3",
    "chatkit.store.memory",
    "chatkit.store.postgres",
    "chatkit.store.sqlite",
    "chatkit.streams.backends.postgres",
    "chatkit.streams.backends.redis",
    "chatkit.streams.backends.sqlite",
    "chatkit.streams.postgres",
    "chatkit.streams.redis",
    "chatkit.streams.sqlite",
}


def sort_key(name: str) -> tuple[int, list[tuple[bool, int, str]]]:
    """The order that ruff keeps: constants, classes, the rest; numbers by value."""
    group = 0 if len(name) > 1 and name.isupper() else 1 if name[0].isupper() else 2
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return group, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def modules_loaded_by(face: str) -> set[str]:
    """What a fresh process has loaded after importing `face`, less what it had before."""
    program = (
        "import json, sys; before = set(sys.modules)\n"
        f"import {face}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    # Coverage measures child processes too, and brings SQLite into them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize("face", FACES)
def test_face_lists_its_names_in_order(face: str) -> None:
    names = importlib.import_module(face).__all__
    assert names
    assert list(names) == sorted(set(names), key=sort_key)


@pytest.mark.parametrize("face", FACES)
def test_every_listed_name_is_there(face: str) -> None:
    module = importlib.import_module(face)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert [name for name in module.__all__ if name.startswith("_")] == []


@pytest.mark.parametrize("face", FACES)
def test_a_name_that_is_not_there_is_an_attribute_error(face: str) -> None:
    """Faces that load lazily answer by a function of their own."""
    module = importlib.import_module(face)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("face", CORE_FACES)
def test_core_loads_no_framework_and_no_adapter(face: str) -> None:
    loaded = modules_loaded_by(face)
    assert face in loaded
    assert loaded & (FRAMEWORKS_AND_DRIVERS | ADAPTERS) == set()


def test_package_loads_nothing_else() -> None:
    assert {name for name in modules_loaded_by("chatkit") if name.startswith("chatkit")} == {"chatkit"}


def test_reaching_for_a_sqlite_store_is_what_loads_sqlite() -> None:
    """The other side of the test above: it would see the adapter if the face loaded it."""
    loaded = modules_loaded_by("chatkit.store; chatkit.store.SQLiteStore")
    assert {"sqlite3", "chatkit.store.sqlite"} <= loaded
