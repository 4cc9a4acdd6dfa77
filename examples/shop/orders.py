"""Orders, in memory, in the place of your database. Every user has the same two, to try things with."""

from collections import defaultdict
from dataclasses import dataclass


@dataclass
class Order:
    """An order of one user."""

    number: str
    product: str
    state: str = "on its way"


def _samples() -> dict[str, Order]:
    return {"1042": Order("1042", "a teapot"), "1043": Order("1043", "six cups")}


_ORDERS: defaultdict[str, dict[str, Order]] = defaultdict(_samples)


def find(user: str, number: str) -> Order | None:
    """Returns an order of this user; None for one that is not there, or is somebody else's."""
    return _ORDERS[user].get(number)
