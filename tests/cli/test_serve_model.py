"""``chatkit serve`` with a model: a scripted one behind real HTTP."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from chatkit.cli.model import ModelSettings, find_model
from chatkit.cli.options import CommandError
from chatkit.testing import ModelText, scripted_model_app
from tests.cli.processes import Serving, piped, run, serving
from tests.cli.test_serve import ask, titles
from tests.support.live_server import live_server
from tests.support.scale import scaled

ANSWER = "Tea wants water just off the boil."


def is_about_a_title(request: Any) -> bool:
    return "Write a title" in json.dumps(request)


def answer(request: Any) -> ModelText:
    return ModelText('"Tea and water"') if is_about_a_title(request) else ModelText(ANSWER, pieces=8)


def wait_for_titles(server: Serving, expected: list[str]) -> None:
    """Waits for what is stored in the background; each look is a request of its own."""
    end = time.monotonic() + scaled(30)
    while (found := titles(server.url)) != expected:
        assert time.monotonic() < end, found


@pytest.mark.parametrize(
    ("options", "api", "path"),
    [
        ([], "Chat Completions", "messages"),
        (["--api", "chat"], "Chat Completions", "messages"),
        (["--api", "responses"], "Responses API", "input"),
    ],
)
def test_a_model_answers_and_gives_a_title(options: list[str], api: str, path: str, tmp_path: Path) -> None:
    model = scripted_model_app([answer], repeat=True)
    with (
        live_server(model) as endpoint,
        serving("--port", "0", *options, folder=tmp_path, OPENAI_BASE_URL=f"{endpoint.url}/v1") as server,
    ):
        assert f"the model scripted at {endpoint.url}/v1 ({api})" in server.announcement
        assert "no model" not in server.announcement
        assert str(tmp_path / "chatkit.db") in server.announcement
        done = piped(server.url, "How hot?\nAnd then?\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count(ANSWER) == 2
        wait_for_titles(server, ["Tea and water"])
        assert "Tea and water" in piped(server.url, "/threads\n").stdout

        asked = [
            json.dumps(request[path]) for request in model.state.requests if not is_about_a_title(request)
        ]
        assert "And then?" not in asked[0]
        for text in ("How hot?", ANSWER, "And then?"):
            assert text in asked[1]
        assert all(request["stream"] for request in model.state.requests if not is_about_a_title(request))
        assert not any("reasoning" in key or "verbosity" in key for key in model.state.requests[0])
        assert {headers["authorization"] for headers in model.state.headers} == {"Bearer none"}


def test_text_arrives_in_pieces(tmp_path: Path) -> None:
    message = {"content": [{"type": "input_text", "text": "Hi"}], "attachments": [], "inference_options": {}}
    with (
        live_server(scripted_model_app([answer], repeat=True)) as endpoint,
        serving("--port", "0", folder=tmp_path, OPENAI_BASE_URL=f"{endpoint.url}/v1") as server,
    ):
        stream = ask(server.url, "threads.create", input=message)
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    deltas = [event["update"]["delta"] for event in events if "delta" in event.get("update", {})]
    assert len(deltas) > 1
    assert "".join(deltas) == ANSWER


def test_model_and_key_are_taken_from_the_environment(tmp_path: Path) -> None:
    model = scripted_model_app([answer], repeat=True)
    variables = {"OPENAI_API_KEY": "sk-of-mine", "CHATKIT_MODEL": "llama", "CHATKIT_API": "responses"}
    with (
        live_server(model) as endpoint,
        serving("--port", "0", folder=tmp_path, OPENAI_BASE_URL=f"{endpoint.url}/v1", **variables) as server,
    ):
        assert "the model llama at" in server.announcement
        assert "sk-of-mine" not in server.announcement
        assert ANSWER in piped(server.url, "Hi\n").stdout
        assert model.state.headers[0]["authorization"] == "Bearer sk-of-mine"
        assert model.state.requests[0]["model"] == "llama"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_model_that_is_down_is_said_in_one_line(tmp_path: Path) -> None:
    base_url = f"http://127.0.0.1:{free_port()}/v1"
    with serving("--port", "0", "--model", "llama", folder=tmp_path, OPENAI_BASE_URL=base_url) as server:
        done = piped(server.url, "Hi\n")
        assert (
            "error: The model cannot be reached. Check that it runs and that OPENAI_BASE_URL is right, then try again. "
            "(/retry tries again)"
        ) in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        server.process.terminate()
        _, log = server.process.communicate(timeout=scaled(20))
        assert "The model did not answer: Connection error." in log
        assert "Traceback" not in log


def test_no_model_is_named_and_none_can_be_found(tmp_path: Path) -> None:
    base_url = f"http://127.0.0.1:{free_port()}/v1"
    done = run("serve", "--port", "0", folder=tmp_path, OPENAI_BASE_URL=base_url)
    assert done.returncode == 1
    assert done.stderr == (
        f"chatkit serve: No model was named, and {base_url} could not be asked for one (Connection error). "
        "Start it, or name a model with --model.\n"
    )


def test_without_the_sdk_it_is_said_what_to_install(tmp_path: Path) -> None:
    tmp_path.joinpath("agents.py").write_text("raise ImportError('not installed')")
    done = run("serve", "--port", "0", folder=tmp_path, cold=True, OPENAI_API_KEY="sk")
    assert done.returncode == 1
    assert re.search(r"pip install '\S+\[agents\]'", done.stderr)
    assert done.stderr.count("\n") == 1


def test_a_target_goes_before_the_model(tmp_path: Path) -> None:
    with serving("chatkit.demo:GuideServer", "--port", "0", folder=tmp_path, OPENAI_API_KEY="sk") as server:
        assert "No model answers here" in piped(server.url, "help\n").stdout


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"OPENAI_API_KEY": "k"}, ModelSettings("gpt-5-mini", "responses")),
        (
            {"OPENAI_BASE_URL": "https://api.openai.com/v1/"},
            ModelSettings("gpt-5-mini", "responses", "https://api.openai.com/v1"),
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:11434/v1", "OPENAI_API_KEY": "k"},
            ModelSettings(None, "chat", "http://localhost:11434/v1"),
        ),
        (
            {"OPENAI_BASE_URL": "https://api.openai.com.example/v1", "CHATKIT_MODEL": "m"},
            ModelSettings("m", "chat", "https://api.openai.com.example/v1"),
        ),
    ],
)
def test_endpoint_api_and_name(
    variables: dict[str, str], expected: ModelSettings | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CHATKIT_MODEL", "CHATKIT_API"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_model(None, None, None) == expected


@pytest.mark.parametrize(
    "base_url", ["ftp://x/v1", "http://", "http://[::1/v1", "http://x:99999/v1", "nowhere"]
)
def test_a_base_url_that_is_none(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    with pytest.raises(CommandError, match="OPENAI_BASE_URL"):
        find_model(None, None, None)
