"""``chatkit check`` finds what is wrong with a setup, and says what to do about it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatkit.cli import main
from chatkit.cli import requirements as checked_requirements
from chatkit.store import SQLiteStore
from chatkit.web import ui
from tests.support.postgres import on_server
from tests.support.s3 import s3_server

Check = Callable[..., dict[str, list[tuple[str, str]]]]

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
SERVER = "check_target_shop:ShopServer"
PROGRAM = """
from chatkit.demo import GuideServer
from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore

class ShopServer(GuideServer):
    pass

own = GuideServer(MemoryStore())

def make(store):
    return GuideServer(store)

async def application(scope, receive, send):
    pass

async def agent(text):
    yield text

def with_files(store):
    return GuideServer(store, attachment_store=LocalFileStore("own-files"))

def context(request):
    return {}
"""


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Check]:
    """Runs the command in a folder with a module, and returns status and message of what it found."""
    for name in ("CHATKIT_SECRET", "CHATKIT_DB", "CHATKIT_TARGET", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    tmp_path.joinpath("check_target_shop.py").write_text(PROGRAM)

    def run(*arguments: str) -> dict[str, list[tuple[str, str]]]:
        code = main(["check", "--json", *arguments])
        told = json.loads(capsys.readouterr().out)
        found: dict[str, list[tuple[str, str]]] = {}
        for finding in told["findings"]:
            found.setdefault(finding["about"], []).append((finding["status"], finding["message"]))
        has_problem = any(status == "problem" for group in found.values() for status, _ in group)
        assert code == (1 if has_problem else 0)
        assert told["ok"] is not has_problem
        return found

    yield run
    for name in [name for name in sys.modules if name.startswith("check_target_")]:
        del sys.modules[name]


def test_nothing_is_wrong_and_nothing_is_made(check: Check, tmp_path: Path) -> None:
    found = check(SERVER, "--context", "check_target_shop:context")
    assert {status for group in found.values() for status, _ in group} == {"ok"}
    assert {path.name for path in tmp_path.iterdir()} <= {"check_target_shop.py", "__pycache__"}


def test_lines_for_people(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", SERVER]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Nothing is wrong."
    assert any(line.startswith("note     sign-in       Single-user mode") for line in lines)
    assert main(["check", "check_target_shop:ShpServer", "--db", "nowhere/chat.db"]) == 1
    out = capsys.readouterr().out
    assert "\nproblem  target        " in out
    assert out.endswith("\n3 problems.\n")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (SERVER, "is a subclass of ChatKitServer (ShopServer), which is given the store of --db"),
        ("check_target_shop:own", "is a ChatKitServer (GuideServer), with a store of its own"),
        (
            "check_target_shop:make",
            "is a function, which is given the store of --db and served as GuideServer",
        ),
        ("check_target_shop:agent", "which is given the store of --db and served as FunctionServer"),
        ("check_target_shop:application", "is an ASGI application"),
    ],
)
def test_targets_are_told_by_kind(target: str, words: str, check: Check) -> None:
    ((status, message),) = check(target)["target"]
    assert status == "ok"
    assert words in message


def test_sign_in_is_looked_at_where_it_is_the_commands(check: Check) -> None:
    assert check(SERVER)["sign-in"][0][0] == "note"
    assert "sign-in" not in check("check_target_shop:application")
    assert "sign-in" not in check("--workflow", f"wf_a={SERVER}")


def test_sign_in_by_an_issuer(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OIDC_ISSUER", "OIDC_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    ((status, message),) = check(SERVER, "--auth", "oidc")["sign-in"]
    assert (status, "--oidc-issuer https://" in message) == ("problem", True)
    monkeypatch.setenv("OIDC_ISSUER", "https://sign-in.example.com")
    monkeypatch.setenv("CHATKIT_AUTH", "oidc")
    ((status, message),) = check(SERVER, "--oidc-audience", "chat")["sign-in"]
    assert (status, message) == ("ok", "Users have a token of https://sign-in.example.com for chat.")


def test_targets_that_cannot_be_served(check: Check, tmp_path: Path) -> None:
    assert check("check_target_shop:SopServer")["target"][0][1].endswith("Did you mean 'ShopServer'?")
    tmp_path.joinpath("check_target_broken.py").write_text("import json\n\njson.loads('{')\n")
    ((status, message),) = check("check_target_broken:server")["target"]
    assert status == "problem"
    assert "JSONDecodeError" in message
    assert "check_target_broken.py:3" in message
    ((status, message),) = check(SERVER, "--context", "check_target_shop:contxt")["sign-in"]
    assert (status, message.partition(" Did")[2]) == ("problem", " you mean 'context'?")


def test_databases(check: Check, tmp_path: Path) -> None:
    assert "mkdir -p" in check("--db", "missing/chat.db")["database"][0][1]
    tmp_path.joinpath("text.db").write_text("no database at all, and long enough to be read as one")
    assert check("--db", "text.db")["database"][0][0] == "problem"
    with closing(sqlite3.connect("other.db")) as connection:
        connection.execute("CREATE TABLE cooks (name)")
    ((status, message),) = check("--db", "other.db")["database"]
    assert (status, "another application's (its tables: cooks)" in message) == ("problem", True)

    async def make() -> None:
        store = SQLiteStore("chat.db")
        await store.check()
        await store.close()

    asyncio.run(make())
    assert check("--db", "chat.db")["database"][0][0] == "ok"
    with closing(sqlite3.connect("chat.db")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version - 1}")
    ((status, message),) = check("--db", "chat.db")["database"]
    assert (status, "chatkit migrate --db chat.db" in message) == ("note", True)
    with closing(sqlite3.connect("chat.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("UPDATE usable_since SET version = ?", [version + 1])
        connection.commit()
    ((status, message),) = check("--db", "chat.db")["database"]
    assert (status, f"has schema version {version + 1}" in message) == ("problem", True)


def test_servers_that_cannot_be_reached(check: Check) -> None:
    found = check("--db", "postgresql://ada:secret@127.0.0.1:1/chat", "--stream-log", "redis://127.0.0.1:1/0")
    for about in ("database", "stream log"):
        ((status, message),) = found[about]
        assert status == "problem"
        assert "127.0.0.1" in message
        assert "secret" not in message
    assert check("--stream-log", "smoke://x")["stream log"][0][0] == "problem"


def test_servers_that_answer(
    check: Check, postgres_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL, Redis and S3 that are as they should be; what is not made yet is not made here."""
    bucket = s3_server()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret_access_key)
    files = f"s3://{bucket.bucket}?region={bucket.region}&endpoint={bucket.endpoint}"
    options = ("--db", postgres_database, "--stream-log", redis_url, "--files", files)
    found = check(SERVER, *options)
    for about in ("database", "stream log", "files"):
        assert [status for status, _ in found[about]] == ["ok"], found[about]
        assert "127.0.0.1" in found[about][0][1]
    tables = on_server(postgres_database, lambda connection: connection.fetch(TABLES))
    assert tables == []

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another one")
    ((status, message),) = check(SERVER, *options)["files"]
    assert (status, "another one" in message) == ("problem", False)
    nowhere = files.replace(bucket.bucket, "no-such-bucket")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret_access_key)
    assert check(SERVER, *options[:-1], nowhere)["files"][0][0] == "problem"


