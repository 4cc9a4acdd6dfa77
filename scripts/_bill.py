"""Writes the bill of materials (CycloneDX) of the package with all its extras and of its page, and their licences.

Usage: `python scripts/_bill.py FOLDER`. The Python packages are those of this environment, as `scripts/pin` pinned
them; the npm packages are those that the build found in the page. The same packages make the same bytes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "src/chatkit/web/static"
NAME = "chatkit-server"
_CLASSIFIER = "License :: OSI Approved :: "
# What licences are called in metadata, where that is no name of SPDX's.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD-3": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
# What their metadata leave open, by the texts that they bring.
_BY_TEXT = {"jinja2": "BSD-3-Clause"}


@dataclass
class Package:
    """A package that is installed with ours, or is part of the page."""

    kind: str
    name: str
    version: str
    licence: str
    texts: list[str]
    needs: set[str] = field(default_factory=set[str])
    sha512: str | None = None

    @property
    def url(self) -> PackageURL:
        """Its package URL."""
        namespace, _, name = self.name.rpartition("/")
        return PackageURL(self.kind, namespace or None, name, self.version)

    def component(self) -> Component:
        """Returns it as a component of the bill."""
        hashes = [HashType(alg=HashAlgorithm.SHA_512, content=self.sha512)] if self.sha512 else []
        return Component(
            name=self.name,
            version=self.version,
            type=ComponentType.LIBRARY,
            purl=self.url,
            bom_ref=str(self.url),
            licenses=[_licence(self.licence)],
            hashes=hashes,
        )


def _licence(name: str) -> License:
    made = LicenseFactory().make_from_string(name)
    # A name that SPDX does not know stays what the package calls it.
    return made if not isinstance(made, DisjunctiveLicense) or made.id else DisjunctiveLicense(name=name)


def all_extras() -> list[str]:
    """Returns the names of the package's extras."""
    return sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def python_packages(extras: list[str]) -> list[Package]:
    """Returns the package itself and all that it needs with some of its extras, in this environment."""
    found: dict[str, Package] = {}
    waiting = [(NAME, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        distribution = metadata.distribution(name)
        package = found.setdefault(name, _described(name, distribution))
        for needed, its_extras in _needed(distribution, wanted):
            if needed != name:
                package.needs.add(needed)
            waiting.append((needed, its_extras))
    return sorted(found.values(), key=lambda package: package.name)


def _needed(
    distribution: metadata.Distribution, extras: frozenset[str]
) -> Iterator[tuple[str, frozenset[str]]]:
    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def _described(name: str, distribution: metadata.Distribution) -> Package:
    about = distribution.metadata
    names = [
        value.removeprefix(_CLASSIFIER) for value in about.get_all("Classifier", ()) if _CLASSIFIER in value
    ]
    # Some packages have a whole text in the field that is for a name.
    short = [value for value in (about.get("License"),) if value and len(value) < 60 and "\n" not in value]
    given = about.get("License-Expression") or next(iter(short), None) or " AND ".join(names)
    if not given:
        raise SystemExit(f"{name} does not say what its licence is; look, and add it to scripts/_bill.py.")
    files = [
        file for file in distribution.files or () if ".dist-info" in file.parts[0] and _is_licence(file.name)
    ]
    texts = [Path(str(file.locate())).read_text(encoding="utf-8", errors="replace") for file in sorted(files)]
    licence = _BY_TEXT.get(name) or _SPDX.get(given, given)
    return Package("pypi", name, distribution.version, licence, texts)


def _is_licence(name: str) -> bool:
    return name.lower().startswith(("licen", "notice", "copying", "authors"))


def npm_packages() -> list[Package]:
    """Returns what the build found in the page."""
    lock = json.loads((ROOT / "ui/package-lock.json").read_text())["packages"]
    packages: list[Package] = []
    for entry in json.loads((PAGE / "packages.json").read_text()):
        locked = lock[f"node_modules/{entry['name']}"]
        if locked["version"] != entry["version"]:
            raise SystemExit(
                f"The page was built with another {entry['name']} than the locked one: scripts/ui build"
            )
        algorithm, _, digest = locked["integrity"].partition("-")
        sha512 = base64.b64decode(digest).hex() if algorithm == "sha512" else None
        packages.append(Package("npm", entry["name"], entry["version"], entry["license"], [], sha512=sha512))
    return packages


def bill(python: list[Package], page: list[Package], when: datetime) -> str:
    """Returns the bill of materials as JSON.

    Args:
        python: The Python packages, our own among them.
        page: The npm packages of the page.
        when: The time that it is of.
    """
    components = {package.name: package.component() for package in python}
    own = components.pop(NAME)
    own.type = ComponentType.APPLICATION
    in_page = [package.component() for package in page]
    identity = json.dumps([str(package.url) for package in (*python, *page)])
    bom = Bom(
        components=[*components.values(), *in_page],
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identity),
        version=1,
    )
    bom.metadata.timestamp = when
    bom.metadata.component = own
    environment = f"Python {sys.version_info.major}.{sys.version_info.minor} on {sys.platform}"
    bom.metadata.properties.add(Property(name="chatkit:environment", value=environment))
    for package in python:
        needed = [components[name] for name in sorted(package.needs)]
        component = own if package.name == NAME else components[package.name]
        bom.register_dependency(component, [*needed, *(in_page if component is own else ())])
    text = json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1, sort_keys=True) + "\n"
    problems = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problems is not None:
        raise SystemExit(f"The bill of materials is not valid: {problems}")
    return text


def licences(python: list[Package], page: list[Package]) -> str:
    """Returns the list of licences, and the texts that the packages bring."""
    others = [package for package in python if package.name != NAME]
    rows = [(package, "Python") for package in others] + [(package, "page") for package in page]
    lines = [
        "Licences of what chatkit-server is installed with, all extras included, and of what is in its page.",
        "",
    ]
    lines += [f"{package.name} {package.version} ({where}): {package.licence}" for package, where in rows]
    parts = ["\n".join(lines)]
    for package in others:
        heading = f"{package.name} {package.version}, {package.licence}"
        texts = [text.strip() for text in package.texts] or ["(The package brings no text.)"]
        parts.append("\n\n".join([heading, *texts]))
    parts.append((PAGE / "licenses.txt").read_text())
    return f"\n\n{'-' * 80}\n\n".join(parts).strip() + "\n"


def _when() -> datetime:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        command = ["git", "log", "-1", "--format=%ct"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        given = done.stdout.strip() or "315532800"
    return datetime.fromtimestamp(int(given), UTC)


def main(arguments: list[str]) -> int:
    """Writes both into the folder that the arguments name; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("Name the folder to write to\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    python, page = python_packages(all_extras()), npm_packages()
    stem = f"chatkit_server-{metadata.version(NAME)}"
    (folder / f"{stem}.cdx.json").write_text(bill(python, page, _when()), encoding="utf-8")
    (folder / f"{stem}-licences.txt").write_text(licences(python, page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
