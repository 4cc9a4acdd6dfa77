"""Names of ``chatkit`` itself, and what is said where an extra is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import chatkit
from chatkit.cli.requirements import with_source
from tests.support.scale import scaled


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


def test_the_main_names_are_loaded_when_they_are_used(tmp_path: Path) -> None:
    program = (
        "import sys, chatkit\n"
        "assert [name for name in sys.modules if name.startswith(('chatkit.', 'pydantic'))] == []\n"
        "from chatkit import ChatKitServer\n"
        "import chatkit.server\n"
        "assert ChatKitServer is chatkit.server.ChatKitServer\n"
        "assert 'starlette' not in sys.modules and 'asyncpg' not in sys.modules\n"
    )
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr


def test_each_main_name_is_there() -> None:
    assert chatkit.__all__ == sorted(chatkit.__all__)
    for name in chatkit.__all__:
        assert getattr(chatkit, name) is not None
    assert set(chatkit.__all__) <= set(dir(chatkit))
    with pytest.raises(AttributeError, match=r"look in chatkit\.server"):
        _ = chatkit.ThreadItem  # type: ignore[attr-defined]


MISSING = [
    ("httpx2", "import chatkit.client", "chatkit-server[client]"),
    ("httpx2", "from chatkit.client import ChatKitClient", "chatkit-server[client]"),
    (
        "asyncpg",
        "from chatkit.store import PostgresStore; PostgresStore('postgresql://h/d')",
        "chatkit-server[postgres]",
    ),
    ("asyncpg", "from chatkit.streams import PostgresStreamLog", "chatkit-server[postgres]"),
    ("redis", "from chatkit.streams import RedisStreamLog", "chatkit-server[redis]"),
    ("obstore", "from chatkit.files import S3FileStore", "chatkit-server[s3]"),
    ("starlette", "from chatkit.web import create_app", "chatkit-server[web]"),
    ("starlette", "from chatkit import create_app", "chatkit-server[web]"),
    ("fastapi", "from chatkit.web.fastapi import chatkit_router", "chatkit-server[fastapi]"),
    ("jwt", "from chatkit.web import JWTContext", "chatkit-server[auth]"),
    ("uvicorn", "from chatkit.web.connections import BoundedProtocol", "chatkit-server[serve]"),
    ("uvicorn", "from chatkit.cli import serve", "chatkit-server[serve]"),
    ("agents", "from chatkit.agents import stream_agent_response", "chatkit-server[agents]"),
    ("langgraph", "import chatkit.frameworks.langgraph", "chatkit-server[langgraph]"),
    ("openai", "import chatkit.frameworks.openai", "chatkit-server[openai]"),
    ("pydantic_ai", "import chatkit.frameworks.pydantic_ai", "chatkit-server[pydantic-ai]"),
]


@pytest.mark.parametrize(("package", "use", "extra"), MISSING, ids=[use for _, use, _ in MISSING])
def test_a_missing_extra_is_named(package: str, use: str, extra: str, tmp_path: Path) -> None:
    done = run(f"import sys; sys.modules[{package!r}] = None\n{use}", tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingExtraError" in last
    assert extra in last


def test_the_chat_command_names_its_extra(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['httpx2'] = None; sys.argv = ['chatkit', 'chat', 'http://127.0.0.1:1']\n"
        "from chatkit.cli import main; sys.exit(main())"
    )
    done = run(program, tmp_path)
    assert done.returncode == 1
    told = "chatkit chat: The client needs another package: pip install 'chatkit-server[client]'.\n"
    assert done.stderr == with_source(told)
