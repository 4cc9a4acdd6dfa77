"""Each picture of ``docs/events.md`` and ``docs/tutorial.md`` comes about with the server of its example."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.event_pictures import SHOTS, Shot, take
from tests.browser.shop_picture import PICTURE
from tests.browser.shop_picture import take as take_shop
from tests.support.event_examples import PICTURES


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_picture_comes_about(browser: Browser, tmp_path: Path, shot: Shot) -> None:
    take(browser, shot, tmp_path)
    assert (tmp_path / f"{shot.name}.png").stat().st_size > 1_000


def test_they_are_those_of_the_page() -> None:
    assert {shot.name for shot in SHOTS} == {path.stem for path in PICTURES.glob("*.png")}


def test_the_shop_is_used_as_the_tutorial_says(browser: Browser, tmp_path: Path) -> None:
    take_shop(browser, tmp_path / "shop.png")
    assert PICTURE.stat().st_size < 60_000
