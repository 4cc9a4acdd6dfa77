"""The bill of materials and the list of licences that `scripts/build` makes."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

from chatkit.web import ui_is_built

ROOT = Path(__file__).resolve().parents[2]
THEN = datetime(2026, 1, 2, tzinfo=UTC)
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE))
PAGE_LIT: str = json.loads((ROOT / "ui/package.json").read_text())["dependencies"]["lit"]
if not ui_is_built():
    pytest.skip("the user interface is not built; run scripts/ui", allow_module_level=True)


@pytest.fixture(scope="module")
def script() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import _bill

        yield _bill
        del sys.modules["_bill"]


@pytest.fixture(scope="module")
def packages(script: Any) -> Any:
    return script.python_packages(script.all_extras()), script.npm_packages()


@pytest.fixture(scope="module")
def bill(script: Any, packages: Any) -> dict[str, Any]:
    return json.loads(script.bill(*packages, THEN))


def test_the_bill_is_of_what_is_installed_and_of_the_page(bill: dict[str, Any]) -> None:
    components = {component["purl"]: component for component in bill["components"]}
    python = {url.removeprefix("pkg:pypi/") for url in components if url.startswith("pkg:pypi/")}
    assert {"starlette", "uvicorn", "openai-agents", "asyncpg", "redis"} <= {
        name.partition("@")[0] for name in python
    }
    assert not any(name.startswith(("pytest@", "ruff@", "hatchling@", "chatkit-server@")) for name in python)
    assert {name.replace("@", "==") for name in python} <= {
        f"{name}=={version}" for name, version in PINS.items()
    }
    page = {
        url.removeprefix("pkg:npm/").replace("%40", "@") for url in components if url.startswith("pkg:npm/")
    }
    built = json.loads((ROOT / "src/chatkit/web/static/packages.json").read_text())
    assert page == {f"{package['name']}@{package['version']}" for package in built}
    locked = json.loads((ROOT / "ui/package.json").read_text())["dependencies"]
    assert locked.keys() <= {package["name"] for package in built}
    own = bill["metadata"]["component"]
    assert own["name"] == "chatkit-server"
    needed = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert {"pkg:npm/lit@" + PAGE_LIT, f"pkg:pypi/pydantic@{PINS['pydantic']}"} <= set(needed[own["bom-ref"]])
    assert set(needed) == {*components, own["bom-ref"]}


def test_the_bill_is_valid(bill: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    text = json.dumps(bill)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"bomFormat": "CycloneDX"', '"bomFormat": "SPDX"')) is not None


def test_the_same_packages_make_the_same_bytes(script: Any, packages: Any) -> None:
    again = script.python_packages(script.all_extras()), script.npm_packages()
    assert script.bill(*packages, THEN) == script.bill(*again, THEN)
    assert script.licences(*packages) == script.licences(*again)


def test_every_licence_is_one_that_spdx_knows_and_has_its_text(script: Any, packages: Any) -> None:
    known = get_spdx_licensing()
    assert [p.name for each in packages for p in each if known.validate(p.licence).errors] == []
    text = script.licences(*packages)
    assert "\nstarlette " in text
    assert "\nlit 3" in text
    for package in packages[1]:
        assert f"{package.name} {package.version} (page): {package.licence}\n" in text
    # What is part of the wheel goes with its licences.
    assert (ROOT / "src/chatkit/web/static/licenses.txt").read_text().strip() in text


def test_a_page_of_other_versions_is_found_out(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages.json").write_text('[{"name": "lit", "version": "0.0.1", "license": "MIT"}]')
    monkeypatch.setattr(script, "PAGE", tmp_path)
    with pytest.raises(SystemExit, match="another lit than the locked one"):
        script.npm_packages()


def test_only_extras_that_there_are_are_collected(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import _offline

    monkeypatch.delitem(sys.modules, "_offline")
    assert _offline.main(["some.whl", str(tmp_path), "serve,sreve"]) == 2
    assert "There is no extra sreve" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    served = {package.name for package in script.python_packages(["serve"])}
    assert {"uvicorn", "starlette", "pydantic"} <= served
    assert not served & {"openai", "asyncpg", "redis", "pillow"}
