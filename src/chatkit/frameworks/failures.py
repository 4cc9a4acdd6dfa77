"""What went wrong where a model was asked: what the user is told of it, and what the operator's log says to do.

Errors are told apart by the names of their classes, their HTTP status and the model API's code, so that no framework
and no client of a model is imported here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

__all__ = ["Failure", "FailureKind", "find_failure", "find_missing_key"]

FailureKind: TypeAlias = Literal[
    "timeout",
    "unreachable",
    "not_set_up",
    "rate_limit",
    "quota",
    "too_long",
    "filtered",
    "steps",
    "guardrail",
    "refused",
    "failed",
]
"""Why a model did not answer. ``not_set_up``: a bad key, or no such model; ``refused``: the request is at fault."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a model did not answer.

    Attributes:
        kind: What went wrong.
        status: The HTTP status of the model's API, None if there was no answer.
        detail: The error in one line. It may have addresses and keys in it: for the log, never for the user.
    """

    kind: FailureKind
    status: int | None
    detail: str

    @property
    def text(self) -> str:
        """What the user is told: nothing of addresses or keys."""
        return _TEXTS[self.kind]

    @property
    def advice(self) -> str:
        """What the operator can do about it; empty where there is nothing to do."""
        return _ADVICE.get(self.kind, "")

    @property
    def allow_retry(self) -> bool:
        """Whether the same message may be answered when it is sent again."""
        return self.kind not in {"too_long", "filtered", "guardrail"}


_NOT_SET_UP: Final = "This chat is not set up completely: its operator has to see to that. Try again later."

_TEXTS: Final[dict[FailureKind, str]] = {
    "timeout": "The model took too long to answer. Try again.",
    "unreachable": "The model cannot be reached at the moment. Try again in a moment.",
    "not_set_up": _NOT_SET_UP,
    "rate_limit": "The model takes no more requests at the moment: a limit is reached. Try again in a moment.",
    "quota": _NOT_SET_UP,
    "too_long": "This conversation is too long for the model. Start a new one, or send less at once.",
    "filtered": "The model's content filter does not allow an answer to this. Say it in other words.",
    "steps": "The answer took more steps than it may. Ask for less at once.",
    "guardrail": "This cannot be answered here.",
    "refused": "The model refused the request. A shorter conversation may help.",
    "failed": "The model failed to answer. Try again.",
}
_ADVICE: Final[dict[FailureKind, str]] = {
    "timeout": "Is the model's server overloaded? Its client has a timeout that can be raised.",
    "unreachable": "Check that the model's server runs, and the address that its client has.",
    "not_set_up": "Check the key of the model's API (such as OPENAI_API_KEY), what it may use, and the model's name.",
    "rate_limit": "Requests or tokens a minute are used up: ask the model's provider for more, or spread the load.",
    "quota": "The account at the model's provider has no credit left: see to its billing.",
    "too_long": "Give the model less: a smaller history_items=, or override summarise().",
    "steps": "Raise the limit of steps where the agent is run, if they were useful ones.",
}

_BY_NAME: Final[tuple[tuple[FailureKind, frozenset[str]], ...]] = (
    (
        "too_long",
        frozenset({"ContextWindowExceededError", "ModelContextWindowExceededError", "ContextOverflowError"}),
    ),
    (
        "filtered",
        frozenset({"ContentFilterError", "ContentFilterFinishReasonError", "ContentPolicyViolationError"}),
    ),
    ("quota", frozenset({"ModelQuotaExceededError", "BudgetExceededError"})),
    ("rate_limit", frozenset({"RateLimitError", "ModelRateLimitError", "ConcurrencyLimitExceeded"})),
    (
        "not_set_up",
        frozenset(
            {
                "AuthenticationError",
                "ModelAuthenticationError",
                "ModelNotFoundError",
                "ModelPermissionDeniedError",
                "PermissionDeniedError",
            }
        ),
    ),
    ("steps", frozenset({"MaxTurnsExceeded", "UsageLimitExceeded", "GraphRecursionError"})),
    (
        "guardrail",
        frozenset(
            {
                "InputGuardrailTripwireTriggered",
                "OutputGuardrailTripwireTriggered",
                "ToolInputGuardrailTripwireTriggered",
                "ToolOutputGuardrailTripwireTriggered",
            }
        ),
    ),
    ("timeout", frozenset({"APITimeoutError", "ModelTimeoutError", "ModelRequestTimeout", "RunTimedOut"})),
    ("unreachable", frozenset({"APIConnectionError", "ModelConnectionError", "ModelUnavailableError"})),
)
_OF_MODELS: Final = frozenset(
    {
        "OpenAIError",
        "AnthropicError",
        "AgentsException",
        "AgentRunError",
        "ModelError",
        "OutputParserException",
    }
)
"""Bases of errors that concern a model in some way, in the clients and frameworks that there are."""
_OF_APPLICATIONS: Final = frozenset({"UserError", "NotImplementedError", "BaseStreamError"})
"""What says that the code around the agent is at fault, or was raised for the user."""
_OF_WEB_FRAMEWORKS: Final = frozenset({"django", "fastapi", "starlette", "werkzeug"})
"""Packages whose errors have a status that is none of a model's."""
_SAYS: Final[tuple[tuple[FailureKind, tuple[str, ...]], ...]] = (
    (
        "too_long",
        (
            "context_length",
            "context length",
            "context window",
            "maximum context",
            "prompt is too long",
            "too many tokens",
        ),
    ),
    (
        "filtered",
        ("content_filter", "content filter", "content_policy", "content policy", "moderation_blocked"),
    ),
    ("quota", ("insufficient_quota", "credit balance")),
)
"""What answers say where the status alone does not tell: the codes of APIs, and the words of some servers."""
_KEY: Final = re.compile(r"\b[A-Z][A-Z0-9_]*API_(?:KEY|TOKEN)\b")
"""The names of environment variables that clients of models read their key from."""
_NO_KEY: Final = "could not resolve authentication method"
"""Anthropic's client says this when no key is set, without naming the variable."""


