"""The name under which calls of models travel."""

from __future__ import annotations

import sys

import pytest
from agents.models import chatcmpl_helpers, openai_responses

import chatkit
from chatkit.errors import MissingExtraError
from chatkit.server import agents_sdk_user_agent_override

OVERRIDES = (chatcmpl_helpers.HEADERS_OVERRIDE, openai_responses._HEADERS_OVERRIDE)


def test_the_name_is_there_within_and_gone_after() -> None:
    with agents_sdk_user_agent_override():
        for override in OVERRIDES:
            name = (override.get() or {})["User-Agent"]
            assert name.startswith("Agents/Python ")
            assert name.endswith(f" chatkit-server/Python {chatkit.__version__}")
    assert [override.get() for override in OVERRIDES] == [None, None]


def test_what_was_overridden_stays() -> None:
    own = {"User-Agent": "mine", "X-Trace": "1"}
    tokens = [override.set(own) for override in OVERRIDES]
    try:
        with agents_sdk_user_agent_override():
            assert [override.get() for override in OVERRIDES] == [own, own]
        assert [override.get() for override in OVERRIDES] == [own, own]
    finally:
        for override, token in zip(OVERRIDES, tokens, strict=True):
            override.reset(token)


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents.models", None)
    with (
        pytest.raises(MissingExtraError, match=r"chatkit-server\[agents\]"),
        agents_sdk_user_agent_override(),
    ):
        pytest.fail("there is nothing to override")
