"""The journal of a turn, for handlers: steps that a worker which goes on with the turn does not take again.

::

    from chatkit.server import journal

    receipt = await journal.step("tool", "charge", {"cents": 500}, lambda: shop.charge(500))
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from chatkit._checks import check_annotated
from chatkit._tasks import maybe_await
from chatkit.errors import ChatKitError, StepFailedError
from chatkit.ids import new_id
from chatkit.server.turns.journal import (
    Step,
    as_json,
    fingerprint_of,
    running_step,
    turn_journal,
    type_name,
)
from chatkit.store.journal import Effect

__all__ = ["Effect", "idempotency_key", "step"]


async def step(
    kind: str,
    name: str,
    arguments: object,
    run: Callable[..., Awaitable[Any] | Any],
    *,
    effect: Effect = "once",
) -> Any:
    """Takes a step of the running turn, or returns what it returned before the turn's worker died.

    It is recorded before it runs and after it; a repeatable one of the kind ``"model"`` only after it. That is so in
    turns that may be run again (``rerun_on_crash``), over a store that keeps journals. Elsewhere, and inside another
    step, ``run`` is called, and that is all.

    Args:
        kind: What it is, such as ``"tool"`` or ``"model"``.
        name: What is called. With the arguments it tells the step from others.
        arguments: With what it is called: JSON that is the same in each attempt, so no times and no random values.
        run: Does it, and returns JSON. Of a ``"keyed"`` step it is given the idempotency key.
        effect: What it means that it runs again. ``"repeatable"``: nothing, it reads, or is idempotent. ``"keyed"``:
            nothing, for what it calls knows by the key what it has done before. ``"once"``: that it has its effect once
            more; where that cannot be ruled out, it does not run again, and the turn ends and says so.

    Returns:
        What ``run`` returned, as JSON has it: lists for tuples, for example.

    Raises:
        StepFailedError: ``run`` raised an error, in this attempt (then it is the cause) or in an earlier one: an error
            is a result. Errors of this package pass as they are, and are not recorded.
        UnsureStepError: An earlier attempt has begun the step, or one of its name after which the turn takes another
            way now. Whatever becomes of this error, the turn takes no more steps, and ends with it.
        ConfigurationError: The effect is none of these.
        InvalidResultError: What ``run`` returned, or the arguments, are no JSON.
        StaleTurnError: Another worker has taken the turn over.
    """
    check_annotated("journal.step(effect=...)", effect, Effect)
    journal, outer = turn_journal(), running_step.get()
    if outer is not None:
        taken = outer.part(fingerprint_of(kind, name, arguments))
    elif journal is not None:
        taken = await journal.begin(kind, name, arguments, effect)
    else:
        taken = Step(new_id("step"))
    if taken.replayed:
        return taken.value
    with taken.running():
        try:
            value = await maybe_await(run(taken.key) if effect == "keyed" else run())
        except ChatKitError:
            raise
        except Exception as error:
            await taken.fail(error)
            raise StepFailedError(name, type_name(error), str(error)) from error
    text = as_json(value, f"The result of the step {name}")
    await taken.end(text)
    return json.loads(text)


def idempotency_key() -> str | None:
    """Returns the idempotency key of the step that the running code belongs to; None outside of steps.

    It is the same in each attempt at the turn: tools of an agent hand it on to what they call. None, too, in tools of
    an agent that is a tool, which are all one step.
    """
    running = running_step.get()
    return None if running is None or not running.is_one_call else running.key
