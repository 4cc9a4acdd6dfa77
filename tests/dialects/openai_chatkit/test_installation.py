"""What is told of an openai-chatkit beside this package; tests/dropin has the real installations."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from chatkit.__main__ import main
from chatkit.dialects.openai_chatkit import installation

OURS = ("__init__.py", "errors.py", "ids.py")
SHARED = ("__init__.py", "errors.py")


class Site:
    """A folder of installed packages, in front of all others."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "chatkit"
        self.package.mkdir()
        self._folder = folder

    def install(self, name: str, files: tuple[str, ...], text: str) -> None:
        info = self._folder / f"{name.replace('-', '_')}-9.8.7.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.8.7\n")
        record = [f"{info.name}/RECORD,,"]
        for file in files:
            (self.package / file).write_text(text)
            digest = urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")
            record.append(f"chatkit/{file},sha256={digest},{len(text)}")
        (info / "RECORD").write_text("\n".join(record) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    made = Site(tmp_path)
    monkeypatch.setattr(installation, "_PACKAGE", made.package)
    return made


def test_ours_alone_is_no_problem(site: Site) -> None:
    site.install("chatkit-server", OURS, "ours")
    assert installation.find_problem() is None
    installation.check_installation()


def test_theirs_over_ours_is_fatal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("chatkit-server", OURS, "ours")
    site.install("openai-chatkit", SHARED, "theirs")
    problem = installation.find_problem()
    assert problem is not None
    assert problem.is_fatal
    assert "these are openai-chatkit's now: chatkit/__init__.py, chatkit/errors.py." in problem.message
    with pytest.raises(ImportError, match=r"openai-chatkit 9\.8\.7 is installed as well"):
        installation.check_installation()
    assert main() == 1
    assert capsys.readouterr().err == f"chatkit: {problem.message}\n"


def test_ours_over_theirs_warns(site: Site) -> None:
    site.install("openai-chatkit", SHARED, "theirs")
    site.install("chatkit-server", OURS, "ours")
    problem = installation.find_problem()
    assert problem is not None
    assert not problem.is_fatal
    with pytest.warns(UserWarning, match="uninstalling either of them takes files of the other one along"):
        installation.check_installation()


def test_missing_files_are_fatal(site: Site) -> None:
    site.install("chatkit-server", (*OURS, "a.py", "b.py", "c.py", "d.py"), "ours")
    for path in site.package.iterdir():
        path.unlink()
    problem = installation.find_problem()
    assert problem is not None
    assert problem.is_fatal
    assert "chatkit/a.py, chatkit/b.py, chatkit/c.py, chatkit/d.py and 2 more" in problem.message.replace(
        "chatkit/__init__.py, ", ""
    )
    assert "pip uninstall --yes chatkit-server\n" in problem.message


def test_theirs_in_another_folder_is_told_from_one_in_ours(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.install("openai-chatkit", SHARED, "theirs")
    monkeypatch.setattr(installation, "_PACKAGE", tmp_path / "elsewhere" / "chatkit")
    problem = installation.find_problem()
    assert problem is not None
    assert not problem.is_fatal
    assert f"that one is in {site.package}" in problem.message
