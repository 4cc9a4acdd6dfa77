"""``chatkit usage``: what calls of models have used, by day, owner and model."""

from __future__ import annotations

import argparse
import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from chatkit.cli.database import describe, open_store
from chatkit.cli.options import DEFAULT_DB, add_db, count, setting
from chatkit.cli.tables import cell, print_table
from chatkit.ids import utc_now
from chatkit.store import OwnerContext, UsageKeeper
from chatkit.usage import UsageTotal

__all__ = ["DESCRIPTION", "add_options", "print_usage"]

DESCRIPTION: Final = """\
Show what calls of models have used: tokens, and what they cost by the prices of 'chatkit serve --prices'.

Days are those of UTC. Input has what came from a cache in it, output has the reasoning in it.
"""
_HEAD: Final = ("day", "owner", "group", "model", "calls", "input", "cached", "output", "reasoning", "cost")
_WORDS: Final = 4
"""Columns of texts; the others are numbers."""
_BAR: Final = "#"
_BAR_WIDTH: Final = 40


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options, and what runs with them."""
    parser.set_defaults(run=_run)
    add_db(parser, default=setting("CHATKIT_DB", DEFAULT_DB))
    parser.add_argument("--days", type=count, default=30, metavar="N", help="days back from now; default 30")
    parser.add_argument("--owner", metavar="OWNER", help="one owner's alone")


def _run(arguments: argparse.Namespace) -> int:
    return show_usage(arguments.db, arguments.days, arguments.owner)


def show_usage(db: str, days: int, owner: str | None) -> int:
    """Prints the usage of the last days, and returns the exit code.

    Args:
        db: Path of an SQLite file, or a connection string.
        days: How many, up to now.
        owner: Whose usage; None for all.
    """
    print_usage(asyncio.run(_totals(db, days, owner)), db, days)
    return 0


def print_usage(totals: list[UsageTotal], db: str, days: int, *, plot: bool = False) -> None:
    """Prints usage as a table, by day, owner, group and model; or as bars by day.

    Args:
        totals: The usage, by day.
        db: Where it is kept.
        days: How many days were asked for.
        plot: Whether to print bars.
    """
    if not totals:
        print(f"Nothing was used in {days} days, as {describe(db)} knows.")
    elif plot:
        _plot(totals)
    else:
        rows = list(map(_row, totals))
        print_table(_HEAD, [*rows, _sum(totals)] if len(rows) > 1 else rows, _HEAD[_WORDS:])
        unpriced = sum(total.unpriced for total in totals)
        if unpriced:
            print(f"{unpriced:,} calls had no price, and are not in the cost.")


def _plot(totals: list[UsageTotal]) -> None:
    """Prints a bar for each day from the first to the last: its tokens, and what they cost."""
    tokens: dict[date, int] = {}
    cost: dict[date, Decimal] = {}
    for total in totals:
        tokens[total.day] = tokens.get(total.day, 0) + total.input_tokens + total.output_tokens
        cost[total.day] = cost.get(total.day, Decimal(0)) + total.cost
    first, last, most = min(tokens), max(tokens), max(*tokens.values(), 1)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    print_table(
        ("day", "", "tokens", "cost"),
        [
            (
                day.isoformat(),
                _BAR * round(_BAR_WIDTH * tokens.get(day, 0) / most),
                f"{tokens.get(day, 0):,}",
                _money(cost.get(day, Decimal(0))),
            )
            for day in days
        ],
        ("tokens", "cost"),
    )


async def _totals(db: str, days: int, owner: str | None) -> list[UsageTotal]:
    # Both kinds of stores keep it.
    store = cast("Any", open_store(db))
    keeper: UsageKeeper[Any] = store
    now = utc_now()
    since, until = now - timedelta(days=days), now + timedelta(days=1)
    try:
        if owner is None:
            return await keeper.survey_usage(since, until)
        return await keeper.sum_usage(since, until, OwnerContext(owner))
    finally:
        await store.close()


def _row(total: UsageTotal) -> tuple[str, ...]:
    return (
        total.day.isoformat(),
        cell(total.owner),
        cell(total.group or ""),
        cell(total.model),
        f"{total.calls:,}",
        f"{total.input_tokens:,}",
        f"{total.cached_tokens:,}",
        f"{total.output_tokens:,}",
        f"{total.reasoning_tokens:,}",
        _money(total.cost),
    )


def _sum(totals: list[UsageTotal]) -> tuple[str, ...]:
    numbers = (
        sum(total.calls for total in totals),
        sum(total.input_tokens for total in totals),
        sum(total.cached_tokens for total in totals),
        sum(total.output_tokens for total in totals),
        sum(total.reasoning_tokens for total in totals),
    )
    cost = sum((total.cost for total in totals), Decimal(0))
    return ("all", "", "", "", *(f"{number:,}" for number in numbers), _money(cost))


def _money(cost: Decimal) -> str:
    return f"{cost:,.6f}"
