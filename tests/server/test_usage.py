"""What models use in turns: recorded by turn and step, priced, and within budgets over all workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chatkit.counters import Counter, MemoryCounter, RedisCounter, SQLiteCounter
from chatkit.errors import ConfigurationError, QuotaExceededError, StoreError, UnsupportedOperationError
from chatkit.ids import new_id, utc_now
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server import model_call, record_usage
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.usage import ModelPrice, Usage, UsageTotal, load_prices, read_prices
from tests.server.support import ADA, ScriptedServer, done, drain
from tests.server.test_quotas import BOB, Now
from tests.stateful.plain_store import PlainStore
from tests.support.postgres import new_database
from tests.support.scale import scaled

USED = Usage("m", input_tokens=70, cached_tokens=20, output_tokens=30, reasoning_tokens=10)
PRICES = {"m": ModelPrice("1", "10", cached="0.1")}
COST = Decimal("0.000352")


async def spends(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    async with model_call("m", input_tokens=100, output_tokens=100) as call:
        yield done("Hello.", "msg_" + message.id)
        call.usage = USED


def made(
    *quotas: Quota, store: Any = None, handler: Any = spends, unbounded: bool = False, **options: Any
) -> ScriptedServer:
    limits = Limits(quotas=quotas, unbounded_calls=unbounded)
    return ScriptedServer(
        handler,
        MemoryStore() if store is None else store,
        limits=limits,
        **{"model_prices": PRICES, **options},
    )


async def answered(server: ScriptedServer, context: Any = None) -> list[Any]:
    frames = await drain((await server.create("Hi", context)).json_events)
    return [json.loads(bytes(frame).removeprefix(b"data: ")) for frame in frames]


async def totals(store: Any, context: Any = ADA) -> list[UsageTotal]:
    now = utc_now()
    return await store.sum_usage(now - timedelta(days=2), now + timedelta(days=2), context)


async def left_of(server: ScriptedServer, quota: Quota, context: Any = ADA) -> int:
    key = f"quota:{quota.what}:{quota.seconds:g}:owner:{context['user_id']}"
    assert server.counter is not None
    return quota.units - (await server.counter.take(key, 0, window=quota.seconds)).total


async def test_usage_of_turns_is_recorded_by_owner() -> None:
    server = made()
    for context in (ADA, ADA, BOB):
        await answered(server, context)
    (total,) = await totals(server.store)
    assert (total.owner, total.model, total.calls, total.unpriced) == ("ada", "m", 2, 0)
    assert (total.input_tokens, total.cached_tokens) == (140, 40)
    assert (total.output_tokens, total.reasoning_tokens) == (60, 20)
    assert total.cost == 2 * COST
    assert [each.calls for each in await totals(server.store, BOB)] == [1]


async def test_usage_is_recorded_by_hand_and_of_what_has_no_price() -> None:
    async def by_hand(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield "Hello."
        await record_usage(Usage("m", input_tokens=1))
        await record_usage(Usage("other", output_tokens=2))

    server = made(handler=by_hand)
    await answered(server)
    found = {
        total.model: (total.input_tokens, total.output_tokens, total.unpriced)
        for total in await totals(server.store)
    }
    assert found == {"m": (1, 0, 0), "other": (0, 2, 1)}


async def test_outside_of_turns_there_is_nothing_to_record_it_with() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"record_usage\(\) is for code that a turn runs"):
        await record_usage(USED)


async def test_a_second_attempt_at_a_turn_is_not_charged_twice() -> None:
    async def twice(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield "Hello."
        # As after a crash: the steps of the turn are the same.
        for _ in range(2):
            async with model_call("m", input_tokens=100, output_tokens=100, step="1") as call:
                call.usage = USED

    quota = Quota("tokens", 1_000)
    server = made(quota, handler=twice)
    await answered(server)
    assert [total.calls for total in await totals(server.store)] == [1]
    assert await left_of(server, quota) == 900


async def test_a_ten_method_store_keeps_none_and_its_budgets_count() -> None:
    store: Any = PlainStore()
    quota = Quota("tokens", 1_000)
    server = made(quota, store=store)
    assert "Hello." in str(await answered(server))
    assert await left_of(server, quota) == 900


async def test_a_store_of_ours_that_was_changed_keeps_usage_and_counts(tmp_path: Path) -> None:
    class Changed(SQLiteStore[Any]):
        async def load_thread(self, thread_id: str, context: Any) -> Any:
            return await super().load_thread(thread_id, context)

    server = made(Quota("tokens", 1_000), store=Changed(str(tmp_path / "chat.db")))
    await answered(server)
    assert [total.calls for total in await totals(server.store)] == [1]
    assert isinstance(server.counter, SQLiteCounter)
    await server.close()


async def test_what_is_used_counts_in_the_place_of_what_was_reserved() -> None:
    tokens, cost = Quota("tokens", 350), Quota("cost", Decimal("0.01"))
    server = made(tokens, cost)
    await answered(server)
    assert await left_of(server, tokens) == 250
    assert await left_of(server, cost) == 10_000_000 - 352_000
    # The next one may need 200, the one after it as well.
    assert "Hello." in str(await answered(server))
    events = await answered(server)
    (error,) = [event for event in events if event["type"] == "error"]
    assert error["allow_retry"]
    assert error["message"] == (
        "You may use 350 tokens in a minute. Less may be left than this may need. Try again in 60 seconds."
    )
    assert await left_of(server, tokens) == 150


async def test_a_message_is_refused_before_it_is_stored_where_nothing_is_left() -> None:
    now = Now()
    server = made(Quota("tokens", 300, 3600), counter=MemoryCounter(now))
    for _ in range(2):
        await answered(server)
    server.limits = Limits(quotas=(Quota("tokens", 200, 3600),))
    with pytest.raises(QuotaExceededError) as raised:
        await server.create()
    assert (raised.value.status, raised.value.headers) == (429, {"Retry-After": "3600"})
    assert str(raised.value) == "You may use 200 tokens in an hour. Try again in 60 minutes."
    assert len((await server.store.load_threads(9, None, "asc", ADA)).data) == 2
    await answered(server, BOB)
    now.seconds += 3600
    await answered(server)


async def test_a_call_that_failed_is_given_back_and_one_that_was_cut_off_is_not() -> None:
    class Broken(Exception):
        pass

    begun = asyncio.Event()

    async def fails(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async with model_call("m", input_tokens=100, output_tokens=100):
            if message.content[0].text == "fail":
                raise Broken
            begun.set()
            yield "Hello"
            await asyncio.Event().wait()

    quota = Quota("tokens", 1_000)
    server = made(quota, handler=fails)
    await drain((await server.create("fail")).json_events)
    assert await left_of(server, quota) == 1_000
    result = await server.create("wait", metadata={"resumable": True})
    await begun.wait()
    assert await left_of(server, quota) == 800
    await server.ask("turns.stop", thread_id=result.thread_id)
    await drain(result.json_events)
    assert await left_of(server, quota) == 800
    await server.close()


@pytest.mark.parametrize(
    ("quota", "given", "says"),
    [
        (Quota("tokens", 999), {"input_tokens": 1}, "bound its output, as by max_tokens"),
        (Quota("tokens", 999), {"output_tokens": 1}, "input_limit of its price"),
        (Quota("cost", 9), {"input_tokens": 1, "output_tokens": 1}, "give its price: ChatKitServer"),
    ],
)
async def test_a_call_whose_most_is_unknown_is_refused_unless_that_is_allowed(
    quota: Quota, given: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def asks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async with model_call("unknown", **given) as call:
            yield "Hello."
            call.usage = Usage("unknown", output_tokens=2_000)

    server = made(quota, handler=asks)
    assert "Hello." not in str(await answered(server))
    assert says in caplog.text
    assert "Limits(unbounded_calls=True)" in caplog.text
    allowed = made(quota, handler=asks, unbounded=True)
    assert "Hello." in str(await answered(allowed))
    if quota.what == "tokens":
        assert await left_of(allowed, quota) == 999 - 2_000
        with pytest.raises(QuotaExceededError):
            await allowed.create()


async def test_an_input_without_a_bound_has_that_of_the_model() -> None:
    async def asks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async with model_call("m", output_tokens=10):
            yield "Hello."

    quota = Quota("tokens", 1_000)
    server = made(quota, handler=asks, model_prices={"m": {"input": 1, "output": 1, "input_limit": 400}})
    await answered(server)
    # What it has used was not told: all that it may have used counts.
    assert await left_of(server, quota) == 1_000 - 410


async def test_a_group_shares_a_budget() -> None:
    class Teams(ScriptedServer):
        def quota_group(self, context: Any) -> str | None:
            return "red"

    server = Teams(spends, MemoryStore(), limits=Limits(quotas=(Quota("tokens", 250, by="group"),)))
    await answered(server)
    events = await answered(server, BOB)
    assert "Your group may use 250 tokens in a minute." in str(events)
    (total,) = await totals(server.store)
    assert (total.group, total.cost, total.unpriced) == ("red", 0, 1)


async def test_a_turn_ends_though_nothing_can_be_kept_or_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryStore[Any]):
        async def add_usage(self, record: Any, context: Any) -> bool:
            raise StoreError("away")

    class Stuck(MemoryCounter):
        async def settle(self, *_: Any, **__: Any) -> None:
            raise StoreError("stuck")

    server = made(Quota("tokens", 1_000), store=Away(), counter=Stuck())
    events = await answered(server)
    assert [event for event in events if event["type"] == "error"] == []
    assert "could not be kept" in caplog.text
    assert "could not be settled" in caplog.text


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[tuple[Any, Counter | None]]]:
    """Three workers' stores and counters."""
    if request.param == "sqlite":
        yield [(SQLiteStore(str(tmp_path / "chat.db")), None) for _ in range(3)]
    elif request.param == "postgres":
        with new_database(request.getfixturevalue("postgres_url")) as url:
            yield [(PostgresStore(url), None) for _ in range(3)]
    else:
        url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
        yield [(MemoryStore(), RedisCounter(url, prefix=prefix)) for _ in range(3)]


