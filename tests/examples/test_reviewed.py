"""The example whose messages, answers and files are reviewed, by real libraries."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.examples.running import EXAMPLES, PNG
from tests.support.dumps import dump_of

pytest.importorskip("yara", reason="yara-python has no wheel for this Python")

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PROGRAM = b"MZ".ljust(0x3C, b"\0") + (0x80).to_bytes(4, "little") + bytes(0x40) + b"PE\0\0"
CARD = "4111 1111 1111 1111"
SECRETS = (CARD, "650 253 0000", "GB29 NWBK 6016 1331 9268 19", "ada@example.com")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("example") / "reviewed"
    shutil.copytree(
        EXAMPLES / "reviewed", folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "files")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("CHATKIT_SECRET", "not a secret, in a test" * 2)
        module = importlib.import_module("app")
        with TestClient(module.app) as client:
            yield client, folder
        for name in ("app", "review"):
            patch.delitem(importlib.sys.modules, name)


def say(client: TestClient, text: str, *attachments: str) -> Any:
    message = {"content": [{"type": "input_text", "text": text}], "attachments": list(attachments)}
    return client.post("/chatkit", json={"type": "threads.create", "params": {"input": message}})


def kept(folder: Path) -> str:
    """Returns the whole database as text, and the names of the files that are kept."""
    dump = "\n".join(dump_of(folder / "chat.db"))
    return dump + "\n".join(str(path) for path in (folder / "files").rglob("data"))


def test_what_tells_who_somebody_is_is_taken_out(example: Any) -> None:
    client, folder = example
    answer = say(
        client, "Mail {3}, call {1}, charge {0} or {2}; order 4111 1111 1111 1112.".format(*SECRETS)
    ).text
    told = "Mail [mail address], call [phone number], charge [card number] or [account number]"
    assert f"You said: {told}; order 4111 1111 1111 1112.. What a **** form" in answer
    assert not any(secret in answer + kept(folder) for secret in SECRETS)
    assert "[phone number].\\n" in answer or "Call [phone number]" in answer


def test_what_is_foul_is_refused_and_not_stored(example: Any) -> None:
    client, folder = example
    before = kept(folder)
    refused = say(client, "You little shit")
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        422,
        "Please say that in other words.",
    )
    assert kept(folder) == before


def test_what_must_not_be_uploaded_is_not_kept(example: Any) -> None:
    client, folder = example
    before = kept(folder)
    for content, reason in ((EICAR, "the test file of virus scanners"), (PROGRAM, "a program")):
        refused = client.post(
            "/chatkit/files", files={"file": ("a.bin", content, "application/octet-stream")}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "content_refused")
        assert reason in refused.json()["error"]["message"]
    assert kept(folder) == before
    attachment = client.post("/chatkit/files", files={"file": ("cup.png", PNG, "image/png")}).json()
    assert say(client, "Look", attachment["id"]).status_code == 200
