"""The pages of the examples with sign-in, as a user sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.examples.running import Example


@pytest.mark.parametrize("name", ["fastapi-sign-in", "django", "flask"])
def test_a_user_signs_in_and_chats(name: str, open_page: OpenPage, tmp_path: Path) -> None:
    with Example(name, tmp_path).serving() as url:
        chat = open_page("about:blank")
        # None of them has an icon, which the browser asks for.
        chat.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        chat.page.goto(url)
        chat.page.locator("[name=name], [name=username]").fill("ada")
        chat.page.locator("[name=password]").fill("analytical")
        chat.page.get_by_role("button").click()
        chat.send("Good morning")
        chat.until_idle()
        expect(chat.answers).to_have_count(1)
        assert "ada, you said: Good morning" in chat.text()
        # It asks no more before the example ends.
        chat.page.goto("about:blank")
