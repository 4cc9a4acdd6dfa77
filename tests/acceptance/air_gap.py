"""Installs the package, and uses it with its page, where there is no network: in a network namespace of its own.

``python -m tests.acceptance.air_gap`` builds the wheel, collects all that it needs with ``scripts/build --offline``,
and then, inside an empty network namespace, installs that into a new environment and uses the chat. ``--here`` uses
that of this environment instead, without an installation. What tried to reach out is counted by the kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

ROOT = Path(__file__).resolve().parents[2]
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_SECONDS = 120.0


class NoNamespaceError(Exception):
    """This machine lets nobody make a network namespace."""


def enter_empty_network() -> None:
    """Moves this process into a network that has a loopback interface and nothing else.

    Raises:
        NoNamespaceError: The system does not allow it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if not hasattr(library, "unshare") or library.unshare(flags) != 0:
        raise NoNamespaceError(os.strerror(ctypes.get_errno() or 38))
    try:
        with socket.socket() as probe:
            name = struct.pack("16sh", b"lo", 0x1 | 0x40)  # Up, and running.
            fcntl.ioctl(probe, 0x8914, name)
    except OSError as error:
        raise NoNamespaceError(f"the loopback interface cannot be used: {error}") from error


def attempts_to_reach_out() -> int:
    """Returns how many packets and connections this network had no way for."""
    lines = [
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")
    ]
    old = int(dict(zip(*lines, strict=True))["OutNoRoutes"])
    new = 0
    if (six := Path("/proc/net/snmp6")).exists():
        new = int(dict(line.split() for line in six.read_text().splitlines())["Ip6OutNoRoutes"])
    return old + new


def check_the_count() -> None:
    """Raises if an attempt is not counted."""
    before = attempts_to_reach_out()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if probe.connect_ex(("192.0.2.1", 53)) == 0:
                raise AssertionError("There is a network.")
    if attempts_to_reach_out() < before + 2:
        raise AssertionError("The kernel does not count what has no way out.")


def install(wheels: Path, folder: Path) -> Path:
    """Installs what ``scripts/build --offline`` collected into a new environment; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--find-links",
        str(wheels),
        "--require-hashes",
    ]
    command = [python, "-m", "pip", "install", *options, "-r", wheels / "requirements.txt"]
    subprocess.run(command, check=True, env={"PATH": os.defpath, "HOME": str(folder)})
    subprocess.run([python, "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
    return python


def use(python: Path, folder: Path) -> dict[str, Any]:
    """Serves the built-in guide and uses it as a page does; returns what was seen.

    Raises:
        AssertionError: Something is missing, or something tried to reach out.
    """
    check_the_count()
    before = attempts_to_reach_out()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {"PATH": os.defpath, "HOME": str(folder), "OPENAI_API_KEY": ""}
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [python, "-m", "chatkit", "serve", "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=log,
    )
    origin = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{origin}/health", server, folder / "log")
        resources = load_page(f"{origin}/")
        answer = say(f"{origin}/chatkit")
        attempts = attempts_to_reach_out() - before
        browser = browse(origin)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(_SECONDS)
        log.close()
    if attempts:
        raise AssertionError(f"{attempts} attempts to reach out; the log: {(folder / 'log').read_text()}")
    return {
        "resources": len(resources),
        "answer": answer,
        "browser": browser,
        "attempts to reach out": attempts,
    }


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"The server does not serve: {log.read_text()}") from None
            time.sleep(0.05)


def load_page(url: str) -> set[str]:
    """Loads a page and all that it, its scripts and its style sheets name; returns their addresses.

    Raises:
        AssertionError: One is missing, or of another host.
    """
    loaded: set[str] = set()
    waiting = {url}
    while waiting:
        address = waiting.pop()
        loaded.add(address)
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200, address
            kind = answer.headers.get_content_type()
            text = answer.read().decode("utf-8", "replace")
        found = {urljoin(address, name) for name in named(text, kind)}
        outside = {name for name in found if urlsplit(name).netloc not in {"", urlsplit(url).netloc}}
        assert not outside, f"{address} loads {outside}"
        waiting |= {name.partition("#")[0] for name in found if not name.startswith("data:")} - loaded
    assert len(loaded) > 5, loaded
    return loaded


def named(text: str, kind: str) -> set[str]:
    """Returns what a file loads by itself: scripts, style sheets, pictures, imports."""
    if kind == "text/html":
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)", text)
        return set(tags)
    if kind == "text/css":
        return set(re.findall(r"url\([\"']?([^\"')]+)", text)) | set(
            re.findall(r"@import\s+[\"']([^\"']+)", text)
        )
    if "javascript" in kind:
        imports = r"(?:\bfrom|\bimport\(?)\s*[\"'`](\.{0,2}/[^\"'`]+\.js)[\"'`]"
        return set(re.findall(imports, text)) | set(re.findall(r"[\"'](\./chunks/[^\"']+\.js)[\"']", text))
    return set()


def say(url: str) -> str:
    """Sends a message; returns how its turn ended."""
    body = {
        "type": "threads.create",
        "params": {"input": {"content": [{"type": "input_text", "text": "Hello"}]}},
        "metadata": {"resumable": True},
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        text = answer.read().decode()
    assert '"assistant_message"' in text, text[-2000:]
    (end,) = re.findall(r"event: turn\.end\n(?:id: .*\n)?data: (.*)", text)
    status: str = json.loads(end)["status"]
    assert status == "completed", text[-2000:]
    return status


def browse(origin: str) -> str:
    """Has a browser load the page and a message answered, where there is one; returns what it loaded."""
    from tests.browser.conftest import find_chromium

    path = find_chromium()
    if path is None:
        return "there is none"
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{origin}/")
        chat = page.locator("openai-chatkit")
        chat.get_by_role("textbox", name="Message", exact=True).fill("Hello")
        page.keyboard.press("Enter")
        chat.locator(".answer").first.wait_for()
        browser.close()
    outside = [url for url in asked if not url.startswith((origin, "data:", "blob:"))]
    assert not outside, outside
    return f"{len(asked)} requests, all of them to the server"


def main(arguments: list[str]) -> int:
    """Does it; returns the exit status."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        work = folder / "work"
        work.mkdir()
        python = Path(sys.executable)
        if "--here" not in arguments:
            wheels = folder / "wheels"
            subprocess.run([ROOT / "scripts/build", "--offline", wheels], check=True)
            enter_empty_network()
            python = install(wheels, folder / "environment")
        else:
            enter_empty_network()
        sys.stdout.write(json.dumps(use(python, work), indent=1) + "\n")
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NoNamespaceError as error:
        sys.exit(f"No network namespace can be made here: {error}")
