"""Tries generated texts and widgets in a browser: ``scripts/ui fuzz --texts 2000``.

What ``ui/fuzz.html`` finds is printed, each fault at once with its seed and a smaller text that shows it: what was
thrown, what streamed in and differs from what is stored, the longest tasks by the clock, and ``busiest``, the longest
one in milliseconds that the page's thread worked, without what it waited for other programs. The exit code is 1 where
there is a fault, or a task that worked for more than 200 ms. ``--first`` splits a long run into pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

import hatch_build
from tests.browser.conftest import find_chromium
from tests.support.live_server import live_server
from tests.support.scale import scaled

__all__ = ["BATCH", "MILLISECONDS", "fuzz", "gallery"]

BATCH: Final = 40
"""Texts and widgets that one page tries."""

MILLISECONDS: Final = 200
"""What a task of the page may work."""


@contextmanager
def gallery() -> Iterator[str]:
    """Builds the pages of ``ui/`` that are not shipped; yields where they are served."""
    node, npm = hatch_build.find_node()
    hatch_build.install(node, npm)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            node,
            "node_modules/vite/bin/vite.js",
            "build",
            "--config",
            "gallery.config.ts",
            "--logLevel",
            "warn",
        ]
        environment = {**os.environ, "GALLERY_OUT": folder}
        subprocess.run(command, cwd=hatch_build.SOURCE, env=environment, check=True, timeout=scaled(300))
        with live_server(Starlette(routes=[Mount("/", StaticFiles(directory=Path(folder)))])) as live:
            yield live.url


def fuzz(browser: Browser, url: str, first: int, count: int, largest: int) -> dict[str, Any]:
    """Tries some in a page of their own; returns what the page reports."""
    page = browser.new_page()
    try:
        page.set_default_timeout(scaled(300_000))
        thrown: list[str] = []
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.on("console", lambda message: tell(message.text) if message.text.startswith("fault: ") else None)
        page.goto(f"{url}/fuzz.html")
        page.wait_for_function("window.fuzz")
        report: dict[str, Any] = page.evaluate("(args) => fuzz(...args)", [first, count, largest, True])
        # Once more, for the time alone.
        browser.start_tracing(page=page, categories=["toplevel"])
        timed = page.evaluate("(args) => fuzz(...args)", [first, count, largest, False])
        report["busiest"] = busiest(browser.stop_tracing())
        # The page's own list goes on from run to run.
        report["faults"] = timed["faults"] + [f"thrown: {error}" for error in thrown]
        return report
    finally:
        page.close()


def busiest(trace: bytes) -> int:
    """Returns the longest task of a page's main thread, in milliseconds of its own, whatever else the machine did."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = (
        event for event in events if (event["pid"], event["tid"]) in mains and "RunTask" in event["name"]
    )
    return round(max((event.get("tdur", 0) for event in tasks), default=0) / 1000)


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=2000, help="how many texts and widgets")
    parser.add_argument("--largest", type=int, default=100_000, help="letters of the largest one")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    whole: dict[str, Any] = {
        "texts": 0,
        "widgets": 0,
        "letters": 0,
        "cuts": 0,
        "faults": [],
        "longest": [],
        "busiest": 0,
    }
    with gallery() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for first in range(options.first, options.first + options.texts, BATCH):
            count = min(BATCH, options.first + options.texts - first)
            report = fuzz(browser, url, first, count, options.largest)
            for name in ("texts", "widgets", "letters", "cuts", "faults", "longest"):
                whole[name] += report[name]
            whole["busiest"] = max(whole["busiest"], report["busiest"])
            whole["longest"] = sorted(whole["longest"], key=lambda one: -one["milliseconds"])[:10]
            tell(f"{first + count}: {len(whole['faults'])} faults, longest task {whole['busiest']} ms")
            if report["busiest"] > MILLISECONDS:
                tell(f"task of {report['busiest']} ms, by the clock: {json.dumps(report['longest'][:3])}")
        browser.close()
    tell(json.dumps(whole, indent=1, ensure_ascii=False)[:20_000])
    return 1 if whole["faults"] or whole["busiest"] > MILLISECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
