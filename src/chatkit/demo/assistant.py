"""The built-in assistant with a model: what ``chatkit serve`` answers with when it finds one."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal

from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.demo.attachments import read_newest, texts_among, to_model_content
from chatkit.demo.scene import first_words
from chatkit.errors import ConfigurationError, CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.streams.base import ThreadKey
from chatkit.types import (
    Attachment,
    FeedbackKind,
    NoticeEvent,
    ThreadItem,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    UserMessageTagContent,
)

# After chatkit.agents, which says how to install what is missing here.
import openai  # isort: skip
from agents import (  # isort: skip
    Agent,
    AgentsException,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
)

__all__ = ["AssistantServer", "ModelEndpoint", "first_model", "make_assistant", "tidied"]

logger = logging.getLogger("chatkit.demo")

_HISTORY_ITEMS: Final = 50
"""Items of the thread that the model is given at most, the newest."""
_TITLE_SECONDS: Final = 60.0
_STORED_TITLE_SECONDS: Final = _TITLE_SECONDS + 10
"""For making a title and storing it."""
_LONGEST_TITLE: Final = 80
_THOUGHTS: Final = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_DECORATION: Final = " \t\"'`*#.“”„«»"
_LIST_SECONDS: Final = 5.0
_PLACEHOLDER_KEY: Final = "none"
"""What endpoints get that want no key; the client insists on one."""

_INSTRUCTIONS: Final = "You are a helpful assistant. Answer in the user's language. You may use Markdown."
_TITLE_INSTRUCTIONS: Final = (
    "Write a title of two to six words for a conversation that begins with the user's message. Use the language of "
    "the message. Reply with the title alone, without quotation marks. Do not answer the message."
)
_SETTINGS: Final = ModelSettings()
"""None of the SDK's own, which are for its default model; other models refuse some."""
_ASSISTANT: Final = Agent[Any](name="Assistant", instructions=_INSTRUCTIONS, model_settings=_SETTINGS)
_TITLER: Final = Agent[Any](name="Titles", instructions=_TITLE_INSTRUCTIONS, model_settings=_SETTINGS)


_MAYBE_THE_FILES: Final = (
    openai.BadRequestError,
    openai.NotFoundError,
    openai.UnprocessableEntityError,
    openai.InternalServerError,
)
"""What endpoints answer to pictures for a model that takes none: each something else."""
_WITHOUT_FILES: Final = "The model takes no such files. It answers without having seen them."


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


