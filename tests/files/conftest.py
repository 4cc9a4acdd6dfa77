"""What holds for the tests of file stores."""

from __future__ import annotations

import pytest

from chatkit.files import thumbnails
from tests.support.scale import scaled


@pytest.fixture(autouse=True)
def previews_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a preview take longer than an application would wait for it, as it may on a busy machine."""
    monkeypatch.setattr(thumbnails.wait_briefly, "__defaults__", (scaled(10),))
