"""Actions: the half that a widget carries and the half that comes back."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from chatkit import actions
from chatkit.actions import Action, ActionConfig


class Payload(BaseModel):
    title: str
    note: str | None = None


class Rename(Action[Literal["rename"], Payload]):
    pass


class Close(Action[Literal["close"], None]):
    pass


class Either(Action[Literal["one", "two"], Payload]):
    pass


def test_create_names_the_action_by_its_literal() -> None:
    payload = Payload(title="a")
    config = Rename.create(payload)
    assert config == ActionConfig(type="rename", payload=payload)
    assert config.payload is payload
    assert config.model_dump(exclude_none=True) == {
        "type": "rename",
        "payload": {"title": "a"},
        "handler": "server",
        "loadingBehavior": "auto",
        "streaming": True,
    }


def test_create_takes_its_options_by_position_and_by_name() -> None:
    expected = ActionConfig(
        type="close", payload=None, handler="client", loadingBehavior="self", streaming=False
    )
    assert Close.create(None, "client", "self", False) == expected
    assert Close.create(None, handler="client", loading_behavior="self", streaming=False) == expected


def test_create_works_on_a_parametrised_action() -> None:
    assert Action[Literal["q"], int].create(3) == ActionConfig(type="q", payload=3)


@pytest.mark.parametrize("model", [Either, Action[str, Payload], Action])
def test_create_needs_one_name(model: type[Action[Any, Any]]) -> None:
    with pytest.raises(TypeError, match="exactly one action type"):
        model.create(Payload(title="a"))


def test_the_type_defaults_to_the_only_one_there_is() -> None:
    assert Rename(payload=Payload(title="a")).type == "rename"
    assert Rename.model_validate({"payload": {"title": "a"}}).type == "rename"
    assert Rename.model_validate_json('{"payload": {"title": "a"}}').type == "rename"


@pytest.mark.parametrize("model", [Either, Action[str, Any], Action])
def test_the_type_is_required_where_it_is_open(model: type[Action[Any, Any]]) -> None:
    with pytest.raises(ValidationError) as error:
        model.model_validate({"payload": {"title": "a"}})
    assert [(e["type"], e["loc"]) for e in error.value.errors()] == [("missing", ("type",))]


def test_a_request_is_read_with_its_types() -> None:
    action = Rename.model_validate({"type": "rename", "payload": {"title": "a"}, "handler": "server"})
    assert action.payload == Payload(title="a")
    assert action.model_dump(exclude_none=True) == {"type": "rename", "payload": {"title": "a"}}


@pytest.mark.parametrize("data", [{"type": "x"}, {"type": "x", "payload": None}])
def test_an_absent_payload_is_none(data: dict[str, Any]) -> None:
    assert Action[str, Any].model_validate(data).payload is None
    assert Action.model_validate(data).payload is None


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Rename, {"type": "other", "payload": {"title": "a"}}),
        (Rename, {"type": "rename", "payload": {"title": 3}}),
        (Close, {"type": "close", "payload": {}}),
        (Action[str, Any], {"type": 3}),
        (Action[str, Any], "rename"),
    ],
)
def test_wrong_input_is_refused(model: type[BaseModel], data: object) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(data)


def test_the_type_cannot_be_reassigned() -> None:
    action = Rename(payload=Payload(title="a"))
    with pytest.raises(ValidationError, match="frozen"):
        action.type = "rename"
    action.payload = Payload(title="b")
    assert action.payload.title == "b"


def test_validation_leaves_its_input_alone() -> None:
    data = {"payload": {"title": "a"}}
    Rename.model_validate(data)
    assert data == {"payload": {"title": "a"}}


def test_a_config_keeps_what_a_newer_version_wrote() -> None:
    written = {"type": "x", "payload": [None, {"a": None}], "handler": "client", "confirm": {"text": "?"}}
    assert ActionConfig.model_validate(written).model_dump() == {
        **written,
        "loadingBehavior": "auto",
        "streaming": True,
    }


@pytest.mark.parametrize(
    "data", [{}, {"type": "x", "handler": "page"}, {"type": "x", "loadingBehavior": "spin"}]
)
def test_a_config_refuses_values_that_the_protocol_does_not_know(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ActionConfig.model_validate(data)


def test_public_names() -> None:
    assert sorted(actions.__all__) == [
        "Action",
        "ActionConfig",
        "DEFAULT_HANDLER",
        "DEFAULT_LOADING_BEHAVIOR",
        "Handler",
        "LoadingBehavior",
    ]
    assert (actions.DEFAULT_HANDLER, actions.DEFAULT_LOADING_BEHAVIOR) == ("server", "auto")
