"""The store contract: threads are found by their titles and messages, and by nothing that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from chatkit.errors import ChatKitError, InvalidRequestError
from chatkit.store.acceptance import Acceptance, AcceptingStore, ItemChange, TurnWrites
from chatkit.store.base import Store
from chatkit.store.search import ThreadSearch, can_search
from chatkit.testing._store_base import StoreContractBase, raises
from chatkit.testing._store_samples import AWKWARD_TEXT, message, user_message
from chatkit.types import HiddenContextItem, SearchPage, ThreadMetadata

__all__ = ["SearchContract"]

_LONG = 600.0
_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "Das Caf\u00e9 in K\u00d6LN hat ge\u00f6ffnet, Stra\u00dfe frei": (
        "cafe",
        "CAFE\u0301",
        "koln",
        "stra\u00dfe",
        "STRASSE",
    ),
    "\u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f \u0643\u062a\u0628 \u0631\u0633\u0627\u0644\u0629": (
        "\u0645\u062d\u0645\u062f",
        "\u0631\u0633\u0627",
    ),
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05dc\u05db\u05d5\u05dc\u05dd": (
        "\u05e9\u05dc\u05d5\u05dd",
    ),
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed": (
        "\u5929\u6c14",
        "\u516c\u56ed",
        "\u5929\u6c14\u5f88\u597d",
        "\u516c",
    ),
    "\u30c6\u30ec\u30d3\u3092\u898b\u308b": (
        "\u30c6\u30ec\u30d3",
        "\uff83\uff9a\uff8b\uff9e",
        "\u898b\u308b",
    ),
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a": (
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
        "\u0e04\u0e23\u0e31\u0e1a",
    ),
    "\uc548\ub155\ud558\uc138\uc694 \uc5ec\ub7ec\ubd84": ("\uc548\ub155", "\uc5ec\ub7ec\ubd84"),
    "The party \U0001f389 is on, don't be late: my_file_name.txt": (
        "\U0001f389",
        "don't",
        "my_file",
        "file name",
        "my_file_name.txt",
        "LATE",
    ),
    "\u092e\u0947\u0930\u093e \u0928\u093e\u092e": ("\u0928\u093e\u092e",),
}
_HOSTILE = (
    *(
        '"',
        '""',
        "'",
        "*",
        '"*',
        "a* OR b*",
        "NEAR(a b)",
        "a:b",
        "-hello",
        "hello)",
        "(",
        "^hello",
        "{hello}",
    ),
    *("hello' OR '1'='1", "hello & !world | (", "<->", "\\", "\x00", "hello\x00", "\ud800", "hello:*", ":A"),
    *(
        "%",
        "_",
        "\u0301",
        "\u200d",
        "\ufe0f",
        "; DROP TABLE items; --",
        "a" * 5_000,
        '"a ' * 500,
        "\U0001f468\u200d\U0001f469",
    ),
)


class SearchContract(StoreContractBase):
    """Tests of a :class:`chatkit.store.ThreadSearch`, for stores with ``searches_threads``."""

    async def _found(self, store: Store[Any], query: str, context: Any = None, **more: Any) -> SearchPage:
        assert can_search(store)
        asked: dict[str, Any] = {"limit": 20, "after": None, **more}
        return await store.search_threads(
            query, asked["limit"], asked["after"], self.alice if context is None else context
        )

    async def _ids(self, store: Store[Any], query: str, context: Any = None) -> list[str]:
        """Returns the ids of the items that are found, each with its thread's; of a title the thread's alone."""
        page = await self._found(store, query, context)
        return [name for each in page.data for name in ([item.id for item in each.items] or [each.thread.id])]

    def test_titles_and_messages_are_found_with_the_place_of_what_was_sought(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            assert [can_search(store)] == [True]
            thread = await self.thread(
                store, [user_message("u"), message("m", "A *walk*\nin Berlin, by the river")]
            )
            await store.save_thread_fields(thread.id, {"title": "Plans for Berlin"}, self.alice)
            page = await self._found(store, "berl")
            (found,) = page.data
            assert (found.thread.id, found.thread.title) == (thread.id, "Plans for Berlin")
            assert (found.title_ranges, found.item_count) == ([(10, 16)], 1)
            (item,) = found.items
            assert (item.id, item.type) == ("m", "assistant_message")
            assert [item.text[start:end] for start, end in item.ranges] == ["Berlin"]
            assert (page.has_more, page.after, page.complete) == (False, None, True)
            # A title alone.
            (found,) = (await self._found(store, "plans")).data
            assert (found.items, found.title_ranges) == ([], [(0, 5)])

        self.run(scenario)

    def test_words_must_all_be_there_and_those_in_quotation_marks_in_a_row(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            texts = {
                "one": "the red house",
                "two": "a house, red and old",
                "three": "the red car has housing",
            }
            await self.thread(store, [message(name, text) for name, text in texts.items()])
            assert set(await self._ids(store, "red house")) == {"one", "two"}
            assert set(await self._ids(store, "red hous")) == {"one", "two", "three"}
            assert set(await self._ids(store, "hous* red")) == {"one", "two", "three"}
            assert await self._ids(store, '"red house"') == ["one"]
            assert await self._ids(store, '"red hou') == ["one"]
            assert await self._ids(store, '"red hou"') == []
            assert await self._ids(store, "red boat") == []
            # Letters that begin a word, from three on; fewer are a word.
            assert await self._ids(store, "ca") == []
            assert await self._ids(store, "car") == ["three"]
            assert await self._ids(store, "a") == ["two"]
            for nothing in ("", "   ", "?!", '"'):
                assert (await self._found(store, nothing)).data == []

        self.run(scenario)

    def test_case_accents_and_scripts(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            await self.thread(store, [message(f"m{number}", text) for number, text in enumerate(_LANGUAGES)])
            for number, queries in enumerate(_LANGUAGES.values()):
                for query in queries:
                    assert f"m{number}" in await self._ids(store, query), query

        self.run(scenario)

    def test_no_query_and_no_text_is_wrong(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            long = "word " * 30_000
            texts = [
                AWKWARD_TEXT,
                "hello world",
                "x" * 100_000,
                "\u4f60" * 50_000,
                long,
                "\U0001f600" * 9_000,
            ]
            await self.thread(store, [message(f"m{number}", text) for number, text in enumerate(texts)])
            for query in _HOSTILE:
                page = await self._found(store, query)
                assert len(page.data) <= 1
            assert await self._ids(store, "hello") == ["m1"]
            assert await self._ids(store, "x" * 500) == ["m2"]
            assert await self._ids(store, "\u6f22\u5b57") == ["m0"]

        self.run(scenario)

    def test_the_best_comes_first_and_the_newest_of_those_that_are_as_good(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            texts = [
                "a long talk about anything, " * 9 + "tea",
                "tea",
                "tea tea tea",
                "tea",
                "Tea time",
            ]
            threads = [await self.thread(store, [message("m", text)]) for text in texts[:-1]]
            titled = await self.thread(store)
            await store.save_thread_fields(titled.id, {"title": texts[-1]}, self.alice)
            found = [each.thread.id for each in (await self._found(store, "tea")).data]
            first, second, third, fourth = (thread.id for thread in threads)
            assert found == [titled.id, third, fourth, second, first]
            # Three of the items of a thread are shown, and all are counted.
            many = await self.thread(store, [message(f"m{number}", "coffee") for number in range(5)])
            ((coffee),) = (await self._found(store, "coffee")).data
            assert (coffee.thread.id, coffee.item_count) == (many.id, 5)
            assert [item.id for item in coffee.items] == ["m4", "m3", "m2"]

        self.run(scenario)

    def test_pages_follow_one_another(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            threads = [(await self.thread(store, [message("m", "tea " * (1 + n % 3))])).id for n in range(7)]
            found: list[str] = []
            after, pages = None, 0
            while pages == 0 or after is not None:
                page = await self._found(store, "tea", limit=3, after=after)
                found += [each.thread.id for each in page.data]
                after, pages = page.after, pages + 1
                assert page.has_more == (after is not None)
                if pages == 1:
                    # The last of a page may go before the next one is asked for.
                    await store.delete_thread(found[-1], self.alice)
            assert (len(found), pages, set(found)) == (len(set(found)), 3, set(threads))
            for cursor in ("", "x", "1.5", "nan 1 thr", "\x00", "1e999 -1 thr", "1 1 "):
                with suppress(InvalidRequestError):
                    await self._found(store, "tea", after=cursor)
            await raises(InvalidRequestError, self._found(store, "tea", after="no cursor"))

        self.run(scenario)

    def test_others_find_nothing_of_it(self) -> None:
        self.need("searches_threads")
        self.need("isolates_owners")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("m", "secret plans")])
            await store.save_thread_fields(thread.id, {"title": "secret"}, self.alice)
            # The same id is another thread of his.
            await store.save_thread(ThreadMetadata(id=thread.id, title="open"), self.bob)
            await store.add_thread_item(thread.id, message("m", "open plans"), self.bob)
            assert await self._ids(store, "secret", self.bob) == []
            assert await self._ids(store, "plans", self.bob) == ["m"]
            (found,) = (await self._found(store, "plans", self.bob)).data
            assert (found.thread.title, found.items[0].text) == ("open", "open plans")
            assert await self._ids(store, "open") == []

        self.run(scenario)

    def test_hidden_items_are_not_found(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("m", "visible word"), message("n", "becomes hidden")])
            hidden = HiddenContextItem(id="h", thread_id=thread.id, content="hidden word")
            await store.add_thread_item(thread.id, hidden, self.alice)
            assert await self._ids(store, "word") == ["m"]
            await store.save_item(thread.id, hidden.model_copy(update={"id": "n"}), self.alice)
            assert await self._ids(store, "becomes") == []
            assert await self._ids(store, "hidden") == []

        self.run(scenario)

    def test_what_is_changed_or_deleted_is_found_as_it_is_now(self) -> None:
        self.need("searches_threads")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(
                store, [message(name, f"{name} apple") for name in ("one", "two", "three")]
            )
            await store.save_thread_fields(thread.id, {"title": "First title"}, self.alice)
            await store.save_item(thread.id, message("one", "one pear"), self.alice)
            assert set(await self._ids(store, "apple")) == {"two", "three"}
            assert await self._ids(store, "pear") == ["one"]
            await store.put_thread_item(thread.id, message("two", "two plums"), self.alice)
            await store.put_thread_item(thread.id, message("four", "four plums"), self.alice)
            assert set(await self._ids(store, "plum")) == {"two", "four"}
            before = await store.load_item(thread.id, "two", self.alice)
            await store.save_item_if_unchanged(thread.id, before, message("two", "two figs"), self.alice)
            assert await self._ids(store, "figs") == ["two"]
            await store.save_thread_fields(thread.id, {"title": "Second"}, self.alice)
            assert await self._ids(store, "first") == []
            assert await self._ids(store, "second") == [thread.id]
            await store.save_thread_fields(thread.id, {"title": None}, self.alice)
            assert await self._ids(store, "second") == []
            await store.delete_thread_item(thread.id, "three", self.alice)
            assert await self._ids(store, "apple") == []
            await store.delete_items_after(thread.id, "one", self.alice)
            assert await self._ids(store, "figs") == []
            assert await self._ids(store, "pear") == ["one"]
            await store.delete_thread(thread.id, self.alice)
            assert await self._ids(store, "pear") == []
            # Nothing is left to be done, and what is there may be rewritten.
            assert isinstance(store, ThreadSearch)
            assert not await store.index_waiting(100)
            await store.purge_index()

        self.run(scenario)

    def test_messages_of_turns_are_found_once_they_are_in_the_thread(self) -> None:
        self.need("searches_threads")
        self.need("accepts_turns")

        async def scenario(given: Store[Any]) -> None:
            store: AcceptingStore[Any] = given  # pyright: ignore[reportAssignmentType] -- the attribute says so

            def said(name: str, text: str) -> Any:
                item = user_message(name, "thr")
                part = item.content[0].model_copy(update={"text": text})
                return item.model_copy(update={"content": [part], "attachments": []})

            first = Acceptance(
                "t1",
                "thr",
                _LONG,
                TurnWrites(ThreadMetadata(id="thr", title="Named"), said("u1", "first")),
                "u1",
            )
            accepted = await store.accept_turn(first, self.alice)
            assert await self._ids(store, "first") == ["u1"]
            assert await self._ids(store, "named") == ["thr"]
            waiting = Acceptance(
                "t2", "thr", _LONG, TurnWrites(message=said("u2", "waiting")), "u2", policy="enqueue"
            )
            second = await store.accept_turn(waiting, self.alice)
            assert await self._ids(store, "waiting") == []
            await store.finish_turn("t1", accepted.token, "completed", self.alice)
            await store.begin_waiting_turn("t2", second.token, self.alice)
            assert await self._ids(store, "waiting") == ["u2"]
            # Taken back, and answered again.
            third = Acceptance("t3", "thr", _LONG, TurnWrites(message=said("u3", "withdrawn")), "u3")
            taken = await store.accept_turn(third, self.alice)
            assert await self._ids(store, "withdrawn") == ["u3"]
            await store.withdraw_turn(third, taken.token, self.alice)
            assert await self._ids(store, "withdrawn") == []
            changed = ItemChange(await store.load_item("thr", "u1", self.alice), said("u1", "changed"))
            writes = TurnWrites(delete_after="u1", change=changed)
            await store.accept_turn(Acceptance("t4", "thr", _LONG, writes), self.alice)
            assert await self._ids(store, "waiting") == []
            assert await self._ids(store, "first") == []
            assert await self._ids(store, "changed") == ["u1"]

        self.run(scenario)

    def test_a_write_that_fails_leaves_nothing_in_the_index(self) -> None:
        self.need("searches_threads")
        self.need("rejects_duplicate_ids")

        async def scenario(store: Store[Any]) -> None:
            thread = await self.thread(store, [message("m", "kept text")])
            for attempt in (
                store.add_thread_item(thread.id, message("m", "refused text"), self.alice),
                store.add_thread_item("thr_none", message("n", "refused text"), self.alice),
            ):
                await raises(ChatKitError, attempt)
            assert await self._ids(store, "refused") == []
            assert await self._ids(store, "text") == ["m"]

        self.run(scenario)
