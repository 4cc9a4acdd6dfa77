"""The public face of the package: its names, and what importing it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import chatkit.web
import chatkit.web.fastapi
from tests.support.scale import scaled

# Makes packages as good as not installed.
WITHOUT = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str, *, missing: tuple[str, ...] = ()) -> str:
    program = WITHOUT.format(missing=missing) + code
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=scaled(60), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_names_are_sorted_and_all_there() -> None:
    assert chatkit.web.__all__ == sorted(chatkit.web.__all__)
    for name in chatkit.web.__all__:
        assert getattr(chatkit.web, name) is not None
        assert name in dir(chatkit.web)
    assert chatkit.web.fastapi.__all__ == ["chatkit_router"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="create_application"):
        chatkit.web.create_application  # noqa: B018 -- the access is what is tested


def test_importing_the_package_imports_no_framework() -> None:
    run(
        'import chatkit.web, sys; assert not {"starlette", "fastapi", "anyio", "pydantic"} & set(sys.modules)'
    )


def test_the_application_needs_starlette_alone() -> None:
    run(
        "from chatkit.web import create_app, install_error_handlers, single_user",
        missing=("fastapi", "uvicorn"),
    )


@pytest.mark.parametrize("name", chatkit.web.__all__)
def test_without_starlette_the_extra_is_named(name: str) -> None:
    code = f"""
from chatkit.errors import MissingExtraError
try:
    from chatkit.web import {name}
except MissingExtraError as error:
    assert isinstance(error, ImportError)
    print(error)
"""
    assert "chatkit-server[web]" in run(code, missing=("starlette",))


@pytest.mark.parametrize("missing", ["fastapi", "starlette"])
def test_without_fastapi_the_extra_is_named(missing: str) -> None:
    code = """
from chatkit.errors import MissingExtraError
try:
    import chatkit.web.fastapi
except MissingExtraError as error:
    print(error)
"""
    assert "chatkit-server[fastapi]" in run(code, missing=(missing,))


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    code = """
try:
    from chatkit.web import create_app
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code, missing=("pydantic",)).strip() == "pydantic"