def find_failure(error: BaseException) -> Failure | None:
    """Returns why a model did not answer; None for errors that are none of a model's.

    Args:
        error: What a run raised; its causes are looked at too.
    """
    chain = list(_chain(error))
    detail = " ".join(str(error).split()) or type(error).__name__
    names = {kind.__name__ for found in chain for kind in type(found).__mro__}
    status = next((code for found in chain if (code := _status(found)) is not None), None)
    if find_missing_key(error) is not None or _NO_KEY in detail.lower():
        return Failure("not_set_up", status, detail)
    if names & _OF_APPLICATIONS:
        return None
    if status is None and not names & (_OF_MODELS | {name for _, known in _BY_NAME for name in known}):
        return None
    words = " ".join(f"{getattr(found, 'code', '')} {found}" for found in chain).lower()
    kind = _kind_by_words(words, status) or _kind_by_name(names) or _kind_by_status(status)
    return Failure(kind, status, detail)


def find_missing_key(error: BaseException) -> str | None:
    """Returns the environment variable that an error asks for, where that is one with a key and is not set.

    Args:
        error: What making a model raised, or asking it; its causes are looked at too.
    """
    names = (name for found in _chain(error) for name in _KEY.findall(str(found)))
    return next((name for name in names if not os.environ.get(name)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: Any = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        # Of several models that were tried, the last one.
        tried: tuple[Any, ...] = getattr(found, "exceptions", ())
        found = tried[-1] if tried else found.__cause__


def _status(error: BaseException) -> int | None:
    if type(error).__module__.partition(".")[0] in _OF_WEB_FRAMEWORKS:
        return None
    status: object = getattr(error, "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _kind_by_words(words: str, status: int | None) -> FailureKind | None:
    if status is not None and status not in {400, 403, 413, 422, 429}:
        return None
    return next((kind for kind, said in _SAYS if any(word in words for word in said)), None)


def _kind_by_name(names: set[str]) -> FailureKind | None:
    return next((kind for kind, known in _BY_NAME if names & known), None)


def _kind_by_status(status: int | None) -> FailureKind:
    match status:
        case 401 | 403 | 404:
            return "not_set_up"
        case 408:
            return "timeout"
        case 413:
            return "too_long"
        case 429:
            return "rate_limit"
        case None:
            return "failed"
        case _:
            return "refused" if status < 500 else "failed"
