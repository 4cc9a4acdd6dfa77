"""Checks that the pages of a site load nothing from other hosts: no script, style sheet, font, picture or frame.

Usage: `python scripts/_check_site.py build/docs/site`
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Attributes by which a browser loads something by itself; a link that is clicked is none.
_LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "video": ("src", "poster"),
}
# They say something of the page, and load nothing.
_TELLING = {"alternate", "author", "canonical", "edit", "license", "next", "prev"}
_OUTSIDE = re.compile(r"(?i)(?:https?:)?//[^\s\"')]+")
_IN_STYLES = re.compile(r"(?i)(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\s\"')]+)")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and set((given.get("rel") or "").lower().split()) <= _TELLING:
            return
        for name in _LOADING.get(tag, ()):
            self.outside += [part for part in (given.get(name) or "").split() if _OUTSIDE.match(part)]
        self.outside += _IN_STYLES.findall(given.get("style") or "")


def loaded_from_outside(site: Path) -> list[str]:
    """Returns what the files of a site load from other hosts, each with its file."""
    found: list[str] = []
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            page = _Page()
            text = path.read_text(encoding="utf-8")
            page.feed(text)
            styles = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL)
            outside = page.outside + [url for style in styles for url in _IN_STYLES.findall(style)]
        elif path.suffix == ".css":
            outside = _IN_STYLES.findall(path.read_text(encoding="utf-8"))
        else:
            continue
        found += [f"{path.relative_to(site)} loads {url}" for url in outside]
    return found


def main(arguments: list[str]) -> int:
    """Checks the one site that the arguments name; returns the exit status."""
    if len(arguments) != 1 or not Path(arguments[0], "index.html").is_file():
        sys.stderr.write(f"Name exactly one folder with a site, not {arguments}\n")
        return 2
    found = loaded_from_outside(Path(arguments[0]))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
