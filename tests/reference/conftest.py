"""The repaired blocks as a package that can be imported and type-checked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest

from tests.reference.document import read_blocks
from tests.reference.repairs import PACKAGE, REPAIRS, module_name

Load: TypeAlias = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def blocks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the package of the repaired blocks."""
    folder = tmp_path_factory.mktemp("reference")
    package = folder / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    for block in read_blocks():
        if block.title in REPAIRS:
            text = REPAIRS[block.title].module(block)
            (package / f"{module_name(block.title)}.py").write_text(text)
    return folder


@pytest.fixture
def load(blocks_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports the module of a block, anew for each test."""
    monkeypatch.syspath_prepend(blocks_folder)

    def load_block(title: str) -> ModuleType:
        return import_module(f"{PACKAGE}.{module_name(title)}")

    yield load_block
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
