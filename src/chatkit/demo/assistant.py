"""The built-in assistant with a model: what ``chatkit serve`` answers with when it finds one."""

from __future__ import annotations

import os
from typing import Any, Final, Literal

from chatkit.agents import AgentServer
from chatkit.errors import ConfigurationError
from chatkit.frameworks import AgentTurn, Failure
from chatkit.store import Store

# After chatkit.agents, which says how to install what is missing here.
import openai  # isort: skip
from agents import (  # isort: skip
    Agent,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
)

__all__ = ["AssistantServer", "ModelEndpoint", "first_model", "make_assistant"]

_LIST_SECONDS: Final = 5.0
_PLACEHOLDER_KEY: Final = "none"
"""What endpoints get that want no key; the client insists on one."""

_ASSISTANT: Final = Agent[Any](
    name="Assistant",
    instructions="You are a helpful assistant. Answer in the user's language. You may use Markdown.",
    # None of the SDK's own, which are for its default model; other models refuse some.
    model_settings=ModelSettings(),
)


class ModelEndpoint:
    """A model with an API of OpenAI's kind; the key is that of ``OPENAI_API_KEY``.

    Args:
        name: The model's name there.
        api: Which API is spoken: the Responses API or Chat Completions.
        base_url: Its address with the version, such as ``http://localhost:11434/v1``; None is OpenAI's own.
    """

    def __init__(self, name: str, api: Literal["responses", "chat"], base_url: str | None = None) -> None:
        self._name = name
        self._api = api
        self._base_url = base_url
        self._client: openai.AsyncOpenAI | None = None

    def model(self) -> Model:
        """Returns the model."""
        if self._client is None:
            self._client = openai.AsyncOpenAI(api_key=_key(), base_url=self._base_url)
        kind = OpenAIResponsesModel if self._api == "responses" else OpenAIChatCompletionsModel
        return kind(self._name, self._client)

    async def close(self) -> None:
        """Closes the connections; the model can be used again afterwards, by new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class AssistantServer(AgentServer[Any]):
    """Answers with a model, and gives new threads a title.

    Args:
        store: Keeps the threads.
        model: The model, or the endpoint at which it is.
        options: Passed on to ``AgentServer``.
    """

    def __init__(self, store: Store[Any], model: Model | ModelEndpoint, **options: Any) -> None:
        super().__init__(_ASSISTANT, store, **options)
        self._model = model

    def make_run_config(self, turn: AgentTurn[Any]) -> RunConfig:
        """Returns a configuration with the server's model; nothing is traced."""
        model = self._model.model() if isinstance(self._model, ModelEndpoint) else self._model
        return RunConfig(model=model, tracing_disabled=True)

    def failure_text(self, failure: Failure) -> str:
        """Returns what went wrong, to somebody who runs this server on their own machine."""
        match failure.kind:
            case "unreachable":
                return (
                    "The model cannot be reached. Check that it runs and that OPENAI_BASE_URL is right, then try "
                    "again."
                )
            case "not_set_up" if failure.status == 404:
                return "There is no such model at the endpoint. Check --model and OPENAI_BASE_URL, then try again."
            case "not_set_up":
                return "The model refused the server's key. Check OPENAI_API_KEY, then try again."
            case "quota":
                return "The account of the server's key has no credit left. See to it, then try again."
            case "refused":
                return "The model refused the request; the server's log says why. A shorter conversation may help."
            case _:
                return failure.text

    async def close(self) -> None:
        """Shuts down and closes the store."""
        await super().close()
        if isinstance(self._model, ModelEndpoint):
            await self._model.close()


def make_assistant(
    store: Store[Any], *, name: str, api: Literal["responses", "chat"], base_url: str | None = None
) -> AssistantServer:
    """Returns an assistant with a model at an endpoint; the arguments are those of :class:`ModelEndpoint`."""
    return AssistantServer(store, ModelEndpoint(name, api, base_url))


def first_model(base_url: str) -> str:
    """Returns the first model that an endpoint lists.

    Raises:
        ConfigurationError: It cannot be asked, or has none.
    """
    try:
        with openai.OpenAI(api_key=_key(), base_url=base_url, max_retries=0, timeout=_LIST_SECONDS) as client:
            for model in client.models.list():
                return model.id
        reason = "it lists none"
    except openai.OpenAIError as error:
        reason = " ".join(str(error).split()).rstrip(".")
    raise ConfigurationError(
        f"No model was named, and {base_url} could not be asked for one ({reason}). "
        "Start it, or name a model with --model."
    )


def _key() -> str:
    return os.environ.get("OPENAI_API_KEY") or _PLACEHOLDER_KEY
