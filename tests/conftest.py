"""What holds for every test: the order of the parts, and how long a drawn example may take."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
ACCEPTANCE = ROOT / "tests" / "acceptance"

# How long an example takes says nothing on a machine that does other things too; pytest-timeout bounds the
# whole test.
settings.register_profile("chatkit", deadline=None, print_blob=True)
settings.load_profile("chatkit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the acceptance tests last: what a small test can tell is best told first."""
    items.sort(key=lambda item: item.path.is_relative_to(ACCEPTANCE))
