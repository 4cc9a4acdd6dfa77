"""Ranks what an index has found, and makes a page of it: the same for every store with an index."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from chatkit.errors import InvalidRequestError
from chatkit.search import SearchQuery, index_words, searched_text
from chatkit.store import _records as records
from chatkit.types import FoundItem, FoundThread, SearchPage

__all__ = [
    "Candidate",
    "Ranked",
    "document_words",
    "id_of",
    "numbers_of",
    "owner_tag",
    "rank",
    "search_page",
    "title_words",
    "vector_columns",
]

_SHOWN: Final = 3
"""Items of a thread that are shown."""
_TITLE_WEIGHT: Final = 2.0
_TAG_CHARS: Final = 6
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def owner_tag(owner: str) -> str:
    """Returns what each indexed word of an owner begins with, so that a search reads no words of others.

    Two owners may have the same one: it makes searches fast, and the owner itself is compared besides.
    """
    number = int.from_bytes(hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    tag = ""
    for _ in range(_TAG_CHARS):
        number, digit = divmod(number, len(_DIGITS))
        tag += _DIGITS[digit]
    return tag


def document_words(data: str) -> str | None:
    """Returns the words of an item that are searched, None for an item that is not.

    Args:
        data: The item as JSON.
    """
    text = searched_text(json.loads(data))
    return None if text is None else index_words(text)


def title_words(data: str) -> str:
    """Returns the words of a thread's title; empty for none.

    Args:
        data: The thread as JSON.
    """
    return index_words(json.loads(data).get("title") or "")


def id_of(data: str) -> str:
    """Returns the id of a thread that is given as JSON."""
    return json.loads(data)["id"]


def vector_columns(owner: str, words: str | None) -> tuple[str | None, str | None]:
    """Returns the columns of PostgreSQL's index: the words, and as a ``tsvector`` that has each behind the owner's tag.

    Args:
        owner: Whose text it is.
        words: The words of the text; None where it is not indexed.
    """
    if words is None:
        return None, None
    tag, places = owner_tag(owner), defaultdict[str, list[int]](list)
    for place, word in enumerate(words.split(), 1):
        places[word].append(place)
    # Words hold letters, digits, marks and pictures alone: nothing that means something here.
    return words, " ".join(f"{tag}{word}:{','.join(map(str, where))}" for word, where in places.items())


class Candidate(NamedTuple):
    """A text that may answer: an item's, or the title of a thread.

    Attributes:
        thread: The number of the thread.
        thread_id: Its id.
        item: The number of the item; 0 for the title.
        words: The words of the text.
    """

    thread: int
    thread_id: str
    item: int
    words: str


@dataclass(slots=True)
class Ranked:
    """A thread that was found.

    Attributes:
        thread: Its number.
        thread_id: Its id.
        score: How well its title, or its best item, answers.
        newest: The number of that item; 0 where only the title answers.
        items: The scores of its items with their numbers, the best first.
    """

    thread: int
    thread_id: str
    score: float = 0.0
    newest: int = 0
    items: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @property
    def place(self) -> tuple[float, int, int]:
        """What the threads are ordered by: the newest come first among those that are as good."""
        return self.score, self.newest, self.thread

    def shown(self) -> list[int]:
        """Returns the numbers of the items that are shown."""
        return [item for _, item in self.items[:_SHOWN]]


def rank(
    query: SearchQuery, candidates: Iterable[Candidate], after: str | None, limit: int
) -> tuple[list[Ranked], str | None]:
    """Returns the threads of a page, the best first, and the cursor of the next page, None if this is the last.

    Args:
        query: What is searched for.
        candidates: What may answer.
        after: The cursor of the page before.
        limit: Threads of the page.

    Raises:
        InvalidRequestError: The cursor is none.
    """
    last = None if after is None else _read(after)
    threads: dict[int, Ranked] = {}
    for thread, thread_id, item, words in candidates:
        score = query.score(words)
        if not score:
            continue
        ranked = threads.setdefault(thread, Ranked(thread, thread_id))
        if item:
            ranked.items.append((score, item))
        else:
            ranked.score = _TITLE_WEIGHT * score
    for ranked in threads.values():
        ranked.items.sort(reverse=True)
        if ranked.items:
            best, ranked.newest = ranked.items[0]
            ranked.score = max(ranked.score, best)
    ordered = sorted(threads.values(), key=lambda ranked: ranked.place, reverse=True)
    start = 0 if last is None else _start_after(ordered, *last)
    page = ordered[start : start + limit]
    end = start + len(page)
    has_more = bool(page) and end < len(ordered)
    return page, f"{page[-1].score!r} {end} {page[-1].thread_id}" if has_more else None


def _read(after: str) -> tuple[float, int, str]:
    try:
        score, end, thread_id = after.split(" ", 2)
        return float(score), max(0, int(end)), thread_id
    except ValueError:
        raise InvalidRequestError("'after' must be the cursor of the page before.") from None


def _start_after(ordered: list[Ranked], score: float, end: int, thread_id: str) -> int:
    for number, ranked in enumerate(ordered):
        if ranked.thread_id == thread_id and ranked.score == score:
            return number + 1
    # The page's last thread was deleted or changed meanwhile: what came after it has moved up by one.
    return max(0, end - 1)


def numbers_of(ranked: Sequence[Ranked]) -> tuple[list[int], list[int], list[int]]:
    """Returns the numbers of a page's threads; of the items that are shown, those of their threads and their own."""
    shown = [(each.thread, number) for each in ranked for number in each.shown()]
    return [each.thread for each in ranked], [thread for thread, _ in shown], [number for _, number in shown]


def search_page(
    query: SearchQuery,
    ranked: Sequence[Ranked],
    threads: Mapping[int, str],
    items: Mapping[int, str],
    *,
    after: str | None,
    complete: bool,
) -> SearchPage:
    """Returns a page of what was found.

    Args:
        query: What was searched for.
        ranked: The threads of the page.
        threads: The threads as JSON, by their numbers; what was deleted meanwhile is missing.
        items: The items that are shown, as JSON, by their numbers.
        after: The cursor of the next page, None if this is the last.
        complete: Whether no text waits to be indexed.
    """
    found: list[FoundThread] = []
    for each in ranked:
        if each.thread not in threads:
            continue
        thread = records.load_thread(threads[each.thread])
        documents = (json.loads(items[number]) for number in each.shown() if number in items)
        shown = [item for document in documents if (item := _found_item(query, document)) is not None]
        ranges = query.ranges(thread.title or "")
        if shown or ranges:
            count = len(each.items)
            found.append(FoundThread(thread=thread, title_ranges=ranges, items=shown, item_count=count))
    return SearchPage(data=found, has_more=after is not None, after=after, complete=complete)


def _found_item(query: SearchQuery, document: dict[str, Any]) -> FoundItem | None:
    text = searched_text(document)
    snippet = None if text is None else query.snippet(text)
    if snippet is None:
        return None
    return FoundItem.model_validate(
        {
            **{name: document[name] for name in ("id", "type", "created_at")},
            "text": snippet.text,
            "ranges": snippet.ranges,
        }
    )
