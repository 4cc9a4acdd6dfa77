"""What applications of ``openai-chatkit`` 1.6.5 import and call is there, and takes what they give it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chatkit.dialects.openai_chatkit.private_methods import NEVER_CALLED
from tests.dropin.compatibility import Surface, compare_parameters, differences
from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import scaled

PROGRAM = Path(__file__).with_name("surface.py")
MODULES = ("actions", "agents", "errors", "icons", "logger", "server", "store", "types", "version", "widgets")

_NO_DEFAULT = "there an Action without a type is one whose type is a TypeVar object, which cannot be sent"
_ABSTRACT = "abstract, so nobody calls it by these names; an override is called as it was declared there"
ACCEPTED = {
    ("chatkit.actions.Action.type", "is required"): _NO_DEFAULT,
    ("chatkit.server.Action.type", "is required"): _NO_DEFAULT,
    ("chatkit.types.Action.type", "is required"): _NO_DEFAULT,
    ("chatkit.server.ChatKitServer.respond()", "does not take thread="): _ABSTRACT,
    ("chatkit.server.ChatKitServer.respond()", "does not take input_user_message="): _ABSTRACT,
    ("chatkit.server.ChatKitServer.respond()", "does not take context="): _ABSTRACT,
    (
        "chatkit.logger.log_level",
        "missing",
    ): "importing this package configures no logging, by LOG_LEVEL or otherwise",
}


def surface_of(python: Path) -> Surface:
    # Coverage would measure the other package, too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [python, PROGRAM], env=environment, capture_output=True, text=True, timeout=scaled(100), check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def theirs() -> Surface:
    return surface_of(openai_chatkit_python())


@cache
def ours() -> Surface:
    return surface_of(Path(sys.executable))


def test_the_modules_are_listed() -> None:
    assert {f"chatkit.{name}" for name in MODULES} == theirs().keys()
    names = {module: len(listed) for module, listed in theirs().items()}
    assert names["chatkit.types"] > 120
    assert names["chatkit.widgets"] > 60
    assert names["chatkit.server"] > 70
    assert {"Table", "BeautifulSoup"}.isdisjoint(theirs()["chatkit.widgets"])


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_missing_or_stricter(module: str) -> None:
    name = f"chatkit.{module}"
    found = differences({name: theirs()[name]}, ours())
    assert [f"{place} {problem}" for place, problem in found if (place, problem) not in ACCEPTED] == []


def test_a_star_import_does_not_replace_the_store() -> None:
    """Sorted imports have chatkit.types behind chatkit.store, and 1.6.5 has no store in its types."""
    names: dict[str, Any] = {}
    exec("from chatkit.store import *\nfrom chatkit.types import *", names)
    import chatkit.store
    import chatkit.types

    assert names["Store"] is chatkit.store.Store
    assert chatkit.types.Store is not chatkit.store.Store


def test_every_accepted_difference_is_one() -> None:
    assert ACCEPTED.keys() - set(differences(theirs(), ours())) == set()


def broken(*path: str, **change: Any) -> list[tuple[str, str]]:
    """Returns the differences between our surface and the same with one place of it changed."""
    changed = copy.deepcopy(ours())
    place: Any = changed
    for step in path:
        place = place[step]
    for key, value in change.items():
        if value is None:
            del place[key]
        else:
            place[key] = value
    return list(differences(ours(), changed))


def test_no_difference_from_itself() -> None:
    assert list(differences(ours(), ours())) == []


def test_a_missing_name_is_a_difference() -> None:
    assert broken("chatkit.errors", ErrorCode=None) == [("chatkit.errors.ErrorCode", "missing")]


def test_a_missing_or_stricter_field_is_a_difference() -> None:
    path = ("chatkit.types", "NoticeEvent", "fields")
    assert broken(*path, title=None) == [("chatkit.types.NoticeEvent.title", "missing field")]
    assert broken(*path, "title", required=True) == [("chatkit.types.NoticeEvent.title", "is required")]
    assert broken(*path, "level", accepts=['"info"', '"danger"']) == [
        ("chatkit.types.NoticeEvent.level", 'does not accept "warning"')
    ]


def parameter(name: str, *, kind: str = "positional_or_keyword", optional: bool = False) -> dict[str, Any]:
    return {"name": name, "kind": kind, "optional": optional}


A, B = parameter("a"), parameter("b")
OPTIONAL_B = parameter("b", optional=True)
B_BY_NAME = parameter("b", kind="keyword_only")
ANY = [
    parameter("x", kind="var_positional", optional=True),
    parameter("y", kind="var_keyword", optional=True),
]


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ([], []),
        ([A, B], [A, B]),
        ([A, B], [A, OPTIONAL_B]),
        ([A], [A, OPTIONAL_B]),
        ([A, B_BY_NAME], [A, B]),
        ([A, OPTIONAL_B], ANY),
        (ANY, ANY),
    ],
)
def test_signatures_that_take_all_calls(there: Any, here: Any) -> None:
    assert list(compare_parameters(there, here)) == []


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ([A], []),
        ([A, B], [B, A]),
        ([A, B], [A, B_BY_NAME]),
        ([A, OPTIONAL_B], [A, B]),
        ([A], [A, B]),
        ([A], [A, B_BY_NAME]),
        ([A], [parameter("a", kind="positional_only")]),
        (ANY, [A]),
    ],
)
def test_signatures_that_refuse_a_call(there: Any, here: Any) -> None:
    assert list(compare_parameters(there, here)) != []


def test_overrides_that_are_never_called_are_those_of_the_package() -> None:
    program = (
        "import json; from chatkit.server import ChatKitServer as C; "
        "print(json.dumps([n for n, v in vars(C).items() if n[0] == '_' and n[1] != '_' and callable(v)]))"
    )
    done = subprocess.run(
        [openai_chatkit_python(), "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=scaled(100),
        check=True,
    )
    assert set(json.loads(done.stdout)) == NEVER_CALLED
