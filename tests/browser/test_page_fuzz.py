"""Generated texts and widgets: nothing is thrown, what streamed in is what is stored, no task holds the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.fuzz import MILLISECONDS, fuzz, gallery


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with gallery() as address:
        yield address


@pytest.mark.parametrize("first", [0, 5_000])
def test_generated_texts_and_widgets(browser: Browser, url: str, first: int) -> None:
    report = fuzz(browser, url, first, 24, 30_000)
    assert report["texts"] + report["widgets"] == 24
    assert report["cuts"] > 100
    assert report["faults"] == []
    assert report["busiest"] <= MILLISECONDS, report["longest"]
