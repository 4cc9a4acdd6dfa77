"""``chatkit hosted key`` and ``chatkit serve --hosted``, as processes."""

from __future__ import annotations

import signal
import stat
from pathlib import Path

import httpx2
import openai
import pytest

from chatkit.hosted import hash_key
from tests.cli.processes import run, serving
from tests.hosted.sample import ACME, Caller, Page
from tests.support.scale import scaled

ROOT = Path(__file__).parents[2]
APP = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})

from starlette.applications import Starlette
from chatkit.store import MemoryStore
from tests.hosted.sample import EchoServer

class Support(EchoServer):
    pass

alone = EchoServer(MemoryStore())
application = Starlette()
"""
SECRET_KEY = "sk-proj-0123456789abcdefghij"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "keys.txt").write_text(f"# keys\n\n{hash_key(ACME)} acme\n")
    return tmp_path


def test_a_key_is_printed_once_and_its_hash_is_kept(tmp_path: Path) -> None:
    made = [
        run("hosted", "key", tenant, "--api-keys", "keys.txt", folder=tmp_path) for tenant in ("acme", "b.c")
    ]
    keys = [done.stdout.strip() for done in made]
    assert [done.returncode for done in made] == [0, 0]
    assert all(key.startswith("ck-") for key in keys)
    kept = tmp_path / "keys.txt"
    assert kept.read_text() == f"{hash_key(keys[0])} acme\n{hash_key(keys[1])} b.c\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    without = run("hosted", "key", "acme", folder=tmp_path)
    assert hash_key(without.stdout.strip()) in without.stderr


def test_a_file_whose_last_line_has_no_end_gets_a_line_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "keys.txt"
    for before, start in ((b"# ours", "# ours\n"), (b"", ""), (b"# ours\n", "# ours\n")):
        kept.write_bytes(before)
        done = run("hosted", "key", "acme", "--api-keys", "keys.txt", folder=tmp_path)
        assert kept.read_text() == f"{start}{hash_key(done.stdout.strip())} acme\n"


def test_a_key_of_openai_is_no_file(tmp_path: Path) -> None:
    done = run("hosted", "key", "acme", "--api-keys", SECRET_KEY, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "key of OpenAI's" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tenant", ["", "a b", "a/b", "..", SECRET_KEY])
def test_what_is_no_tenant_is_told(tenant: str, tmp_path: Path) -> None:
    done = run("hosted", "key", tenant, "--api-keys", "keys.txt", folder=tmp_path)
    assert done.returncode == 1
    assert "A tenant's name" in done.stderr
    assert not (tmp_path / "keys.txt").exists()


def test_hosted_chatkit_is_served_by_one_command(folder: Path) -> None:
    options = (
        "--hosted",
        "--workflow",
        "wf_a=app:Support",
        "--workflow",
        "wf_b=app:alone",
        "--api-keys",
        "keys.txt",
    )
    with serving(*options, "--port", "0", folder=folder) as server:
        assert "hosted ChatKit" in server.announcement
        assert "wf_a (Support), wf_b (EchoServer)" in server.announcement
        url = server.url.removesuffix("/chatkit")
        assert f"base_url='{url}/v1'" in server.announcement
        call = Caller("sync", url)
        secrets = [
            call("sessions.create", user="ada", workflow={"id": name}).client_secret
            for name in ("wf_a", "wf_b")
        ]
        threads = [Page(url, secret).say("hello") for secret in secrets]
        assert [thread.id for thread in call("threads.list", order="asc")] == threads
        assert httpx2.get(f"{url}/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(scaled(20))
    # The secret is kept, and so are sessions and threads: after a restart the page goes on.
    with serving(*options, "--port", "0", folder=folder) as server:
        url = server.url.removesuffix("/chatkit")
        assert Page(url, secrets[0]).post("threads.get_by_id", thread_id=threads[0]).status_code == 200


def test_workers_share_sessions(folder: Path) -> None:
    options = ("--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "keys.txt", "--workers", "2")
    with serving(*options, "--port", "0", folder=folder) as server:
        url = server.url.removesuffix("/chatkit")
        session = Caller("sync", url)(
            "sessions.create",
            user="ada",
            workflow={"id": "wf_a"},
            rate_limits={"max_requests_per_1_minute": 5},
        )
        page = Page(url, session.client_secret)
        # Each over a connection of its own, which either worker may take.
        statuses = [page.post("nonsense").status_code for _ in range(8)]
        assert statuses == [400] * 5 + [429] * 3
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(scaled(20))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--hosted"], "needs --workflow"),
        (["--api-keys", "keys.txt"], "give --hosted, too"),
        (["app:Support", "--api-keys", "keys.txt"], "give --hosted, too"),
        (["--hosted", "--single-user", "--workflow", "wf_a=app:Support", "--api-keys", "keys.txt"], "exclude each"),
        (["--hosted", "app:Support"], "--workflow wf_...=app:Support"),
        (["--workflow", "wf_a=app:Support"], "give --hosted, too"),
        (["--hosted", "--workflow", "wf_a=app:Support"], "needs --api-keys"),
        (["--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "nowhere.txt"], "cannot be read"),
        (["--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "empty.txt"], "has no key"),
        (["--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "plain.txt"], "Line 1 of plain.txt"),
        (["--hosted", "--workflow", "wf_a=app:Support", "--api-keys", SECRET_KEY], "key of OpenAI's"),
        (["--hosted", "--workflow", "wf_a=app:application", "--api-keys", "keys.txt"], "whole application"),
        (["--hosted", "--workflow", "wf/a=app:Support", "--api-keys", "keys.txt"], "is no id"),
        (["--hosted", "--workflow", "wf_a=app:alone", "--api-keys", "keys.txt", "--db", "a.db"], "--db has no effect"),
        (["--hosted", "--workflow", "wf_a=app:alone", "--api-keys", "keys.txt", "--context", "app:a"], "--context has"),
        (["--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "keys.txt", "--files", "off"], "CHATKIT_SECRET"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_told(options: list[str], says: str, folder: Path) -> None:
    (folder / "empty.txt").write_text("# none\n")
    (folder / "plain.txt").write_text(f"{SECRET_KEY} acme\n")
    done = run("serve", *options, folder=folder)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    # An option that is a key is in the command itself; one that is in a file is not repeated.
    assert SECRET_KEY not in done.stderr


def test_a_key_that_was_not_made_here_is_refused(folder: Path) -> None:
    options = ("--hosted", "--workflow", "wf_a=app:Support", "--api-keys", "keys.txt")
    with serving(*options, "--port", "0", folder=folder) as server:
        url = server.url.removesuffix("/chatkit")
        for key in (SECRET_KEY, "ck-another-0123456789abcdef"):
            with pytest.raises(openai.AuthenticationError):
                Caller("sync", url, key)("threads.list")
