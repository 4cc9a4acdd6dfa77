"""``chatkit usage`` shows what models have used."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chatkit.cli import main
from chatkit.ids import utc_now
from chatkit.store import OwnerContext, SQLiteStore
from chatkit.usage import Usage, UsageRecord


@pytest.fixture
def db(tmp_path: Path) -> str:
    async def fill() -> None:
        store = SQLiteStore[Any](path)
        now = utc_now()
        for number, (owner, cost, age) in enumerate(
            [("ada", "0.25", 0), ("ada", "0.5", 0), ("bob", None, 0), ("ada", "9", 90)]
        ):
            usage = Usage("m\x1b[2J", input_tokens=1_000, output_tokens=10)
            price = None if cost is None else Decimal(cost)
            record = UsageRecord(f"turn_{number}", "1", "thr", None, usage, price, now - timedelta(days=age))
            await store.add_usage(record, OwnerContext(owner))
        await store.close()

    path = str(tmp_path / "chat.db")
    asyncio.run(fill())
    return path


def test_usage_of_the_last_days_by_owner_and_model(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--db", db]) == 0
    head, ada, bob, everything, unpriced = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "day",
        "owner",
        "group",
        "model",
        "calls",
        "input",
        "cached",
        "output",
        "reasoning",
        "cost",
    ]
    assert "\x1b" not in ada
    assert ada.split()[1] == "ada"
    assert ada.split()[3:] == ["2", "2,000", "0", "20", "0", "0.750000"]
    assert bob.split()[1] == "bob"
    assert everything.split() == ["all", "3", "3,000", "0", "30", "0", "0.750000"]
    assert unpriced == "1 calls had no price, and are not in the cost."


def test_usage_of_one_owner_and_of_more_days(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--db", db, "--owner", "ada", "--days", "365"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["9.000000", "0.750000", "9.750000"]
    assert main(["usage", "--db", db, "--owner", "carol"]) == 0
    assert capsys.readouterr().out.startswith("Nothing was used in 30 days, as ")
