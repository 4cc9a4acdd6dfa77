"""What can be typed, and what is said to what cannot."""

import argparse
from pathlib import Path

import pytest

from chatkit import __version__
from chatkit.cli import main
from chatkit.cli.options import header, port
from tests.cli.processes import run


def test_version(tmp_path: Path) -> None:
    done = run("--version", folder=tmp_path, cold=True)
    assert (done.returncode, done.stdout) == (0, f"chatkit {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "COMMAND"),
        (["serve", "--port", "80000"], {}, "a port is a number from 0 to 65535, not '80000'"),
        (["serve"], {"CHATKIT_PORT": "many"}, "not 'many'"),
        (["serve", "--workers", "0"], {}, "1 to 1024"),
        (["serve", "--log-level", "loud"], {}, "loud"),
        (["chat", "http://x", "--header", "no colon"], {}, "'Name: value'"),
        (["chat"], {}, "URL"),
    ],
)
def test_arguments_that_cannot_be_read(
    arguments: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, folder=tmp_path, **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["serve"], {"CHATKIT_LOG_LEVEL": "loud"}, "CHATKIT_LOG_LEVEL"),
        (["serve"], {"CHATKIT_LOG_FORMAT": "xml"}, "CHATKIT_LOG_FORMAT is text or json"),
        (
            ["serve"],
            {"CHATKIT_QUOTAS": "messages=20/minute, requests"},
            "CHATKIT_QUOTAS: A quota is written such",
        ),
        (["serve"], {"CHATKIT_QUOTAS": "mesages=20/minute"}, "Did you mean 'messages'"),
        (["serve", "--single-user", "--context", "a:b"], {}, "exclude each other"),
        (["serve", "--single-user", "--auth", "oidc"], {}, "--auth excludes --single-user"),
        (["serve", "--context", "a:b", "--auth", "oidc"], {}, "--auth and --context exclude each other"),
        (["serve", "--auth", "oidc"], {"OIDC_ISSUER": "https://a.example"}, "--oidc-audience NAME"),
        (["serve"], {"CHATKIT_AUTH": "smoke"}, "CHATKIT_AUTH is one of oidc"),
        (["serve", "--sign-in-url", "/in"], {}, "in single-user mode nobody signs in"),
        (["serve", "--model", "m"], {}, "--model needs an endpoint: set OPENAI_API_KEY"),
        (["serve", "--api", "chat", "a:b"], {"OPENAI_API_KEY": "k"}, "a:b chooses its model itself"),
        (["serve"], {"OPENAI_BASE_URL": "localhost:11434"}, "OPENAI_BASE_URL is the address of an API"),
        (["serve"], {"OPENAI_API_KEY": "k", "CHATKIT_API": "smoke"}, "CHATKIT_API is one of responses, chat"),
        (["serve", "nowhere:server"], {}, "no module 'nowhere'"),
        (["serve"], {"CHATKIT_TARGET": "nowhere.deep:server"}, "no module 'nowhere.deep'"),
        (["serve", "json"], {}, "module:attribute"),
        (["serve", ".:x"], {}, "no name of a module"),
        (["serve", "json:nothing"], {}, "no attribute 'nothing'"),
        (["serve", "json:__name__"], {}, "is a str"),
        (["serve", "json:JSONDecoder"], {}, "not one of ChatKitServer"),
        (["serve", "json:dump"], {}, "takes 2 arguments"),
        (["serve", "os:getcwd"], {}, "returned a str"),
        (["serve", "--host", "no.such.host.invalid"], {}, "is no address"),
        (["serve", "--port", "0", "--context", "json:__name__"], {}, "is not a function"),
        (["chat", "ftp://example.org"], {}, "not an http"),
        (["chat", "http://127.0.0.1:1"], {}, "cannot be reached"),
        (["migrate", "--db", "missing/chat.db"], {}, "no folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, folder=tmp_path, **environment)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"chatkit {arguments[0]}: ")


def test_faults_in_the_users_own_module_keep_their_traceback(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text("import no_such_dependency\n")
    done = run("serve", "app:server", folder=tmp_path)
    assert done.returncode == 1
    assert "app.py" in done.stderr
    assert "no_such_dependency" in done.stderr


def test_main_returns_the_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["migrate", "--db", str(tmp_path / "no" / "x.db")]) == 1
    assert capsys.readouterr().err.startswith("chatkit migrate: ")


def test_headers() -> None:
    assert header("Authorization: Bearer a:b ") == ("Authorization", "Bearer a:b")
    assert header("x-empty:") == ("x-empty", "")
    for wrong in ("", "a b: c", "a", "a: b\nc: d"):
        with pytest.raises(argparse.ArgumentTypeError):
            header(wrong)


def test_ports() -> None:
    assert [port("0"), port("65535"), port("080")] == [0, 65535, 80]
    for wrong in ("-1", "65536", "", "1e3", "８０"):  # noqa: RUF001 -- a full-width number is none
        with pytest.raises(argparse.ArgumentTypeError):
            port(wrong)
