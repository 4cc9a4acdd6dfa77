"""What is typed wrong is answered with what was meant, and the tab key completes what is not typed yet."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatkit.cli import main
from tests.support.scale import scaled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, whose modules are forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["srve"], "'serve'"),
        (["stockcheck"], "'stock-check'"),
        (["serve", "--prot=80"], "'--port'"),
        (["serve", "--hots", "localhost"], "'--host'"),
        (["serve", "--log-level", "wrning"], "'warning'"),
        (["hosted", "kee"], "'key'"),
        (["migrate", "--bd", "x"], "'--db'"),
    ],
)
def test_options_and_commands(
    arguments: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f". Did you mean {suggestion}?\n")


def test_nothing_is_suggested_where_nothing_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["xyzzy"], ["serve", "--xyzzy"], ["serve", "a:b", "c", "d"]):
        with pytest.raises(SystemExit):
            main(arguments)
        message = capsys.readouterr().err
        assert "error: " in message
        assert "Did you mean" not in message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "shp_of_suggestions:server",
            "There is no module 'shp_of_suggestions', .* Did you mean 'shop_of_suggestions'?",
        ),
        ("chatkit.dmo:GuideServer", "There is no module 'chatkit.dmo', .* Did you mean 'chatkit.demo'?"),
        ("shop_of_suggestions:sever", ".* has no attribute 'sever'. Did you mean 'server'?"),
        ("shop_of_suggestions:server.tile", ".* has no attribute 'server.tile'. Did you mean 'title'?"),
        ("shop_of_suggestions:xyzzy", ".* has no attribute 'xyzzy'."),
        ("xyzzy.quux:server", "There is no module 'xyzzy.quux', neither in .* nor installed."),
    ],
)
def test_targets(target: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.joinpath("shop_of_suggestions.py").write_text("class server:\n    title = 'Shop'\n")
    try:
        assert main(["serve", target]) == 1
    finally:
        sys.modules.pop("shop_of_suggestions", None)
    begin, _, end = message.partition(".*")
    said = capsys.readouterr().err.removeprefix("chatkit serve: ").rstrip("\n")
    assert said.startswith(begin)
    assert said.endswith(end)


def test_bash_completes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    assert main(["completion", "bash"]) == 0
    tmp_path.joinpath("script").write_text(capsys.readouterr().out)

    def complete(*words: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in words)
        lines = f"source ./script; COMP_WORDS=(chatkit {typed}); COMP_CWORD={len(words)}; _shtab_chatkit; "
        done = subprocess.run(
            [bash, "-c", f'{lines} printf "%s\\n" "${{COMPREPLY[@]}}"'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=scaled(30),
            check=True,
        )
        return done.stdout.split()

    assert complete("ser") == ["serve"]
    assert complete("serve", "--po") == ["--port"]
    assert complete("serve", "--log-level", "wa") == ["warning"]
    tmp_path.joinpath("chat-of-mine.db").touch()
    assert complete("migrate", "--db", "chat-of") == ["chat-of-mine.db"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_know_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("serve", "migrate", "stock-check", "drain-seconds"):
        assert word in script
    done = shutil.which(shell)
    if done is not None:
        subprocess.run([done, "-n"], input=script, text=True, check=True, timeout=scaled(30))


def test_the_page_of_the_docs_tells_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/command-line.md").read_text()
    told = set(re.findall(r"^\| `chatkit ([a-z-]+)", page, re.MULTILINE))
    helps = ""
    for command in ("", *told):
        with pytest.raises(SystemExit) as stop:
            main([*filter(None, [command]), "--help"])
        assert stop.value.code == 0
        helps += capsys.readouterr().out
    assert told == set(re.findall(r"^    ([a-z-]+)(?: |$)", helps.partition("Each option")[0], re.MULTILINE))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page)) <= set(re.findall(r"--[a-z-]+", helps))
