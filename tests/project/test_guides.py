"""What the guides say of defaults and bounds is what the code has."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from chatkit.admin import Admin
from chatkit.audit import AuditKind, Role
from chatkit.audit.verification import FaultKind
from chatkit.cli import admin
from chatkit.frameworks import BaseAgentServer, FunctionServer, agent_server, attachments
from chatkit.types import FileAttachment

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def rows(page: str, column: str) -> list[list[str]]:
    """Returns the cells of the table of a page whose first column has that name."""
    table = (DOCS / page).read_text().partition(f"| {column} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_what_waits_while_an_action_runs() -> None:
    source = (ROOT / "ui/src/widgets/actions.ts").read_text()
    table = source.partition("const AUTO")[2].partition("};")[0]
    automatic: dict[str, str] = dict(re.findall(r'"?([A-Za-z.]+)"?: "(\w+)"', table))
    assert len(automatic) == 9
    said = {
        (name if name != "Card" else f"Card.{part}"): waits
        for components, properties, waits in rows("actions.md", "component")
        if "with" not in components
        for name in re.findall(r"`(\w+)`", components)
        for part in re.findall(r"`(\w+)=", properties) or [""]
    }
    words = {"container": "the whole widget waits", "none": "nothing waits"}
    assert said.keys() == automatic.keys()
    for bound, loading in automatic.items():
        expected = words.get(loading)
        assert said[bound] == expected if expected else said[bound] not in words.values(), bound


@pytest.mark.parametrize("row", rows("titles.md", "server"), ids=lambda row: row[0])
def test_who_makes_titles(row: list[str]) -> None:
    module, _, name = row[0].strip("`").rpartition(".")
    server = getattr(import_module(module), name)
    assert issubclass(server, BaseAgentServer)
    assert ("title_model=" in row[2]) == ("title_model" in inspect.signature(server.__init__).parameters)
    assert "titles" in inspect.signature(BaseAgentServer.__init__).parameters
    if server is FunctionServer:
        assert server.make_title is BaseAgentServer.make_title


def test_what_a_model_is_given() -> None:
    text = (DOCS / "attachments.md").read_text()
    assert attachments._ALL_BYTES == 20 * 1024 * 1024
    assert text.count("20 MiB") == 2
    assert f"{attachments._TEXT_CHARS:,} characters" in text
    for name in re.findall(r"^\| `(\w+)\(", text, re.MULTILINE):
        assert name in attachments.__all__
    for kind, types in {
        "picture": ("image/png", "image/jpeg", "image/gif", "image/webp"),
        "pdf": ("application/pdf",),
        "text": (
            "text/csv",
            "application/json",
            "application/xml",
            "application/yaml",
            "application/javascript",
        ),
        None: ("application/zip", "image/svg+xml"),
    }.items():
        for media_type in types:
            file = FileAttachment(id="atc_1", name="a", mime_type=media_type)
            assert attachments.attachment_kind(file) == kind


def test_how_much_feedback_is_kept() -> None:
    assert f"newest {agent_server._KEPT} items" in (DOCS / "feedback.md").read_text()


def test_what_the_audit_log_records() -> None:
    kinds = [kind for row in rows("audit.md", "kind") for kind in re.findall(r"`([a-z_.]+)`", row[0])]
    assert sorted(kinds) == sorted(AuditKind)
    assert [row[0].strip("`") for row in rows("audit.md", "role")] == ["any", *Role]
    faults = [re.match(r"`(\w+)`", row[0]) for row in rows("audit.md", "found")]
    assert [found[1] for found in faults if found] == list(get_args(FaultKind))


def test_the_commands_of_an_operator() -> None:
    said = {row[0].strip("`").split()[2] for row in rows("admin.md", "command")}
    assert said == set(admin._COMMANDS)
    methods = {name for row in rows("admin.md", "method") for name in re.findall(r"`(\w+)`", row[0])}
    assert methods == {name for name in vars(Admin) if not name.startswith("_")}
