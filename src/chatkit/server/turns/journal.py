"""The journal of a turn: its steps are recorded, and a later attempt at the turn does not take them again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.errors import InvalidResultError, StaleTurnError, StepFailedError, StoreError, UnsureStepError
from chatkit.server.turns.resources import current_resources
from chatkit.store.base import Fence, current_fence
from chatkit.store.journal import Effect, JournalKeeper, RecordedStep, StepStatus, journal_keeper

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope
    from chatkit.streams.base import TurnInfo

__all__ = [
    "Journal",
    "Step",
    "as_json",
    "check_journal",
    "fingerprint_of",
    "keeps_journals",
    "running_step",
    "turn_journal",
    "type_name",
]

logger = logging.getLogger("chatkit.server")

_MOST_BYTES_OF_STEP: Final = 1024 * 1024
_MOST_BYTES_OF_TURN: Final = 16 * 1024 * 1024

running_step: ContextVar[Step | None] = ContextVar("chatkit_running_step", default=None)
"""The step that the running code belongs to; a step inside a step is a part of it."""


def keeps_journals(store: object) -> bool:
    """Returns whether turns over a store have journals."""
    return _keeper(store) is not None


def _keeper(store: object) -> JournalKeeper[Any] | None:
    return journal_keeper(store.store if isinstance(store, OpenAIStoreAdapter) else store)


class Step:
    """A step that was begun: it has a result from an earlier attempt, or is to be run and ended.

    Attributes:
        key: Its idempotency key, the same in each attempt at the turn.
        replayed: Whether it has a result from an earlier attempt.
        value: That result.
        is_kept: Whether its result is worth keeping; not so where it did something that a result does not tell.
        is_one_call: Whether its key stands for one call of something; not so of an agent that calls tools of its own.
    """

    def __init__(
        self,
        key: str,
        journal: Journal | None = None,
        record: RecordedStep | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.key = key
        self.replayed = False
        self.value: Any = None
        self.is_kept = True
        self.is_one_call = True
        self._journal = journal
        self._record = record
        self._is_new = is_new
        self._parts = Counter[str]()

    @contextmanager
    def running(self) -> Generator[None]:
        """Makes the code inside a part of the step."""
        entered = running_step.set(self)
        try:
            yield
        finally:
            running_step.reset(entered)

    async def end(self, text: str) -> None:
        """Records what the step returned.

        Args:
            text: It as JSON.

        Raises:
            StaleTurnError: The turn is another worker's.
        """
        await self._end(StepStatus.ENDED if self.is_kept else StepStatus.UNKEPT, text)

    async def fail(self, error: Exception) -> None:
        """Records that the step raised an error, which is its result.

        Raises:
            StaleTurnError: The turn is another worker's.
        """
        told = {"type_name": type_name(error), "message": str(error)}
        await self._end(StepStatus.FAILED, json.dumps(told))

    def part(self, fingerprint: str) -> Step:
        """Returns a step inside this one, which is not recorded by itself."""
        self._parts[fingerprint] += 1
        return Step(_key(self.key, fingerprint, self._parts[fingerprint]))

    async def _end(self, status: StepStatus, text: str) -> None:
        if self._journal is not None and self._record is not None:
            await self._journal.end(replace(self._record, status=status, result=text), is_new=self._is_new)


class Journal:
    """The journal of a turn in one attempt at it. It is used in the event loop of the turn.

    A step is told from others by its kind, its name and its arguments; of equal ones the first recorded is the first
    that is asked for. So steps may be begun side by side, in any order. The first step that was not recorded and has
    ended says that all that was recorded has been asked for: what is left then belongs to another way, and is not used.

    Args:
        scope: The turn's request.
        info: The turn.
        fence: Its right to write.
    """

    def __init__(self, scope: RequestScope, info: TurnInfo, fence: Fence | None) -> None:
        keeper = None if fence is None or not fence.token else _keeper(scope.store)
        self._fence = fence or Fence(info.id, 0)
        self._keeper = keeper
        self._scope = scope
        self._turn_id = info.id
        # Also in an attempt that is the last one here: another worker may be told of more.
        self._records = keeper is not None and info.context is not None
        self._loaded = keeper is None or info.attempt == 1
        self._loading = asyncio.Lock()
        self._recorded: dict[str, deque[RecordedStep]] = {}
        self._left: set[tuple[str, str]] = set()
        self._asked = Counter[str]()
        self._last = 0
        self._bytes = 0
        self._has_gone_on = False
        self._has_warned = False
        self.unsure: UnsureStepError | None = None

    @property
    def is_kept(self) -> bool:
        """Whether steps are recorded, or were by an earlier attempt."""
        return self._records or not self._loaded or bool(self._recorded)

    def check(self) -> None:
        """Raises UnsureStepError if a step was found of which it is not known whether it was carried out."""
        if self.unsure is not None:
            raise self.unsure

    async def begin(
        self,
        kind: str,
        name: str,
        arguments: object,
        effect: Effect,
        *,
        load: Callable[[Any], Any] = lambda value: value,
    ) -> Step:
        """Begins a step, or returns it with its result.

        Args:
            kind: What it is.
            name: What is called.
            arguments: With what, JSON.
            effect: What it means that it runs again.
            load: Makes a result from JSON; what raises a ValueError fits no more, and the step is run again.

        Raises:
            InvalidResultError: The arguments are no JSON.
            StepFailedError: It failed in an earlier attempt.
            UnsureStepError: It may have been carried out in an earlier attempt, or the turn has such a step.
            StoreError: The journal cannot be read or written; the step was not run.
        """
        self.check()
        fingerprint = fingerprint_of(kind, name, arguments)
        await self._load()
        self.check()
        if self._has_gone_on and self._recorded:
            await self._leave()
        self._asked[fingerprint] += 1
        key = _key(self._turn_id, fingerprint, self._asked[fingerprint])
        recorded = self._take(fingerprint)
        is_new = recorded is None
        if recorded is None:
            if effect == "once" and self._was_carried_out(kind, name):
                raise self._become_unsure(name)
            self._last += 1
            recorded = RecordedStep(self._last, kind, name, fingerprint, effect, StepStatus.STARTED)
        elif recorded.status is StepStatus.FAILED:
            raise StepFailedError(name, **json.loads(recorded.result))
        elif recorded.status is StepStatus.ENDED:
            step = Step(key)
            try:
                step.value, step.replayed = load(json.loads(recorded.result)), True
            except ValueError:
                if effect == "once":
                    raise self._become_unsure(name) from None
            else:
                # As a step that runs does, so that those beside it begin as they did.
                await asyncio.sleep(0)
                return step
        elif effect == "once":
            raise self._become_unsure(name)
        recorded = replace(recorded, effect=effect, status=StepStatus.STARTED, result="")
        if self._records and self._fence.token and (effect == "once" or kind != "model"):
            await self._save([recorded])
        return Step(key, self, recorded, is_new=is_new)

    async def end(self, step: RecordedStep, *, is_new: bool) -> None:
        """Records how a step ended.

        Args:
            step: The step.
            is_new: Whether no earlier attempt has begun it.
        """
        self._has_gone_on = self._has_gone_on or is_new
        if not self._records or not self._fence.token:
            return
        size = len(step.result)
        if size > _MOST_BYTES_OF_STEP or self._bytes + size > _MOST_BYTES_OF_TURN:
            step = replace(step, status=StepStatus.UNKEPT)
            self._warn(step.name, size)
        if step.status is StepStatus.UNKEPT:
            step = replace(step, result="")
        self._bytes += len(step.result)
        try:
            await self._save([step])
        except StaleTurnError:
            raise
        except StoreError as error:
            # Nothing is lost but the result: as if its worker had died before.
            log_failure(logger, f"The step {step.name} of turn {self._turn_id} could not be recorded", error)

    async def _load(self) -> None:
        if self._loaded:
            return
        async with self._loading:
            if self._loaded or self._keeper is None:
                return
            for step in await self._keeper.load_steps(self._turn_id, self._scope.context):
                self._last = step.position
                self._bytes += len(step.result)
                if step.status is not StepStatus.LEFT:
                    self._recorded.setdefault(step.fingerprint, deque()).append(step)
                elif step.effect == "once":
                    self._left.add((step.kind, step.name))
            self._loaded = True

    def _take(self, fingerprint: str) -> RecordedStep | None:
        steps = self._recorded.get(fingerprint)
        if steps is None:
            return None
        step = steps.popleft()
        if not steps:
            del self._recorded[fingerprint]
        return step

    def _was_carried_out(self, kind: str, name: str) -> bool:
        """Returns whether an earlier attempt has begun such a step with other arguments, which was not asked for."""
        return (kind, name) in self._left or any(
            (step.kind, step.name, step.effect) == (kind, name, "once") for step in self._unused()
        )

    def _unused(self) -> Iterable[RecordedStep]:
        return (step for steps in self._recorded.values() for step in steps)

    async def _leave(self) -> None:
        """Gives up what was recorded and not asked for."""
        steps = [replace(step, status=StepStatus.LEFT, result="") for step in self._unused()]
        self._recorded.clear()
        self._left.update((step.kind, step.name) for step in steps if step.effect == "once")
        logger.warning(
            "Turn %s took another way than before its worker died: %d recorded steps are not used (%s)",
            self._turn_id,
            len(steps),
            ", ".join(dict.fromkeys(step.name for step in steps)),
        )
        if self._records:
            await self._save(steps)

    def _become_unsure(self, name: str) -> UnsureStepError:
        if self.unsure is None:
            # With those that ran beside it.
            begun = (StepStatus.STARTED, StepStatus.UNKEPT)
            others = (step.name for step in self._unused() if step.effect == "once" and step.status in begun)
            self.unsure = UnsureStepError(*dict.fromkeys((name, *others)))
            logger.warning(
                "Turn %s ends: its step %s was begun by a worker that died, and it is not known whether it was carried "
                "out. It was not repeated.",
                self._turn_id,
                " and ".join(self.unsure.names),
            )
        return self.unsure

    async def _save(self, steps: list[RecordedStep]) -> None:
        if self._keeper is not None:
            await self._keeper.save_steps(self._fence, steps, self._scope.context)

    def _warn(self, name: str, size: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "The result of the step %s of turn %s, %d bytes, is too large for the journal, which takes %d of a "
                "step and %d of a turn: another worker could not go on with the turn after it.",
                name,
                self._turn_id,
                size,
                _MOST_BYTES_OF_STEP,
                _MOST_BYTES_OF_TURN,
            )


def turn_journal() -> Journal | None:
    """Returns the journal of the turn that the running code belongs to; None outside of turns."""
    resources = current_resources.get()
    if resources is None or resources.scope is None or resources.info is None:
        return None
    if resources.journal is None:
        resources.journal = Journal(resources.scope, resources.info, current_fence.get())
    return resources.journal


def check_journal(error: Exception | None = None) -> None:
    """Raises UnsureStepError if the running turn has such a step, whatever its handler made of it.

    Args:
        error: What the handler raised.
    """
    resources = current_resources.get()
    unsure = None if resources is None or resources.journal is None else resources.journal.unsure
    if unsure is not None:
        raise unsure from error


def fingerprint_of(kind: str, name: str, arguments: object) -> str:
    """Returns what equal steps have in common.

    Raises:
        InvalidResultError: The arguments are no JSON.
    """
    return _digest(as_json([kind, name, arguments], f"The arguments of the step {name}", sort=True))


def type_name(error: Exception) -> str:
    """Returns how the class of an error is called, with its module."""
    return f"{type(error).__module__}.{type(error).__qualname__}"


def as_json(value: object, what: str, *, sort: bool = False) -> str:
    """Returns a value as JSON.

    Args:
        value: The value.
        what: What it is, for the message.
        sort: Whether keys are sorted, so that equal values are equal texts.

    Raises:
        InvalidResultError: It is none.
    """
    try:
        return json.dumps(value, sort_keys=sort, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResultError(
            f"{what} must be JSON (None, bool, int, float, str, and lists and dicts of them): {error}"
        ) from error


def _key(of: str, fingerprint: str, number: int) -> str:
    return "step_" + _digest(f"{of}:{fingerprint}:{number}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
