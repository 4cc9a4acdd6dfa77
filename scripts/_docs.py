"""Prepares the sources of the documentation for `scripts/docs`, and checks every docstring of the package.

The site is built from a copy that is laid out as the repository is, so that relative links hold in both.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import griffe

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "docs"
SOURCE = BUILD / "source"

# What pages are made of, and what they link to.
PUBLISHED = ("docs", "deploy", "examples", "LICENSE")

_ROLE = re.compile(r":(?:class|data|exc|func|meth|mod|attr):`(~?)([^`]+)`")


class PlainRoles(griffe.Extension):
    """Turns Sphinx roles of docstrings into Markdown code."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replaces the roles of one docstring."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_as_code, obj.docstring.value)


def _as_code(role: re.Match[str]) -> str:
    shortened, name = role.groups()
    return f"`{name.rpartition('.')[2] if shortened else name}`"


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def docstring_warnings() -> list[str]:
    """Returns what the parser finds wrong with the docstrings: parameters that are not there, unclear sections."""
    warnings = _Warnings()
    logging.getLogger("griffe").addHandler(warnings)

    def parse(parent: griffe.Object | griffe.Alias) -> None:
        for member in parent.members.values():
            if member.is_alias:
                continue
            if member.docstring:
                member.docstring.parse("google")
            if member.is_class or member.is_module:
                parse(member)

    parse(griffe.load("chatkit", search_paths=[ROOT / "src"]))
    return warnings.messages


def api_pages(nav: list[Any]) -> list[str]:
    """Returns the pages of the navigation that are made from docstrings, such as ``api/chatkit.store.md``."""
    pages: list[str] = []
    for entry in nav:
        for target in entry.values():
            if isinstance(target, list):
                pages += api_pages(cast("list[Any]", target))
            elif target.startswith("api/"):
                pages.append(target)
    return pages


def main() -> int:
    """Lays out the sources. Returns the exit code."""
    shutil.rmtree(BUILD, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.db*", "node_modules")
    for path in [*ROOT.glob("*.md"), *(ROOT / name for name in PUBLISHED)]:
        if path.is_dir():
            shutil.copytree(path, SOURCE / path.name, ignore=ignored)
        elif path.is_file():
            shutil.copy(path, SOURCE / path.name)
    shutil.move(SOURCE / "docs" / "zensical.toml", BUILD)
    settings = tomllib.loads((BUILD / "zensical.toml").read_text(encoding="utf-8"))
    for page in api_pages(settings["project"]["nav"]):
        module = Path(page).stem
        (SOURCE / page).parent.mkdir(exist_ok=True)
        (SOURCE / page).write_text(f"# {module}\n\n::: {module}\n", encoding="utf-8")
    warnings = docstring_warnings()
    for warning in warnings:
        sys.stderr.write(f"{warning}\n")
    return 1 if warnings else 0


if __name__ == "__main__":
    sys.exit(main())
