"""``chatkit serve`` as a process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.cli.processes import COMMAND, run, serving
from tests.support.scale import scaled
from tests.web.test_jwt import AUDIENCE, live_issuer

APP = """
from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from chatkit.web import single_user


class Mine(GuideServer):
    def __init__(self, store):
        super().__init__(store, delay=0)


class TwoStores(GuideServer):
    def __init__(self, store, other):
        super().__init__(store)


class Deep:
    server = Mine(MemoryStore())


def make(store):
    return Mine(store)


def make_alone():
    return Mine(MemoryStore())


async def make_later(store):
    return Mine(store)


def user(request: Request):
    return {"user_id": request.headers.get("x-test-user", "nobody")}


alone = single_user("me")
application = Starlette(routes=[Route("/mine", lambda request: PlainTextResponse("my own"))])


async def bare(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bare"})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("app.py").write_text(APP)
    return tmp_path


def ask(url: str, type: str, headers: dict[str, str] | None = None, **params: Any) -> bytes:
    request = urllib.request.Request(
        url,
        json.dumps({"type": type, "params": params}).encode(),
        {"content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
        return bytes(answer.read())


def hello(url: str, **headers: str) -> None:
    message = {
        "content": [{"type": "input_text", "text": "help"}],
        "attachments": [],
        "inference_options": {},
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert b"thread.item.done" in ask(url, "threads.create", named, input=message)


def titles(url: str, **headers: str) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [thread.get("title") for thread in json.loads(ask(url, "threads.list", named))["data"]]


def test_the_guide_keeps_threads_in_the_working_folder(tmp_path: Path) -> None:
    for round_ in (1, 2):
        with serving("--port", "0", folder=tmp_path, cold=True) as server:
            assert "no model" in server.announcement
            assert "Single-user mode" in server.announcement
            assert str(tmp_path / "chatkit.db") in server.announcement
            assert "WARNING" not in server.announcement
            hello(server.url)
            assert titles(server.url) == ["help"] * round_
    assert tmp_path.joinpath("chatkit.db").exists()


def test_environment_is_used_and_options_win(tmp_path: Path) -> None:
    variables = {"CHATKIT_DB": "other.db", "CHATKIT_PORT": "1", "CHATKIT_HOST": "127.0.0.1"}
    with serving("--port", "0", folder=tmp_path, **variables) as server:
        hello(server.url)
    assert tmp_path.joinpath("other.db").exists()
    assert not tmp_path.joinpath("chatkit.db").exists()


@pytest.mark.parametrize("target", ["Mine", "Deep.server", "make", "make_alone"])
def test_targets_that_are_or_make_a_server(target: str, folder: Path) -> None:
    with serving(f"app:{target}", "--port", "0", folder=folder) as server:
        assert f"app:{target}" in server.announcement
        hello(server.url)
        assert titles(server.url) == ["help"]
        gets_store = target in {"Mine", "make"}
        assert ("Threads are kept in" in server.announcement) is gets_store
    assert folder.joinpath("chatkit.db").exists() is gets_store


@pytest.mark.parametrize(
    ("target", "path", "body"), [("application", "/mine", b"my own"), ("bare", "/", b"bare")]
)
def test_targets_that_are_applications(target: str, path: str, body: bytes, folder: Path) -> None:
    with serving(f"app:{target}", "--port", "0", folder=folder) as server:
        assert "Single-user" not in server.announcement
        with urllib.request.urlopen(f"{server.url}{path}", timeout=scaled(30)) as answer:
            assert answer.read() == body


@pytest.mark.parametrize(
    ("target", "message"),
    [("TwoStores", "give a function"), ("make_later", "async function")],
)
def test_targets_that_cannot_be_served(target: str, message: str, folder: Path) -> None:
    done = run("serve", f"app:{target}", "--port", "0", folder=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("target", ["Deep.server", "make_alone", "application"])
def test_a_database_for_a_target_with_a_store_of_its_own_is_refused(target: str, folder: Path) -> None:
    done = run("serve", f"app:{target}", "--port", "0", "--db", "mine.db", folder=folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"chatkit serve: --db has no effect on app:{target}")
    assert done.stderr.count("\n") == 1
    # In the environment it is for whatever can use it.
    with serving(f"app:{target}", "--port", "0", folder=folder, CHATKIT_DB="mine.db"):
        assert not folder.joinpath("mine.db").exists()


def status_for_host(url: str, *hosts: str) -> int:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=scaled(30))
    body = b'{"type": "threads.list", "params": {}}'
    try:
        connection.putrequest("POST", address.path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status == 400:
        assert "names of its own machine" in json.loads(text)["error"]["message"]
    return answer.status


def status_for_upload(url: str, origin: str, host: str | None = None) -> int:
    content = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhi\r\n--x--\r\n'
    # What a page may send anywhere without asking first.
    headers = {"Origin": origin, "Content-Type": "multipart/form-data; boundary=x"}
    address = urlsplit(url)
    if host is not None:
        headers["Host"] = host
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=scaled(30))
    try:
        connection.request("POST", f"{address.path}/files", content, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_pages_of_foreign_origins_post_no_files_to_the_only_user(folder: Path) -> None:
    allowed = "https://app.example.com"
    with serving("app:Mine", "--port", "0", "--cors", allowed, folder=folder) as server:
        port = urlsplit(server.url).port
        own = f"http://127.0.0.1:{port}"
        for origin in (own, f"http://localhost:{port}", "http://localhost:5173", "http://[::1]:80", allowed):
            assert status_for_upload(server.url, origin) == 200
        evil = "https://evil.example"
        for origin in (
            evil,
            "null",
            "",
            f"{allowed}.evil.example",
            "http://[",
            "https://localhost.evil.example",
        ):
            assert status_for_upload(server.url, origin) == 400


def test_pages_under_foreign_names_do_not_reach_the_only_user(folder: Path) -> None:
    with serving("app:Mine", "--port", "0", folder=folder) as server:
        port = urlsplit(server.url).port
        for host in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
            assert status_for_host(server.url, host) == 200
            assert status_for_host(server.url, f"{host}:{port}") == 200
        for host in (
            f"evil.example:{port}",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil",
            "[::2]",
        ):
            assert status_for_host(server.url, host) == 400
    with serving("app:Mine", "--port", "0", "--context", "app:user", folder=folder) as server:
        assert status_for_host(server.url, "chat.example") == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_the_only_user_is_reached_by_addresses_and_names_that_were_given(address: str, folder: Path) -> None:
    arguments = [
        "app:Mine",
        "--port",
        "0",
        "--host",
        address,
        "--allow-host",
        "Chat.home",
        "--allow-host",
        "b.home",
    ]
    with serving(*arguments, folder=folder) as server:
        port = urlsplit(server.url).port
        url = f"http://127.0.0.1:{port}/chatkit" if address == "0.0.0.0" else f"http://[::1]:{port}/chatkit"
        for host in (
            "localhost",
            "192.168.1.5",
            f"192.168.1.5:{port}",
            f"[fd00::1]:{port}",
            "chat.home",
            "b.home:80",
        ):
            assert status_for_host(url, host) == 200
        for host in ("evil.example", "chat.home.evil.example", "192.168.1.5.evil.example", ""):
            assert status_for_host(url, host) == 400
        own = f"127.0.0.1:{port}" if address == "0.0.0.0" else f"[::1]:{port}"
        assert status_for_upload(url, f"http://{own}") == 200
        assert status_for_upload(url, "http://chat.home", "chat.home") == 200
        for origin in ("http://192.168.1.66", "http://evil.example", "null"):
            assert status_for_upload(url, origin) == 400


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("app:Mine", "--cors", "*"), "--cors '*' in single-user mode would let every page"),
        (("app:Mine", "--context", "app:alone", "--cors", "*"), "--cors '*' in single-user mode"),
        (("app:Mine", "--cors", "null"), "any page in a sandbox"),
        (("app:Mine", "--cors", "localhost:5173"), "Did you mean 'https://localhost:5173'?"),
        (("app:Mine", "--context", "app:user", "--cors", "https://a.example/x"), "without a path"),
        (
            ("app:Mine", "--context", "app:user", "--allow-host", "chat.home"),
            "--allow-host is for single-user mode",
        ),
        (("app:Mine", "--context", "app:Mine"), "is not a function that takes a request"),
        (("app:application", "--context", "app:user"), "--context has no effect on app:application"),
        (("app:application", "--cors", "https://a.example"), "--cors has no effect on app:application"),
    ],
    ids=str,
)
def test_what_would_let_others_in_is_refused(arguments: tuple[str, ...], told: str, folder: Path) -> None:
    done = run("serve", *arguments, "--port", "0", folder=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("chatkit serve: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_every_page_for_the_only_user_is_refused_by_environment_too(folder: Path) -> None:
    done = run("serve", "app:Mine", "--port", "0", folder=folder, CHATKIT_CORS="*")
    assert done.returncode == 1
    assert "would let every page" in done.stderr


def test_context_keeps_users_apart(folder: Path) -> None:
    with serving("app:Mine", "--port", "0", "--context", "app:user", folder=folder) as server:
        assert "Single-user" not in server.announcement
        hello(server.url, x_test_user="a")
        assert titles(server.url, x_test_user="a") == ["help"]
        assert titles(server.url, x_test_user="b") == []


def test_prices_that_cannot_be_read(folder: Path) -> None:
    (folder / "prices.toml").write_text("[gpt]\ninput = 1\n")
    done = run("serve", "app:Mine", "--port", "0", "--prices", "prices.toml", folder=folder)
    assert done.returncode == 1
    assert "The price of 'gpt' has input and output" in done.stderr


def test_quotas_and_records_as_json(folder: Path) -> None:
    options = ("--port", "0", "--log-format", "json", "--log-level", "debug", "--quota", "messages=1/hour")
    options += ("--quota", "cost=2.5/day", "--unbounded-calls")
    with serving("app:Mine", *options, folder=folder, CHATKIT_SECRET="s" * 32) as server:
        hello(server.url, x_request_id="proxy-1")
        with pytest.raises(urllib.error.HTTPError) as refused:
            hello(server.url)
        assert refused.value.code == 429
        assert int(refused.value.headers["retry-after"]) > 3_000
        assert "You may send 1 message in an hour." in refused.value.read().decode()
        os.killpg(server.process.pid, signal.SIGTERM)
        _, errors = server.process.communicate(timeout=scaled(20))
    records = [json.loads(line) for line in errors.splitlines()]
    assert {"uvicorn.error", "chatkit.web"} <= {record["logger"] for record in records}
    [streamed] = [record for record in records if "streams to" in record["message"]]
    assert (streamed["request"], streamed["level"]) == ("proxy-1", "debug")


def test_users_with_a_token_of_an_issuer(folder: Path) -> None:
    with live_issuer() as issuer:
        options = (
            "--port",
            "0",
            "--auth",
            "oidc",
            "--oidc-issuer",
            issuer.url,
            "--sign-in-url",
            "/in?rd={page}",
        )
        with serving("app:Mine", *options, folder=folder, OIDC_AUDIENCE=AUDIENCE) as server:
            assert f"Users have a token of {issuer.url} for {AUDIENCE}." in server.announcement
            assert "Single-user" not in server.announcement
            for token, status in ((issuer.token(), 200), (issuer.token(aud="other"), 401), ("", 401)):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                body = {"type": "threads.list", "params": {}}
                with httpx2.Client() as client:
                    assert client.post(server.url, json=body, headers=headers).status_code == status
            with urllib.request.urlopen(server.url.removesuffix("chatkit")) as page:
                assert "&quot;signIn&quot;: &quot;/in?rd={page}&quot;" in page.read().decode()


def test_cors_by_option_and_by_environment(tmp_path: Path) -> None:
    def allowed(url: str, origin: str) -> str | None:
        request = urllib.request.Request(
            url,
            method="OPTIONS",
            headers={
                "origin": origin,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
                return str(answer.headers["access-control-allow-origin"])
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.headers["access-control-allow-origin"]

    with serving("--port", "0", folder=tmp_path, CHATKIT_CORS="http://a.example, http://b.example") as server:
        assert allowed(server.url, "http://b.example") == "http://b.example"
        assert allowed(server.url, "http://c.example") is None
    arguments = ["--cors", "http://c.example", "--cors", "http://d.example"]
    with serving(*arguments, "--port", "0", folder=tmp_path, CHATKIT_CORS="http://a.example") as server:
        assert allowed(server.url, "http://d.example") == "http://d.example"
        assert allowed(server.url, "http://a.example") is None


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"chatkit serve: port {port} of 127.0.0.1 is in use; stop what uses it, or choose another with --port\n"
    )
    assert done.stdout == ""


def test_an_address_that_others_can_reach_is_warned_of(tmp_path: Path) -> None:
    with serving("--port", "0", "--host", "0.0.0.0", folder=tmp_path) as server:
        assert "WARNING" in server.announcement


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_ends_promptly_when_asked_to_with_a_stream_open(
    sign: signal.Signals, code: int, tmp_path: Path
) -> None:
    with serving("--port", "0", folder=tmp_path) as server:
        message = {
            "content": [{"type": "input_text", "text": "long 5000"}],
            "attachments": [],
            "inference_options": {},
        }
        request = urllib.request.Request(
            server.url,
            json.dumps({"type": "threads.create", "params": {"input": message}}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
            assert b"thread.created" in answer.readline()
            server.process.send_signal(sign)
            rest = answer.read()
            server.process.wait(scaled(5))
        assert server.process.returncode == code
        assert b'"type":"error"' in rest
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()


def test_ends_within_three_seconds_although_clients_do_not_read(tmp_path: Path) -> None:
    message = {
        "content": [{"type": "input_text", "text": "long 5000"}],
        "attachments": [],
        "inference_options": {},
    }
    body = json.dumps({"type": "threads.create", "params": {"input": message}}).encode()
    tmp_path.joinpath("fast.py").write_text(
        "from chatkit.demo import GuideServer\n\ndef make(store):\n    return GuideServer(store, delay=0)\n"
    )
    with serving("fast:make", "--port", "0", folder=tmp_path) as server:
        port = urlsplit(server.url).port
        clients = [socket.socket() for _ in range(4)]
        try:
            for client in clients:
                # So small that the answer does not fit between the two.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(scaled(30))
                client.connect(("127.0.0.1", port))
                client.sendall(
                    b"POST /chatkit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                assert client.recv(16).startswith(b"HTTP/1.1 200")
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(scaled(3))
        finally:
            for client in clients:
                client.close()


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    tmp_path.joinpath("notes.txt").write_text("These are not a database. " * 100)
    done = run("serve", "--port", "0", "--db", "notes.txt", folder=tmp_path)
    assert done.returncode == 1
    assert "notes.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_application_that_does_not_start(folder: Path) -> None:
    folder.joinpath("broken.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'out of tea'})\n"
    )
    done = run("serve", "broken:app", "--port", "0", folder=folder)
    assert done.returncode == 1
    assert "out of tea" in done.stderr
    assert "Listening" not in done.stdout


def test_the_command_is_an_installed_program_too(tmp_path: Path) -> None:
    program = Path(COMMAND[0]).with_name("chatkit")
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=scaled(60), check=True
    )
    assert done.stdout.startswith("chatkit ")