async def test_answers_at_once_over_three_workers_spend_no_more_than_the_budget(
    counters: list[tuple[Any, Counter | None]],
) -> None:
    quota = Quota("tokens", 1_000, 3600)
    workers = [made(quota, store=store, counter=counter) for store, counter in counters]

    async def send(number: int) -> bool:
        try:
            return "Hello." in str(await answered(workers[number % 3]))
        except QuotaExceededError:
            return False

    taken = sum(await asyncio.gather(*(send(number) for number in range(30))))
    # 200 are reserved, 100 are used: from 5 at once up to 9 one after the other.
    assert 5 <= taken <= 9
    assert await left_of(workers[0], quota) == 1_000 - 100 * taken
    for server in workers:
        await server.close()


def test_prices_are_exact_and_rounded_up() -> None:
    price = ModelPrice(0.1, "0.2", cached=Decimal("0.0125"), reasoning=1)
    assert price.cost(Usage("m", input_tokens=3)) == Decimal("0.0000003")
    assert price.cost(Usage("m", input_tokens=3, cached_tokens=1)) == Decimal("0.000000213")
    assert price.cost(Usage("m", output_tokens=10**9, reasoning_tokens=10**9)) == 1_000
    # What does not add up costs no less than nothing.
    assert price.cost(Usage("m", cached_tokens=5, reasoning_tokens=5)) == 0
    assert price.most(10, 10) == Decimal("0.000011")


