"""One version: in the package, in the installed metadata and in the changelog."""

from __future__ import annotations

import re
from importlib.metadata import metadata, version
from pathlib import Path

from packaging.version import Version

import chatkit

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
RELEASE = re.compile(r"(\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}")


def changelog_headings() -> list[str]:
    return re.findall(r"^## \[(.+?)\](.*)$", CHANGELOG.read_text(), re.MULTILINE)


def test_metadata_has_the_version_of_the_package() -> None:
    assert version("chatkit-server") == chatkit.__version__


def test_metadata_names_license_and_readme() -> None:
    fields = metadata("chatkit-server")
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["License-File"] == "LICENSE"
    assert fields["Requires-Python"] == ">=3.11"


def test_changelog_begins_with_what_is_unreleased() -> None:
    assert changelog_headings()[0] == ("Unreleased", "")


def test_changelog_lists_releases_newest_first_up_to_this_version() -> None:
    releases = [f"{name}{rest}" for name, rest in changelog_headings()[1:]]
    assert [release for release in releases if not RELEASE.fullmatch(release)] == []
    versions = [Version(release.split()[0]) for release in releases]
    assert versions == sorted(set(versions), reverse=True)
    assert all(number <= Version(chatkit.__version__) for number in versions)
