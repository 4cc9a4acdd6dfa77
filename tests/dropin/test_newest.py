"""What ``scripts/test --newest`` says of versions that are newer than those that this package is made for."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from tests.dropin.changes import compare, schema_members, surface_members, type_members
from tests.dropin.newest import missing_fields, missing_members, uncovered_types
from tests.dropin.test_surface import ours
from tests.support.scale import scaled

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def schemas() -> Any:
    done = subprocess.run(
        [sys.executable, HERE / "schemas.py"],
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def types() -> str:
    node, npm = hatch_build.find_node()
    hatch_build.install(node, npm)
    return (hatch_build.SOURCE / "node_modules/@openai/chatkit/types/index.d.ts").read_text()


def test_the_same_is_no_change(schemas: Any, types: str) -> None:
    assert not compare(surface_members(ours()), surface_members(copy.deepcopy(ours())))
    assert not compare(schema_members(schemas), schema_members(copy.deepcopy(schemas)))
    assert not compare(type_members(types), type_members(types))


def test_a_new_member_is_named_and_lost(schemas: Any) -> None:
    newer = copy.deepcopy(ours())
    store = newer["chatkit.store"]["Store"]
    parameter = {"name": "query", "kind": "keyword_only", "optional": True}
    store["methods"]["search_threads"] = [parameter]
    store["methods"]["load_threads"].append(parameter)
    del newer["chatkit.errors"]["StreamError"]
    changes = compare(surface_members(ours()), surface_members(newer))
    assert list(changes.added) == ["chatkit.store.Store.search_threads()"]
    assert {".".join(name.split(".")[:3]).strip("()") for name in changes.removed} == {
        "chatkit.errors.StreamError"
    }
    assert list(changes.changed) == ["chatkit.store.Store.load_threads()"]
    assert any("query=?" in line for line in changes.lines())
    assert missing_members(newer, ours()) == [
        "chatkit.store.Store.load_threads(): does not take query=",
        "chatkit.store.Store.search_threads: missing",
    ]


def test_a_changed_schema_is_named_and_what_is_new_is_lost(schemas: Any) -> None:
    newer = copy.deepcopy(schemas)
    newer["HologramEvent"] = {"type": "object", "properties": {"depth": {"type": "integer"}}}
    newer["NoticeEvent"]["properties"]["link"] = {"type": "string"}
    newer["ThreadGetByIdParams"]["required"] = []
    changes = compare(schema_members(schemas), schema_members(newer))
    assert changes.added.keys() == {"HologramEvent", "HologramEvent.depth", "NoticeEvent.link"}
    assert changes.changed.keys() == {"ThreadGetByIdParams.thread_id"}
    assert not changes.removed
    lost = missing_fields(schema_members(newer), schema_members(schemas))
    assert sorted(line.partition(":")[0] for line in lost) == sorted(changes.added)


def test_a_new_option_is_named_and_lost(types: str) -> None:
    newer = types.replace(
        "export type HistoryOption = {", "export type HistoryOption = {\n  pinned?: { limit: number };"
    )
    newer = newer.replace("showHistory(): Promise<void>;", "showHistory(query?: string): Promise<void>;")
    newer = newer.replace("  hideHistory(): Promise<void>;", "")
    assert newer != types
    changes = compare(type_members(types), type_members(newer))
    assert changes.added == {"HistoryOption.pinned": "?: {}", "HistoryOption.pinned.limit": ": number"}
    assert changes.changed == {
        "OpenAIChatKit.showHistory": ("(): Promise<void>", "(query?: string): Promise<void>")
    }
    assert changes.removed.keys() == {"OpenAIChatKit.hideHistory"}
    assert uncovered_types(changes) == [
        "@openai/chatkit: HistoryOption.pinned",
        "@openai/chatkit: HistoryOption.pinned.limit",
        "@openai/chatkit: OpenAIChatKit.showHistory",
    ]


def test_every_option_method_and_event_of_the_element_is_a_member(types: str) -> None:
    found = type_members(types)
    for name in (
        "ChatKitOptions.api",
        "ComposerOption.attachments.maxSize",
        "ChatKitEvents.chatkit.ready",
        "OpenAIChatKit.sendUserMessage.text",
        "StartScreenOption.prompts",
        "ThemeOption.radius",
    ):
        assert name in found, name