def test_files_and_secrets(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("--files", "off")["secret"][0][0] == "ok"
    tmp_path.joinpath("a-file").touch()
    assert check("--files", "a-file")["files"][0][0] == "problem"
    folder = tmp_path / "chatkit-files"
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    ((status, message),) = check()["secret"]
    assert (status, "chmod 600" in message) == ("problem", True)
    secret.chmod(0o600)
    found = check()
    assert (found["secret"][0][0], found["files"][0][0]) == ("ok", "ok")
    secret.write_text("")
    assert check()["secret"][0][0] == "problem"
    monkeypatch.setenv("CHATKIT_SECRET", "hunter2")
    ((status, message),) = check()["secret"]
    assert (status, "hunter2" in message) == ("problem", False)
    monkeypatch.setenv("CHATKIT_SECRET", "x" * 32)
    assert check()["secret"][0][0] == "ok"


def test_a_secret_of_one_process_alone_is_told(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    ((status, message),) = check("check_target_shop:with_files")["secret"]
    assert (status, "not after a restart" in message) == ("note", True)
    assert check("check_target_shop:own")["secret"][0][0] == "ok"
    assert check("check_target_shop:application")["secret"][0][0] == "note"
    monkeypatch.setenv("CHATKIT_SECRET", "x" * 32)
    assert check("check_target_shop:with_files")["secret"][0][0] == "ok"


NEEDS_KEYS = {
    "agents": 'from agents import Agent\nagent = Agent(name="Clerk")\n',
    "pydantic_ai": 'from pydantic_ai import Agent\nagent = Agent("openai:gpt-5-mini", defer_model_check=True)\n',
    "at_import": 'from pydantic_ai import Agent\nagent = Agent("anthropic:claude-sonnet-4-5")\n',
    "variable": 'import os\nkey = os.environ["OPENAI_API_KEY"]\nasync def agent(text):\n    yield text\n',
}


@pytest.mark.parametrize("kind", NEEDS_KEYS)
def test_keys_that_are_not_set(
    kind: str,
    check: Check,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = "ANTHROPIC_API_KEY" if kind == "at_import" else "OPENAI_API_KEY"
    monkeypatch.delenv(key, raising=False)
    name = f"check_target_key_{kind}"
    tmp_path.joinpath(f"{name}.py").write_text(NEEDS_KEYS[kind])
    found = check(name)
    ((status, message),) = found["model"] if "model" in found else found["target"]
    assert status == "problem"
    assert f"{key}, which is not set" in message or message.startswith(f"{key} is not set")
    assert message.endswith(f"export {key}=...")
    if "model" not in found:
        assert main(["serve", name]) == 1
        told = capsys.readouterr().err
        assert f"{key}, which is not set" in told
        assert told.count("\n") == 1
    monkeypatch.setenv(key, "sk-test")
    found = check(name)
    assert "model" not in found
    assert found["target"][0][0] == "ok"


def test_misspelt_settings(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHATKIT_PROT", "CHATKIT_FILE", "CHATKIT_PORT", "CHATKIT_OF_THE_APPLICATION"):
        monkeypatch.setenv(name, "1")
    assert [message for _, message in check(SERVER)["environment"]] == [
        "CHATKIT_FILE is no setting. Did you mean 'CHATKIT_FILES'?",
        "CHATKIT_PROT is no setting. Did you mean 'CHATKIT_PORT'?",
    ]


def test_hosted(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check("--workflow", f"wf_a={SERVER}", "--files", "off")
    assert (found["hosted keys"][0][0], found["secret"][0][0]) == ("problem", "problem")
    assert main(["hosted", "key", "acme", "--api-keys", "keys.txt"]) == 0
    capsys.readouterr()
    ((status, message),) = check("--workflow", f"wf_a={SERVER}", "--api-keys", "keys.txt")["hosted keys"]
    assert (status, message) == ("ok", "keys.txt has keys of acme.")


def test_packages(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        "uvicorn>=9999; extra == 'serve'",
        "no-such-package>=1; extra == 'redis'",
        "no-such-package>=1; extra == 's3'",
    ]
    monkeypatch.setattr(checked_requirements, "requires", lambda name: listed)
    monkeypatch.setattr(checked_requirements, "installed_from", lambda: None)
    found = check("--stream-log", "redis://127.0.0.1:1/0")
    ((status, message),) = found["versions"]
    assert (status, "not >=9999: pip install --upgrade" in message) == ("problem", True)
    (needed, rest) = found["extras"]
    assert needed == (
        "problem",
        "Redis needs no-such-package: pip install 'chatkit-server[redis]'.",
    )
    assert rest[1] == "Installed: serve. Not installed, and not needed here: s3."


def test_the_other_distribution_and_a_missing_page(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "openai_chatkit-1.6.5.dist-info"
    theirs.mkdir()
    theirs.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: openai-chatkit\nVersion: 1.6.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ui, "STATIC", tmp_path)
    found = check()
    ((status, message),) = found["installation"]
    assert status == "problem"
    assert "openai-chatkit 1.6.5 is installed as well" in message
    assert "pip uninstall --yes openai-chatkit chatkit-server" in message
    assert found["page"][0][0] == "problem"
