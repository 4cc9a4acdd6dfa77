"""Names of icons."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from chatkit import icons

ICON = TypeAdapter[str](icons.IconName)


def test_there_are_64_names_of_our_own() -> None:
    names = get_args(get_args(icons.IconName)[0])
    assert len(names) == len(set(names)) == 64
    assert {"agent", "bolt", "book-clock", "square-code", "write-alt2"} <= set(names)


@pytest.mark.parametrize("name", ["agent", "write-alt2", "vendor:logo", "vendor:", "lucide:rocket"])
def test_known_names_are_taken(name: str) -> None:
    assert ICON.validate_python(name) == name


@pytest.mark.parametrize("name", ["", "Agent", "rocket", "my-vendor:logo", " lucide:rocket", 3, None])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(ValidationError):
        ICON.validate_python(name)


def test_public_names() -> None:
    assert icons.__all__ == sorted(icons.__all__) == ["IconName", "LucideIconName", "VendorIconName"]
