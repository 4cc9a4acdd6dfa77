"""Pages of the API: ``after``, ``before``, ``limit`` and ``order``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import QueryParams

from chatkit.hosted.errors import BadRequestError
from chatkit.limits import DEFAULT_LIMITS

__all__ = ["Load", "PageRequest"]

Load = Callable[[str, str | None, int], Awaitable[list[dict[str, Any]]]]
"""Returns entries in an order (``"asc"`` or ``"desc"``), after the one with an id, and how many at most."""

_DEFAULT: Final = 20
_MOST: Final = 100
_OPPOSITE: Final = {"asc": "desc", "desc": "asc"}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is asked for.

    Attributes:
        limit: Its size at most.
        order: By the time at which the entries were made.
        after: The id of the entry after which it begins, in that order.
        before: The id of the entry before which it ends, in that order.
    """

    limit: int
    order: str
    after: str | None
    before: str | None

    @classmethod
    def of(cls, query: QueryParams) -> PageRequest:
        """Reads a query; raises BadRequestError for what cannot be asked for."""
        limit, order = query.get("limit", str(_DEFAULT)), query.get("order", "desc")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= _MOST):
            raise BadRequestError(f"'limit' is a whole number from 1 to {_MOST}.", param="limit")
        if order not in _OPPOSITE:
            raise BadRequestError("'order' is 'asc' or 'desc'.", param="order")
        return cls(int(limit), order, cursor(query, "after"), cursor(query, "before"))

    async def load(self, load: Load) -> dict[str, Any]:
        """Returns the page as the API shows it.

        With ``before`` alone it is the page that ends there; with both it begins after the one and ends before the
        other. ``has_more`` is whether the list goes on where the page ends, away from its cursor.
        """
        if self.before is not None and self.after is None:
            found = await load(_OPPOSITE[self.order], self.before, self.limit + 1)
            page = found[: self.limit][::-1]
        else:
            found = await load(self.order, self.after, self.limit + 1)
            ids = [entry["id"] for entry in found]
            if self.before in ids:
                found = found[: ids.index(self.before)]
            elif self.before is not None:
                # Raises NotFoundError where nothing is called so.
                await load(self.order, self.before, 1)
            page = found[: self.limit]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(found) > self.limit,
        }


def cursor(query: QueryParams, name: str) -> str | None:
    """Returns a text of a query, None if it is not given; raises BadRequestError for one that nothing is called."""
    text = query.get(name)
    if text is not None and (not text or "\0" in text or len(text) > DEFAULT_LIMITS.name_chars):
        raise BadRequestError(f"'{name}' names nothing.", param=name)
    return text