class AssistantServer(ChatKitServer[Any]):
    """Answers with a model, and gives new threads a title.

    The title is asked for when the answer has begun, so that it never delays it, not even at a model that serves one
    request at a time. It reaches the page while the turn runs, or with the next load of the thread.

    Args:
        store: Keeps the threads.
        model: The model, or the endpoint at which it is.
        options: Passed on to ``ChatKitServer``.
    """

    def __init__(self, store: Store[Any], model: Model | ModelEndpoint, **options: Any) -> None:
        super().__init__(store, **options)
        self._threads = store
        self._model = model
        self._titles: dict[ThreadKey, asyncio.Task[None]] = {}

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers with the thread's newest items as the model's input."""
        page = await self._threads.load_thread_items(thread.id, None, _HISTORY_ITEMS, "desc", context)
        items = page.data[::-1]
        contents = await read_newest(self.attachment_store, page.data)
        texts = texts_among(contents, items)
        title = None
        if thread.title is None and input is not None:
            said = " ".join(part.text for part in input.content)
            title = _Title(thread, said or " ".join(entry.name for entry in input.attachments))
        # A model that takes no pictures refuses a thread that one is in, now and with each later message.
        attempts = [contents, texts] if len(texts) < len(contents) else [contents]
        try:
            while attempts:
                given, has_begun = attempts.pop(0), False
                try:
                    async with aclosing(self._run(thread, items, given, context)) as events:
                        async for event in events:
                            has_begun = True
                            yield event
                            if (
                                title is not None
                                and not title.begun
                                and isinstance(event, ThreadItemUpdatedEvent)
                            ):
                                self._begin_title(title, context)
                except _MAYBE_THE_FILES as error:
                    if has_begun or not attempts:
                        raise
                    logger.warning(
                        "The model did not answer with files, so it is asked without: %s", _line(error)
                    )
                    if input is not None and input.attachments:
                        yield NoticeEvent(level="warning", message=_WITHOUT_FILES)
                else:
                    break
        except (openai.OpenAIError, AgentsException) as error:
            logger.warning("The model did not answer: %s", _line(error))
            # Without its cause, which the line above has logged.
            raise CustomStreamError(_explanation(error), allow_retry=True) from None

    async def _run(
        self, thread: ThreadMetadata, items: Sequence[ThreadItem], contents: Mapping[str, bytes], context: Any
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        agent_input = await _converter(contents).to_agent_input(items)
        agent_context = AgentContext(thread=thread, store=self._threads, request_context=context)
        result = Runner.run_streamed(
            _ASSISTANT, agent_input, context=agent_context, run_config=self._run_config()
        )
        async with aclosing(stream_agent_response(agent_context, result)) as events:
            async for event in events:
                yield event

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Any
    ) -> None:
        """Takes feedback and keeps nothing of it."""

    async def close(self) -> None:
        """Shuts down and closes the store."""
        await super().close()
        if isinstance(self._model, ModelEndpoint):
            await self._model.close()

    def _run_config(self) -> RunConfig:
        model = self._model.model() if isinstance(self._model, ModelEndpoint) else self._model
        return RunConfig(model=model, tracing_disabled=True)

    def _begin_title(self, title: _Title, context: Any) -> None:
        title.begun = True
        thread = self._chatkit_scope(context).thread_key(title.thread.id)
        if thread in self._titles:
            # The previous turn has asked already.
            return
        work = self._titles[thread] = self.set_title_beside(
            title.thread, self._make_title(title, context), context, seconds=_STORED_TITLE_SECONDS
        )
        work.add_done_callback(lambda _: self._titles.pop(thread))

    async def _make_title(self, title: _Title, context: Any) -> str | None:
        if (await self._threads.load_thread(title.thread.id, context)).title is not None:
            # The previous turn has set one since this turn began.
            return None
        made = ""
        try:
            async with asyncio.timeout(_TITLE_SECONDS):
                run = await Runner.run(_TITLER, title.message, run_config=self._run_config())
            made = tidied(str(run.final_output))
        except (openai.OpenAIError, AgentsException, TimeoutError) as error:
            logger.info("The model made no title: %s", error)
        return made or first_words(title.message)


@dataclass(slots=True)
class _Title:
    """A title that is to be made of a thread's first message; ``begun`` once the model has been asked."""

    thread: ThreadMetadata
    message: str
    begun: bool = False


def tidied(text: str) -> str:
    """Returns a title that a model made, without the decoration that models add; empty if nothing is left."""
    lines = (line.strip(_DECORATION) for line in _THOUGHTS.sub("", text).splitlines())
    line = next((" ".join(line.split()) for line in lines if line), "")
    for prefix in ("Title:", "title:"):
        line = line.removeprefix(prefix).strip(_DECORATION)
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1].rstrip()}…"


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _explanation(error: Exception) -> str:
    """Returns what the user is told: what to do, nothing of addresses or keys."""
    match error:
        case openai.APITimeoutError():
            return "The model took too long to answer. Try again."
        case openai.APIConnectionError():
            return "The model cannot be reached. Check that it runs and that OPENAI_BASE_URL is right, then try again."
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return "The model refused the server's key. Check OPENAI_API_KEY, then try again."
        case openai.NotFoundError():
            return (
                "There is no such model at the endpoint. Check --model and OPENAI_BASE_URL, then try again."
            )
        case openai.RateLimitError():
            return "The model takes no more requests at the moment: a limit is reached. Try again later."
        case openai.BadRequestError():
            return (
                "The model refused the request; the server's log says why. A shorter conversation may help."
            )
        case _:
            return "The model failed to answer. Try again."


def _tag(tag: UserMessageTagContent) -> dict[str, str]:
    return {"type": "input_text", "text": f"{tag.text}: {tag.data}"}


def _converter(contents: Mapping[str, bytes]) -> ThreadItemConverter:
    def convert(attachment: Attachment) -> dict[str, Any]:
        return to_model_content(attachment, contents)

    return ThreadItemConverter(attachment_to_message_content=convert, tag_to_message_content=_tag)
