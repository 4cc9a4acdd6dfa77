"""What the models of a turn use: it is reserved of the owner's budgets, recorded in the store, and settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.errors import ChatKitError, ConfigurationError, UnsupportedOperationError
from chatkit.ids import utc_now
from chatkit.quotas import BUDGETS, Use, cost_units
from chatkit.server.turns.budgets import Reserved, count_used, reserve
from chatkit.server.turns.journal import running_step
from chatkit.server.turns.renewal import LEASE_SECONDS, Renewal
from chatkit.server.turns.resources import TurnResources, current_resources
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.usage import Usage, UsageRecord

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = [
    "ModelCall",
    "TurnUsage",
    "bounded_files",
    "model_call",
    "record_usage",
    "turn_usage",
    "usage_keeper",
]

logger = logging.getLogger("chatkit.server")


class ModelCall:
    """A call of a model that runs.

    Attributes:
        model: The model.
        step: The step of the turn that it is.
        usage: What it has used, once that is known.
        reserved: What is reserved for it.
        ends_itself: Whether its caller sees to it that it ends; others end with their turn at the latest.
    """

    def __init__(self, model: str, step: str, reserved: list[Reserved]) -> None:
        self.model = model
        self.step = step
        self.usage: Usage | None = None
        self.reserved = reserved
        self.ends_itself = False


class TurnUsage:
    """The usage of one turn.

    Args:
        scope: The turn's request.
        turn_id: The turn.
        thread_id: Its thread.

    Attributes:
        served: Whether the server of an agent sees to each call of its models, so that nothing else records them.
    """

    def __init__(self, scope: RequestScope, turn_id: str, thread_id: str) -> None:
        self._scope = scope
        self._turn_id = turn_id
        self._thread_id = thread_id
        self.served = False
        self._steps = 0
        self._running: list[ModelCall] = []
        self._renewal = Renewal(scope.counter) if scope.counter is not None and self.bounded else None

    @property
    def bounded(self) -> bool:
        """Whether there are budgets."""
        return self._scope.counter is not None and any(
            quota.what in BUDGETS for quota in self._scope.limits.quotas
        )

    @property
    def kept(self) -> bool:
        """Whether usage matters: the store keeps it, or there are budgets."""
        return usage_keeper(self._scope.store) is not None or self.bounded

    async def begin(
        self,
        model: str,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        step: str | None = None,
    ) -> ModelCall:
        """Reserves what a call of a model uses at most; :meth:`end` settles it.

        Args:
            model: The model.
            input_tokens: The most tokens that it is given; None where its bytes do not tell.
            output_tokens: The most tokens that it may make; None where nothing bounds them.
            step: The step of the turn that it is, such as ``"title"``; by default its number.

        Raises:
            QuotaExceededError: A budget has not as much left.
            ConfigurationError: It is not known what the call uses at most.
            StoreUnavailableError: The counter cannot be reached.
        """
        step = self._step(step)
        scope = self._scope
        if scope.counter is None or self._renewal is None:
            return ModelCall(model, step, [])
        most = self._most(model, input_tokens, output_tokens)
        reserved = await reserve(
            scope.limits.quotas,
            scope.counter,
            most,
            scope.quota_owners(),
            name=self._name(step),
            lease=LEASE_SECONDS,
        )
        call = ModelCall(model, step, reserved)
        self._running.append(call)
        self._renewal.hold([each.key for each in reserved], self._name(step))
        return call

    async def end(self, call: ModelCall, *, failed: bool = False) -> None:
        """Records what a call has used, and settles what was reserved for it; does so once.

        Where it is not known what it has used, all that was reserved counts, or nothing if the call failed or the
        process ends.

        Args:
            call: The call, with its ``usage``.
            failed: Whether the model did not answer.
        """
        with suppress(ValueError):
            self._running.remove(call)
        reserved, call.reserved = call.reserved, []
        usage, call.usage = call.usage, None
        # What the end of the process cuts off may be done again by another one, which pays for it then.
        free = failed or self._scope.turns.shutting_down
        used: Mapping[Use, int] | None = {"tokens": 0, "cost": 0} if free else None
        if usage is not None:
            used = await self._record(usage, call.step)
        counter = self._scope.counter
        if counter is None or self._renewal is None:
            return
        self._renewal.let_go([each.key for each in reserved], self._name(call.step))
        for each in reserved:
            amount = each.amount if used is None else used[each.what]
            try:
                await each.settle(counter, self._name(call.step), amount)
            except ChatKitError as error:
                log_failure(logger, f"What turn {self._turn_id} has used could not be settled", error)

    async def record_again(self, usage: Usage | None) -> None:
        """Records what a call of an earlier attempt has used, unless that attempt has: it may have died before.

        Args:
            usage: What was used; None where that is not known.
        """
        if usage is None or usage_keeper(self._scope.store) is None:
            # What is not kept could be counted twice.
            self._steps += 1
        else:
            await self.record(usage)

    async def record(self, usage: Usage, step: str | None = None) -> None:
        """Records what a call has used that nothing was reserved for, and counts it.

        Args:
            usage: What was used.
            step: The step of the turn that it was; by default its number.
        """
        scope, used = self._scope, await self._record(usage, self._step(step))
        if scope.counter is None or not self.bounded:
            return
        try:
            await count_used(scope.limits.quotas, scope.counter, used, scope.quota_owners())
        except ChatKitError as error:
            log_failure(logger, f"What turn {self._turn_id} has used could not be counted", error)

    async def close(self, *, failed: bool = False) -> None:
        """Ends calls that were cut off, at the end of the turn.

        Args:
            failed: Whether that was because a model did not answer.
        """
        for call in [call for call in self._running if not call.ends_itself]:
            await self.end(call, failed=failed)

    def _step(self, step: str | None) -> str:
        if step is not None:
            return step
        taken = running_step.get()
        if taken is not None:
            # Another attempt may have its result without running it: the numbers of other calls stay as they are.
            return taken.part("usage").key
        self._steps += 1
        return str(self._steps)

    def _name(self, step: str) -> str:
        # Another attempt at the turn takes the same name, so that what its first one reserved is not in its way.
        return f"{self._turn_id}:{step}"

    def _most(self, model: str, input_tokens: int | None, output_tokens: int | None) -> dict[Use, int]:
        limits = self._scope.limits
        price = self._scope.price_of(model)
        limit = None if price is None else price.input_limit
        if input_tokens is None or (limit is not None and limit < input_tokens):
            input_tokens = limit
        remedies: list[str] = []
        if output_tokens is None:
            remedies.append("bound its output, as by max_tokens of the model's settings")
        if input_tokens is None:
            remedies.append(
                "give the most that it takes, input_limit of its price, for it gets more than text, or tools that run "
                "at the provider"
            )
        if price is None and any(quota.what == "cost" for quota in limits.quotas):
            remedies.append("give its price: ChatKitServer(model_prices=...), chatkit serve --prices")
        if not remedies and input_tokens is not None and output_tokens is not None:
            cost = 0 if price is None else cost_units(price.most(input_tokens, output_tokens))
            return {"tokens": input_tokens + output_tokens, "cost": cost}
        if not limits.unbounded_calls:
            raise ConfigurationError(
                f"There are budgets, and it is not known what a call of the model {model!r} uses at most: "
                f"{', and '.join(remedies)}. Limits(unbounded_calls=True) lets such calls be made, and counts them "
                "after."
            )
        # Something, so that none is begun of which nothing is left.
        return {"tokens": 1, "cost": 1}

    async def _record(self, usage: Usage, step: str) -> dict[Use, int]:
        """Keeps usage, and returns what is to be counted: nothing where an earlier attempt has recorded that step."""
        scope = self._scope
        price = scope.price_of(usage.model)
        cost = None if price is None else price.cost(usage)
        keeper = usage_keeper(scope.store)
        if keeper is not None:
            try:
                record = UsageRecord(
                    self._turn_id, step, self._thread_id, scope.group(), usage, cost, utc_now()
                )
                if not await keeper.add_usage(record, scope.context):
                    return {"tokens": 0, "cost": 0}
            except Exception as error:  # noqa: BLE001 -- it is logged
                log_failure(logger, f"What turn {self._turn_id} has used could not be kept", error)
        return {"tokens": usage.tokens, "cost": 0 if cost is None else cost_units(cost)}


def usage_keeper(store: object) -> UsageKeeper[Any] | None:
    """Returns what keeps usage: a store, or the one that an adapter is around; None if neither does."""
    inner: object = cast("Any", store).store if isinstance(store, OpenAIStoreAdapter) else store
    return cast("UsageKeeper[Any]", inner) if isinstance(inner, UsageKeeper) else None


def bounded_files(store: object) -> BoundedFiles[Any] | None:
    """Returns what bounds files: a store, or the one that an adapter is around; None if neither does."""
    inner: object = cast("Any", store).store if isinstance(store, OpenAIStoreAdapter) else store
    if not isinstance(inner, BoundedFiles):
        return None
    # A store whose application saves records in a way of its own keeps doing that.
    saves: Any = getattr(type(cast("object", inner)), "save_attachment", None)
    is_ours = str(getattr(saves, "__module__", "")).startswith("chatkit.")
    return cast("BoundedFiles[Any]", inner) if is_ours else None


def turn_usage() -> TurnUsage | None:
    """Returns the usage of the turn that the running code belongs to; None outside of turns."""
    resources = current_resources.get()
    return None if resources is None else _of(resources)


def _of(resources: TurnResources) -> TurnUsage | None:
    scope, info = resources.scope, resources.info
    if resources.usage is None and scope is not None and info is not None:
        resources.usage = TurnUsage(scope, info.id, info.thread_id)
        resources.add(resources.usage, resources.usage.close)
    return resources.usage


async def record_usage(usage: Usage, *, step: str | None = None) -> None:
    """Records what a model has used in the running turn, for handlers and tools that call one by themselves.

    It is kept by the stores of this package, and counted against budgets of the owner. The servers of agents do so by
    themselves.

    Args:
        usage: What was used.
        step: The step of the turn that it was, by default its number: recorded again, as by another attempt at the
            turn after a crash, a step counts once.

    Raises:
        UnsupportedOperationError: No turn runs here.
    """
    await _running_turn("record_usage()").record(usage, step)


@asynccontextmanager
async def model_call(
    model: str, *, input_tokens: int | None = None, output_tokens: int | None = None, step: str | None = None
) -> AsyncGenerator[ModelCall]:
    """Is entered around a call of a model in the running turn: reserves the most that it uses of the owner's budgets.

    Set ``usage`` of what it yields before the block ends; it is recorded then, and counted in the place of what was
    reserved. Where it stays unset all that was reserved counts, and where the block raises an error nothing.

    Args:
        model: The model.
        input_tokens: The most tokens that it is given: the bytes of its input as JSON are never fewer.
        output_tokens: The most tokens that it may make, as it was told.
        step: As in :func:`record_usage`.

    Raises:
        QuotaExceededError: A budget has not as much left; the user is told.
        ConfigurationError: There are budgets, and it is not known what the call uses at most.
        UnsupportedOperationError: No turn runs here.
    """
    turn = _running_turn("model_call()")
    call = await turn.begin(model, input_tokens=input_tokens, output_tokens=output_tokens, step=step)
    call.ends_itself = True
    failed = True
    try:
        yield call
        failed = False
    except (asyncio.CancelledError, GeneratorExit):
        # The model has answered in part, and nobody knows how much that cost.
        failed = False
        raise
    finally:
        await turn.end(call, failed=failed)


def _running_turn(name: str) -> TurnUsage:
    turn = turn_usage()
    if turn is None:
        raise UnsupportedOperationError(f"{name} is for code that a turn runs: respond(), action(), tools.")
    return turn
