"""Answers with a model by the ``openai`` client alone: the Responses API, or Chat Completions of any server.

``ModelServer("gpt-5-mini")`` is the server. Needs the extra ``openai``: ``pip install 'chatkit-server[openai]'``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from typing_extensions import TypeVar

from chatkit.errors import MissingExtraError

try:
    import_module("openai")
except ImportError as error:
    raise MissingExtraError(
        "chatkit.frameworks.openai needs the client: pip install 'chatkit-server[openai]'."
    ) from error

from openai import (
    AsyncOpenAI,
    BadRequestError,
    ContentFilterFinishReasonError,
    OpenAIError,
    UnprocessableEntityError,
)

from chatkit.files.base import AttachmentStore
from chatkit.frameworks._observed_call import ObservedCall
from chatkit.frameworks._shown import shown_parts
from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.attachments import attachment_kind, attachment_text, data_url
from chatkit.frameworks.step_converter import stream_steps
from chatkit.frameworks.steps import (
    CitationStep,
    Step,
    TextEndStep,
    TextStep,
    ThoughtStep,
    ToolEndStep,
    ToolStep,
)
from chatkit.frameworks.titles import TITLE_INSTRUCTIONS, tidied
from chatkit.frameworks.usage import OUTPUT_BOUNDS, kept_call, kept_usage, output_bound, usage_of
from chatkit.item_texts import answer_text, message_text, quote_text
from chatkit.server.turns.usage import ModelCall
from chatkit.store.base import Store
from chatkit.types import (
    Annotation,
    AssistantMessageItem,
    Attachment,
    FileStore,
    GeneratedImage,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    WorkflowItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["ModelServer"]

TContext = TypeVar("TContext", default=Any)
_LAST: Final = frozenset({"response.completed", "response.incomplete"})
Api: TypeAlias = Literal["responses", "chat"]
Message: TypeAlias = dict[str, Any]
Parts: TypeAlias = Sequence[str | Attachment | GeneratedImage]

_STORED: Final = frozenset({"previous_response_id", "conversation", "prompt"})
"""Options that give the model what the provider keeps."""


class ModelServer(BaseAgentServer[TContext]):
    """Answers with a model, without an agent framework.

    Args:
        model: The model's name.
        store: As for :class:`chatkit.frameworks.BaseAgentServer`.
        attachment_store: Keeps attached files; None takes none.
        client: An ``AsyncOpenAI``; None makes one of the environment (``OPENAI_API_KEY``, ``OPENAI_BASE_URL``).
        api: What is spoken: the Responses API, or Chat Completions, which most servers of open models know.
        instructions: What the model is told of its part.
        request_options: More arguments of each request, such as ``temperature`` or hosted ``tools``.
        title_model: Makes titles; None is ``model``.
        options: Options of :class:`chatkit.frameworks.BaseAgentServer`.
    """

    def __init__(
        self,
        model: str,
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        client: AsyncOpenAI | None = None,
        api: Api = "responses",
        instructions: str | None = None,
        request_options: Mapping[str, Any] | None = None,
        title_model: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(store, attachment_store, **options)
        self.model = model
        self.client: Any = client or AsyncOpenAI()
        self.api: Api = api
        self.instructions = instructions
        self.title_model = title_model
        self._request_options = request_options or {}
        self._tells_usage = True

    def make_messages(self, turn: AgentTurn[TContext]) -> list[Message]:
        """Returns what the model is given: the items of the turn, in the spelling of the API."""
        messages: list[Message] = []
        for item in turn.items:
            if isinstance(item, UserMessageItem):
                messages.append(self._message(_said(item), turn))
            elif isinstance(item, AssistantMessageItem):
                if text := answer_text(item):
                    messages.append({"role": "assistant", "content": text})
            elif not isinstance(item, WorkflowItem):
                messages += [self._message(parts, turn) for parts in shown_parts(item)]
        return messages

    async def make_title(self, text: str, turn: AgentTurn[TContext]) -> str | None:
        """Returns a title by the title model."""
        model, asked = self.title_model or self.model, [{"role": "user", "content": text}]
        options, usage = self._request_options, kept_usage()
        # Within a budget a title is bounded as an answer is, which the model is known to take.
        bounded = usage is not None and usage.bounded
        bounds = {name: options[name] for name in OUTPUT_BOUNDS if bounded and name in options}
        given = [TITLE_INSTRUCTIONS, text]
        async with kept_call(model, given, output_bound(bounds), step="title") as call:
            if self.api == "responses":
                response = await self.client.responses.create(
                    model=model, instructions=TITLE_INSTRUCTIONS, input=asked, **bounds
                )
                _note(call, response.usage)
                return tidied(response.output_text)
            told = {"role": "system", "content": TITLE_INSTRUCTIONS}
            completion = await self.client.chat.completions.create(
                model=model, messages=[told, *asked], **bounds
            )
            _note(call, completion.usage)
            return tidied(completion.choices[0].message.content or "")

    def answer(self, turn: AgentTurn[TContext]) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Asks the model."""
        steps = self._responses(turn) if self.api == "responses" else self._completions(turn)
        return stream_steps(steps, thread=turn.thread, store=self._chatkit_store(), context=turn.context)

    async def _responses(self, turn: AgentTurn[TContext]) -> AsyncGenerator[Step, None]:
        options = {"instructions": self.instructions} if self.instructions else {}
        model, given = self.picked_model(turn) or self.model, self.make_messages(turn)
        async with AsyncExitStack() as stack:
            call = await stack.enter_async_context(self._call(model, given))
            observed = stack.enter_context(ObservedCall(turn.thread.id, model, given))
            stream = await self.client.responses.create(
                model=model, input=given, stream=True, **options, **self._request_options
            )
            await stack.enter_async_context(stream)
            async for event in stream:
                if event.type in _LAST:
                    _note(call, event.response.usage)
                    observed.answered(event.response)
                for step in self._steps(event):
                    yield step

    def _steps(self, event: Any) -> list[Step]:
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta":
                return [TextStep(event.delta)]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [ThoughtStep(event.delta)]
            case "response.output_text.annotation.added":
                return _citations(event.annotation)
            case "response.output_item.added" if event.item.type.endswith("_call"):
                title = self.tool_title(event.item.type.removesuffix("_call"))
                return [] if title is None else [ToolStep(event.item.id, title)]
            case "response.output_item.done" if event.item.type == "message":
                return [TextEndStep()]
            case "response.output_item.done":
                return [ToolEndStep(event.item.id)]
            case "response.incomplete" if event.response.incomplete_details.reason == "content_filter":
                raise ContentFilterFinishReasonError
            case "response.failed":
                raise OpenAIError(event.response.error.message)
            case _:
                return []

    async def _completions(self, turn: AgentTurn[TContext]) -> AsyncGenerator[Step, None]:
        told = [{"role": "system", "content": self.instructions}] if self.instructions else []
        model, given = self.picked_model(turn) or self.model, [*told, *self.make_messages(turn)]
        async with AsyncExitStack() as stack:
            call = await stack.enter_async_context(self._call(model, given))
            observed = stack.enter_context(ObservedCall(turn.thread.id, model, given))
            stream = await self._stream_completion(model, given, asks=call is not None)
            await stack.enter_async_context(stream)
            async for chunk in stream:
                _note(call, chunk.usage)
                observed.chunk(chunk)
                for choice in chunk.choices:
                    delta = choice.delta
                    # What servers of open models call it.
                    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
                    if thought:
                        yield ThoughtStep(thought)
                    if text := delta.content or getattr(delta, "refusal", None):
                        yield TextStep(text)
                    if choice.finish_reason == "content_filter":
                        raise ContentFilterFinishReasonError

    async def _stream_completion(self, model: Any, given: list[Message], *, asks: bool) -> Any:
        """Begins an answer.

        Args:
            model: The model.
            given: What it is given.
            asks: Whether its usage is asked for, which some servers of open models refuse.
        """
        options = {"model": model, "messages": given, "stream": True, **self._request_options}
        if not asks or not self._tells_usage or "stream_options" in options:
            return await self.client.chat.completions.create(**options)
        try:
            return await self.client.chat.completions.create(
                **options, stream_options={"include_usage": True}
            )
        except (BadRequestError, UnprocessableEntityError) as error:
            if "stream_options" not in str(error):
                raise
        self._tells_usage = False
        return await self.client.chat.completions.create(**options)

    def _call(
        self, model: Any, given: list[Message]
    ) -> AbstractAsyncContextManager[ModelCall | None, bool | None]:
        options = self._request_options
        tools: Any = options.get("tools") or ()
        hosted = not all(isinstance(tool, dict) and "function" in tool.values() for tool in list[Any](tools))
        known = None if hosted or _STORED & options.keys() else [self.instructions, given, dict(options)]
        return kept_call(str(model), known, output_bound(options))

    def _message(self, parts: Parts, turn: AgentTurn[TContext]) -> Message:
        content = [self._part(part, turn) for part in parts]
        texts = [part for part in parts if isinstance(part, str)]
        return {"role": "user", "content": texts[0] if len(parts) == len(texts) == 1 else content}

    def _part(self, part: str | Attachment | GeneratedImage, turn: AgentTurn[TContext]) -> dict[str, Any]:
        if isinstance(part, GeneratedImage):
            return self._picture(part.url)
        if not isinstance(part, str):
            content, kind = turn.contents.get(part.id), attachment_kind(part)
            if content is not None and kind == "picture":
                return self._picture(data_url(part, content))
            if content is not None and kind == "pdf":
                file = {"filename": part.name, "file_data": data_url(part, content)}
                return (
                    {"type": "input_file", **file}
                    if self.api == "responses"
                    else {"type": "file", "file": file}
                )
            part = attachment_text(part, content)
        return {"type": "input_text" if self.api == "responses" else "text", "text": part}

    def _picture(self, url: str) -> dict[str, Any]:
        if self.api == "responses":
            return {"type": "input_image", "detail": "auto", "image_url": url}
        return {"type": "image_url", "image_url": {"url": url}}


def _note(call: ModelCall | None, found: Any) -> None:
    """Notes the usage that an answer tells, if it does."""
    if call is not None and found is not None:
        call.usage = usage_of(call.model, found)


def _said(item: UserMessageItem) -> Parts:
    text, tags = message_text(item)
    quoted = [quote_text(item.quoted_text)] if item.quoted_text else []
    return [text, *quoted, *item.attachments, *(f"{tag.text}: {tag.data}" for tag in tags)]


def _citations(citation: Any) -> list[Step]:
    # A dictionary, or a model of the client's, by its version.
    found: Any = citation.model_dump() if hasattr(citation, "model_dump") else citation
    url: str | None = found.get("url")
    if found.get("type") != "url_citation" or not url:
        return []
    source = URLSource(title=found.get("title") or url, url=url)
    return [CitationStep(Annotation(source=source, index=None))]