def test_prices_of_a_file(tmp_path: Path) -> None:
    toml, json_file = tmp_path / "prices.toml", tmp_path / "prices.json"
    toml.write_text(
        '["gpt-5-mini"]\ninput = 0.25\ncached = 0.025\noutput = 2\n\n["*"]\ninput = 1\noutput = 1\n'
    )
    json_file.write_text(
        '{"gpt-5-mini": {"input": 0.25, "cached": 0.025, "output": 2}, "*": {"input": 1, "output": 1}}'
    )
    assert load_prices(toml) == load_prices(json_file)
    assert load_prices(toml)["gpt-5-mini"] == ModelPrice("0.25", 2, cached="0.025")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"m": {"input": 1}}, "price of 'm' has input and output"),
        ({"m": {"input": 1, "output": 1, "ouput": 2}}, "price of 'm' has input and output"),
        ({"m": 5}, "price of 'm' has input and output"),
        ({"m": {"input": -1, "output": 1}}, "price of 'm': ModelPrice"),
        ({"m": {"input": "a", "output": 1}}, "such as 0.25, not 'a'"),
        ({"m": {"input": True, "output": 1}}, "not True"),
        ({"m": {"input": 1, "output": 1, "input_limit": 1.5}}, "input_limit"),
    ],
)
def test_what_is_no_table_of_prices(table: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_prices(table)
    with pytest.raises(ConfigurationError, match=says):
        made(model_prices=table)


@pytest.mark.parametrize("text", ["[", '{"m": ', "[1]"])
def test_a_file_that_has_no_prices(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="price"):
        load_prices(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_prices(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("what", "most", "says"),
    [
        ("cost", 1.5, "whole number or a Decimal"),
        ("cost", 9_000_001, "up to 9,000,000"),
        ("tokens", Decimal(1), "whole"),
    ],
)
def test_what_is_no_budget(what: Any, most: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Quota(what, most)


def test_budgets_as_texts() -> None:
    assert Quota.parse("cost=2.50/day") == Quota("cost", Decimal("2.5"), 86_400)
    assert Quota.parse("tokens=100000/hour") == Quota("tokens", 100_000, 3_600)
    with pytest.raises(ConfigurationError, match="whole number"):
        Quota.parse("tokens=1.5/hour")


def test_no_usage_is_negative() -> None:
    with pytest.raises(ConfigurationError, match="output_tokens"):
        Usage("m", output_tokens=-1)


async def test_a_turn_that_another_worker_runs_again_is_charged_once_for_what_was_recorded(
    tmp_path: Path,
) -> None:
    reached = asyncio.Event()

    def answers(*, stays: bool) -> Any:
        async def handler(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
            async with model_call("m", input_tokens=100, output_tokens=100) as call:
                call.usage = USED
            if stays:
                yield "Half"
                async with model_call("m", input_tokens=100, output_tokens=100):
                    reached.set()
                    await asyncio.Event().wait()
            async with model_call("m", input_tokens=100, output_tokens=100) as call:
                call.usage = USED
            yield "The whole answer."

        return handler

    class Again(ScriptedServer):
        def dump_context(self, context: Any) -> Any:
            return context

        def load_context(self, data: Any) -> Any:
            return data

        def quota_group(self, context: Any) -> str | None:
            return context["user_id"]

    quotas = (Quota("tokens", 500, 3600), Quota("running_turns", 1), Quota("running_turns", 1, by="group"))

    def worker(handler: Any) -> Again:
        store = SQLiteStore(str(tmp_path / "chat.db"))
        return Again(handler, store, limits=Limits(quotas=quotas), rerun_on_crash=1)

    first = worker(answers(stays=True))
    thread_id = (await first.create("Hi", metadata={"resumable": True})).thread_id
    await reached.wait()
    assert await left_of(first, quotas[0]) == 500 - 100 - 200
    await first.close()
    second = worker(answers(stays=False))
    async with asyncio.timeout(scaled(20)):
        while not await second.recover():
            await asyncio.sleep(0.02)
        while not [item for item in await second.items(thread_id) if "whole" in str(item)]:
            await asyncio.sleep(0.02)
        await second.drain(20)
    (total,) = await totals(second.store)
    # The first step was recorded before, and the second one, in which the first worker was cut off, was not.
    assert (total.calls, total.group) == (2, "ada")
    assert await left_of(second, quotas[0]) == 500 - 200
    await second.close()
    # Its place is free.
    await answered(second)
    await second.close()
