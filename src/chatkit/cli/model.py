"""The model that answers, from options and environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from chatkit.cli.options import CommandError, setting
from chatkit.cli.target import load
from chatkit.errors import MissingExtraError

__all__ = ["APIS", "Api", "ModelSettings", "assistant", "find_model"]

Api: TypeAlias = Literal["responses", "chat"]

APIS: Final[tuple[Api, ...]] = ("responses", "chat")
_API_NAMES: Final[dict[Api, str]] = {"responses": "Responses API", "chat": "Chat Completions"}
_OPENAI: Final = "api.openai.com"
_OPENAI_MODEL: Final = "gpt-5-mini"
_ASSISTANT: Final = "chatkit.demo.assistant"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A model and its endpoint, None for OpenAI's own; a name that is None is to be asked for there."""

    name: str | None
    api: Api
    base_url: str | None = None

    def __str__(self) -> str:
        return f"{self.name} at {self.base_url or f'https://{_OPENAI}/v1'} ({_API_NAMES[self.api]})"

    def named(self) -> ModelSettings:
        """Returns these settings with a name: the first that the endpoint lists, if there is none yet."""
        first_model: Any = _load("first_model")
        return self if self.name else replace(self, name=first_model(self.base_url))


def find_model(name: str | None, api: str | None, target: str | None) -> ModelSettings | None:
    """Returns the model that is to answer; None if there is none, or ``target`` is served instead of the assistant."""
    option = "--model" if name else "--api" if api else None
    if target is not None:
        if option:
            raise CommandError(f"{option} is for the built-in assistant; {target} chooses its model itself.")
        return None
    base_url = (setting("OPENAI_BASE_URL") or "").strip().rstrip("/") or None
    if base_url is None and setting("OPENAI_API_KEY") is None:
        if option:
            raise CommandError(f"{option} needs an endpoint: set OPENAI_API_KEY, OPENAI_BASE_URL, or both.")
        return None
    if base_url is not None:
        _check(base_url)
    at_openai = base_url is None or urlsplit(base_url).hostname == _OPENAI
    chosen = cast("Api | None", api or setting("CHATKIT_API"))
    if chosen is not None and chosen not in APIS:
        raise CommandError(f"CHATKIT_API is one of {', '.join(APIS)}, not {chosen!r}.")
    return ModelSettings(
        name=name or setting("CHATKIT_MODEL") or (_OPENAI_MODEL if at_openai else None),
        api=chosen or ("responses" if at_openai else "chat"),
        base_url=base_url,
    )


def assistant(model: ModelSettings, store: Any) -> Any:
    """Returns the built-in assistant with a model."""
    make: Any = _load("make_assistant")
    return make(store, name=model.name, api=model.api, base_url=model.base_url)


def _check(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CommandError(
            f"OPENAI_BASE_URL is the address of an API, such as http://localhost:11434/v1, not {base_url!r}."
        )


def _load(name: str) -> object:
    try:
        return load(f"{_ASSISTANT}:{name}", "TARGET")
    except MissingExtraError as error:
        raise MissingExtraError(
            "OPENAI_API_KEY or OPENAI_BASE_URL is set, so a model is to answer, and that needs another package: "
            "pip install 'chatkit-server[agents]'. The guide without a model is served by "
            "'chatkit serve chatkit.demo:GuideServer'."
        ) from error
