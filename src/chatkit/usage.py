"""Usage: what calls of models have used, and what that costs by the operator's prices.

``ChatKitServer(..., model_prices={"gpt-5-mini": ModelPrice(input="0.25", cached="0.025", output="2")})``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from chatkit._checks import check_whole
from chatkit.errors import ConfigurationError

__all__ = [
    "ANY_MODEL",
    "ModelPrice",
    "PriceTable",
    "Prices",
    "Usage",
    "UsageRecord",
    "UsageTotal",
    "load_prices",
    "price_of",
    "read_prices",
]

ANY_MODEL: Final = "*"
"""In a table of prices, stands for the models that it does not name."""

_EXACT: Final = Decimal("1e-9")
"""Costs are kept to a billionth of the currency's unit, rounded up."""
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call of a model has used.

    Attributes:
        model: The model, by the name that it was called by.
        input_tokens: Tokens that it was given, those from its cache too.
        cached_tokens: Those of them that came from its cache.
        output_tokens: Tokens that it made, those of its reasoning too.
        reasoning_tokens: Those of them that were its reasoning.

    Raises:
        ConfigurationError: One of the numbers is no number of tokens.
    """

    model: str
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"):
            check_whole(f"Usage({name}=...)", getattr(self, name))

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, init=False)
class ModelPrice:
    """What a million tokens of a model cost, in the currency of your choice, which is that of all prices and budgets.

    Prices may be given as numbers or texts; a float counts as it is written, so that ``0.1`` is a tenth.

    Attributes:
        input: Of what the model is given.
        output: Of what it makes.
        cached: Of what it is given from its cache; None is the price of ``input``.
        reasoning: Of its reasoning; None is the price of ``output``.
        input_limit: The most tokens that the model can be given, such as its context window: the bound of a call whose
            input cannot be bounded by its bytes, because it has pictures or files. None says nothing.

    Raises:
        ConfigurationError: One of these is no price.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    reasoning: Decimal | None = None
    input_limit: int | None = None

    def __init__(
        self,
        input: Decimal | float | str,
        output: Decimal | float | str,
        cached: Decimal | float | str | None = None,
        reasoning: Decimal | float | str | None = None,
        input_limit: int | None = None,
    ) -> None:
        for name, value in (
            ("input", input),
            ("output", output),
            ("cached", cached),
            ("reasoning", reasoning),
        ):
            price = None if value is None and name not in {"input", "output"} else _price(name, value)
            object.__setattr__(self, name, price)
        if input_limit is not None:
            check_whole("ModelPrice(input_limit=...)", input_limit)
        object.__setattr__(self, "input_limit", input_limit)

    def cost(self, usage: Usage) -> Decimal:
        """Returns what a call cost, to a billionth, rounded up."""
        cached = self.input if self.cached is None else self.cached
        reasoning = self.output if self.reasoning is None else self.reasoning
        # What a model says of itself may not add up.
        from_cache = min(usage.cached_tokens, usage.input_tokens)
        thought = min(usage.reasoning_tokens, usage.output_tokens)
        millionths = (
            (usage.input_tokens - from_cache) * self.input
            + from_cache * cached
            + (usage.output_tokens - thought) * self.output
            + thought * reasoning
        )
        return (millionths / _MILLION).quantize(_EXACT, ROUND_CEILING)

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Returns what a call costs at most.

        Args:
            input_tokens: The most that the model is given.
            output_tokens: The most that it makes.
        """
        dearest = ModelPrice(max(self.input, self.cached or 0), max(self.output, self.reasoning or 0))
        return dearest.cost(Usage("", input_tokens, output_tokens=output_tokens))


Prices: TypeAlias = Mapping[str, ModelPrice]
"""Prices by the name of the model; ``"*"`` is for all that are not named."""

PriceTable: TypeAlias = Mapping[str, ModelPrice | Mapping[str, Any]]
"""The same as an operator may write it: a price may be a mapping, such as ``{"input": 0.25, "output": 2}``."""


def price_of(prices: Prices | None, model: str) -> ModelPrice | None:
    """Returns the price of a model, None if it has none.

    Args:
        prices: The table.
        model: The name by which it is called.
    """
    return None if prices is None else prices.get(model) or prices.get(ANY_MODEL)


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one step of a turn has used, as a store keeps it for the owner.

    Attributes:
        turn_id: The turn, or what stands for one where a model was called outside of any.
        step: The step of the turn; what is recorded of a step twice counts once.
        thread_id: The turn's thread, empty outside of any.
        group: The owner's group, as ``ChatKitServer.quota_group`` said; None for none.
        usage: What was used.
        cost: What that cost, to a billionth; None where the model had no price.
        created_at: When it was recorded.
    """

    turn_id: str
    step: str
    thread_id: str
    group: str | None
    usage: Usage
    cost: Decimal | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What the calls of one owner, group and model have used in a day.

    Attributes:
        owner: The owner.
        group: The group that the owner was in, if any.
        model: The model.
        day: The day, by UTC.
        calls: How many there were.
        input_tokens: As in :class:`Usage`, and so are the next three.
        cached_tokens: Of ``input_tokens``.
        output_tokens: What the model made.
        reasoning_tokens: Of ``output_tokens``.
        cost: What those calls cost that had a price.
        unpriced: How many had none.
    """

    owner: str
    group: str | None
    model: str
    day: date
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal
    unpriced: int


def read_prices(table: PriceTable) -> dict[str, ModelPrice]:
    """Returns the prices of a table.

    Raises:
        ConfigurationError: It is no such table; the message names the model.
    """
    names = [field.name for field in fields(ModelPrice)]
    prices: dict[str, ModelPrice] = {}
    for model, entry in table.items():
        if isinstance(entry, ModelPrice):
            prices[model] = entry
            continue
        given: Any = entry if isinstance(cast("object", entry), Mapping) else {}
        if not {"input", "output"} <= given.keys() <= set(names):
            raise ConfigurationError(
                f"The price of {model!r} has input and output, and may have cached, reasoning and input_limit; "
                f"it is {entry!r}."
            )
        try:
            prices[model] = ModelPrice(**given)
        except ConfigurationError as error:
            raise ConfigurationError(f"The price of {model!r}: {error}") from None
    return prices


def load_prices(path: str | PathLike[str]) -> dict[str, ModelPrice]:
    """Returns the prices of a file: TOML, or JSON where its name ends with ``.json``.

    Raises:
        ConfigurationError: It cannot be read, or is no table of prices.
    """
    try:
        text = Path(path).read_text("utf-8")
        if str(path).endswith(".json"):
            table = json.loads(text, parse_float=Decimal)
        else:
            table = tomllib.loads(text, parse_float=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"The prices in {path} cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path} is no table of prices by model.")
    return read_prices(cast("dict[str, Any]", table))


def _price(name: str, value: Any) -> Decimal:
    try:
        price = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        price = Decimal("nan")
    if not price.is_finite() or not 0 <= price <= _MILLION:
        raise ConfigurationError(
            f"ModelPrice({name}=...) is a price for a million tokens, such as 0.25, not {value!r}."
        )
    return price
