"""``chatkit serve --dev``: reload, exceptions in the chat, slow handlers named; for one user on one machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from chatkit.cli import main
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from tests.cli.processes import Serving, environment, started
from tests.support.scale import scaled

PROGRAM = """
import time
from chatkit.server import ChatKitServer
from chatkit.web import single_user

class DevShop(ChatKitServer):
    async def respond(self, thread, input, context):
        time.sleep(0.8)
        __import__("string").Template("$apples").substitute()
        yield

def signed_in(request):
    return {"user_id": "ada"}

async def application(scope, receive, send):
    pass
"""
BODY = {"type": "threads.create", "params": {"input": {"content": [{"type": "input_text", "text": "Hi"}]}}}


def ask(url: str) -> str:
    request = Request(url, json.dumps(BODY).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=scaled(30)) as answer:
        return answer.read().decode()


def test_changes_exceptions_and_slow_handlers(tmp_path: Path) -> None:
    module = tmp_path / "dev_shop.py"
    module.write_text(PROGRAM)
    arguments = ("serve", "--dev", "--title", "Fruit & more", "--port", "0", "dev_shop:DevShop")
    with started(*arguments, folder=tmp_path, env=environment(), cold=True) as process:
        server = Serving(process)
        try:
            server.wait()
            assert "Development: " in server.announcement
            error = json.loads(ask(server.url).strip().splitlines()[-1].removeprefix("data: "))
            place = f"({module}:9, in respond)"
            assert (error["type"], error["message"]) == ("error", f"KeyError: 'apples' {place}")
            with urlopen(server.url.removesuffix("chatkit"), timeout=scaled(30)) as page:
                assert "<title>Fruit &amp; more</title>" in page.read().decode()

            # What cannot be served does not end it, and is mended by the next change.
            module.write_text(PROGRAM.replace("class DevShop", "class DevShp"))
            errors = _read_until(process, "Did you mean 'DevShp'?")
            assert (
                "dev_shop.py:8 (in DevShop.respond) has blocked the event loop for more than 0.5 s" in errors
            )
            module.write_text(PROGRAM.replace("apples", "pears").replace("time.sleep(0.8)", "pass"))
            assert "KeyError: 'pears'" in ask(server.url)
            assert process.stdout.readline() == "It serves again, with what was changed.\n"  # type: ignore[union-attr]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=scaled(30))
    assert process.returncode == 0


def _read_until(process: object, text: str) -> str:
    stream = process.stderr  # type: ignore[attr-defined]
    read, end = "", time.monotonic() + scaled(60)
    while text not in read:
        line = stream.readline()
        assert line, f"It ended: {read}"
        assert time.monotonic() < end, f"{text!r} was not said: {read}"
        read += line
    return read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    tmp_path.joinpath("dev_shop.py").write_text(PROGRAM)
    yield tmp_path
    sys.modules.pop("dev_shop", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dev", "--host", "0.0.0.0", "dev_shop:DevShop"], "0.0.0.0 can be reached from others"),
        (["--dev", "--context", "dev_shop:signed_in", "dev_shop:DevShop"], "--context lets several users in"),
        (["--dev", "--allow-host", "chat.home", "dev_shop:DevShop"], "under the names of --allow-host"),
        (["--dev", "--workers", "2", "dev_shop:DevShop"], "it runs one worker"),
        (["--dev", "dev_shop:application"], "'uvicorn --reload' starts a whole application again"),
        (["--title", "Shop", "dev_shop:application"], "--title has no effect on dev_shop:application"),
        (["--title", "Shop", "--hosted", "--workflow", "a=b:c"], "--title has no effect with --hosted"),
    ],
)
def test_what_is_refused(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


async def test_exceptions_are_shown_only_where_that_was_asked_for() -> None:
    class Failing(ChatKitServer[dict[str, str]]):
        async def respond(self, thread, input, context):
            __import__("string").Template("$apples").substitute()
            yield

    for shows in (False, True):
        server = Failing(MemoryStore())
        server.shows_exceptions = shows
        result = await server.process(json.dumps(BODY), {"user_id": "ada"})
        frames = b"".join([frame async for frame in result])
        assert (b"KeyError" in frames) is shows
        await server.close()
