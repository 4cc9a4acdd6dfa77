"""The base of servers that serve an agent as it is, whatever framework it is written with.

It brings what every such chat needs: history, attached files as the model's input, titles, kept feedback, and errors
in the user's words. What is left for a framework is :meth:`BaseAgentServer.answer`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Generic, cast

from typing_extensions import TypeVar

from chatkit.errors import CustomStreamError
from chatkit.files.base import AttachmentStore
from chatkit.frameworks.attachments import AttachmentKind, attachment_text, read_newest, texts_among
from chatkit.frameworks.failures import Failure, find_failure
from chatkit.frameworks.new_items import new_items
from chatkit.frameworks.titles import first_words, pause_text, tool_title
from chatkit.item_texts import message_text, quote_text
from chatkit.server import ChatKitServer
from chatkit.server.handlers import overrides
from chatkit.server.reviews import review_in_turn, reviewed_message
from chatkit.server.threads import ThreadLocks
from chatkit.server.turns.resources import current_resources
from chatkit.server.turns.usage import turn_usage
from chatkit.store.base import Store
from chatkit.store.lookups import FEEDBACK_FIELD
from chatkit.streams.base import ThreadKey
from chatkit.types import (
    FeedbackKind,
    FileStore,
    HiddenContextItem,
    NoticeEvent,
    ThreadItem,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["AgentTurn", "BaseAgentServer"]

TContext = TypeVar("TContext", default=Any)

logger = logging.getLogger("chatkit.frameworks")

_POINTS: Final = "chatkit.memory"
_KEPT: Final = 200
"""Entries of a thread's metadata that are kept of each kind, the newest."""
_TITLE_SECONDS: Final = 60.0
_STORED_TITLE_SECONDS: Final = _TITLE_SECONDS + 10
"""For making a title and storing it."""
_MAYBE_THE_FILES: Final = frozenset({400, 404, 422})
"""What endpoints answer to pictures for a model that takes none, beside errors of their own: each something else."""
_WITHOUT_FILES: Final = "The model takes no such files. It answers without having seen them."


@dataclass(slots=True)
class AgentTurn(Generic[TContext]):
    """What an agent is asked.

    Attributes:
        thread: The thread; what is changed on it is saved and sent.
        message: The user's message; None after the output of a page's tool, or after answered questions.
        context: The request's context.
        items: What the agent is to be given, oldest first, the message last: the thread's newest items, or only what
            is new, for an agent whose own memory has the rest.
        contents: The files of ``items`` that the model can be given, by attachment id.
        remembered: Whether the agent's own memory has what was said before.
        memory: For a framework's server: what :meth:`BaseAgentServer.recall` found.
    """

    thread: ThreadMetadata
    message: UserMessageItem | None
    context: TContext
    items: list[ThreadItem] = field(default_factory=list[ThreadItem])
    contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    remembered: bool = False
    memory: Any = None

    @property
    def text(self) -> str:
        """The message as one text, with what it quotes and with its text files; empty if there is none."""
        if self.message is None:
            return ""
        parts = [message_text(self.message)[0]]
        if self.message.quoted_text:
            parts.append(quote_text(self.message.quoted_text))
        parts += [attachment_text(entry, self.contents.get(entry.id)) for entry in self.message.attachments]
        return "\n\n".join(part for part in parts if part)

    @property
    def model(self) -> str | None:
        """The model that the user picked in the composer, as the page names it."""
        return None if self.message is None else self.message.inference_options.model


class BaseAgentServer(ChatKitServer[TContext]):
    """Serves an agent as it is. Override :meth:`answer`, and of the other methods what is to be different.

    Args:
        store: Keeps the threads; None is ``SQLiteStore()``, the file ``chatkit.db`` in the working folder.
        attachment_store: Keeps attached files; None takes none.
        titles: Whether threads get a title by themselves.
        history_items: Items of the thread that the agent is given at most, the newest.
        models: Which models the user may pick, by ``composer.models`` of the page's options: names, or what the
            framework takes for a model by the name that the page sends.
        model_takes: What files the model is given: pictures, PDFs, texts. Of others it is told the name.
        options: Passed on to ``ChatKitServer``.
    """

    def __init__(
        self,
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        titles: bool = True,
        history_items: int = 50,
        models: Collection[str] | Mapping[str, Any] = (),
        model_takes: Collection[AttachmentKind] = ("picture", "pdf", "text"),
        **options: Any,
    ) -> None:
        if store is None:
            from chatkit.store import SQLiteStore

            store = SQLiteStore()
        super().__init__(store, attachment_store, **options)
        self.titles = titles
        self.history_items = history_items
        self.models = models
        self.model_takes = model_takes
        self._titles: dict[ThreadKey, asyncio.Task[None]] = {}
        self._metadata = ThreadLocks()

    @abstractmethod
    def answer(self, turn: AgentTurn[TContext], /) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yields the events of the agent's answer. An error of the model's is told to the user in their words.

        Args:
            turn: What is asked.
        """

    # What may be overridden.

    async def load_history(self, thread: ThreadMetadata, context: TContext) -> list[ThreadItem]:
        """Returns what the agent is given of a thread, oldest first, the message that it is to answer last.

        By default the thread's newest ``history_items`` items, with what :meth:`summarise` says of older ones before
        them.

        Args:
            thread: The thread.
            context: The request's context.
        """
        store = self._chatkit_store()
        page = await store.load_thread_items(thread.id, None, self.history_items, "desc", context)
        items = page.data[::-1]
        if not page.has_more or not items:
            return items
        summary = await self.summarise(thread, items[0], context)
        if not summary:
            return items
        item_id = store.generate_item_id("message", thread, context)
        return [HiddenContextItem(id=item_id, thread_id=thread.id, content=summary), *items]

    async def review_model_input(
        self, items: list[ThreadItem], thread: ThreadMetadata, context: TContext
    ) -> list[ThreadItem]:
        """Returns what the agent may be given of a thread; called with what :meth:`load_history` returned.

        An error lets nothing pass: the agent is not called. Files are read of those items alone that are returned.

        Args:
            items: Oldest first, copies of the hook's own; ``chatkit.review`` reads and replaces their texts.
            thread: The thread.
            context: The request's context.

        Returns:
            The items, or changed copies; items may be left out, but not the message that is to be answered.

        Raises:
            ContentRefusedError: The answer ends with its text.
            Exception: The review failed; the user may try again.
        """
        return items

    async def summarise(self, thread: ThreadMetadata, oldest: ThreadItem, context: TContext) -> str | None:
        """Returns what the agent is to know of the items that are left out, by default nothing.

        Args:
            thread: The thread; its ``metadata`` can keep a summary that was made before.
            oldest: The oldest item that the agent is given; :meth:`load_before` returns those before it.
            context: The request's context.
        """
        return None

    async def load_before(
        self, thread: ThreadMetadata, item: ThreadItem, limit: int, context: TContext
    ) -> list[ThreadItem]:
        """Returns items of a thread that came before another one, oldest first.

        Args:
            thread: The thread.
            item: The item that they came before.
            limit: How many at most, those nearest to it.
            context: The request's context.
        """
        store = self._chatkit_store()
        page = await store.load_thread_items(thread.id, item.id, limit, "desc", context)
        return page.data[::-1]

    async def make_title(self, text: str, turn: AgentTurn[TContext]) -> str | None:
        """Returns a title for a new thread; by default, and where it fails, that is the first words of its message.

        It is called beside the answer, which neither waits for it nor ends with it.

        Args:
            text: What the user wrote.
            turn: What is asked.
        """
        return None

    def picked_model(self, turn: AgentTurn[TContext]) -> Any:
        """Returns the model that the user picked, if it is one of ``models``; None for the agent's own."""
        name = turn.model
        if name is None or name not in self.models:
            return None
        models: Any = self.models
        return cast("Any", models[name]) if isinstance(models, Mapping) else name

    def tool_title(self, name: str) -> str | None:
        """Returns what the user is shown while a tool of that name runs; None to show nothing."""
        return tool_title(name)

    def pause_text(self, asked: list[str]) -> str:
        """Returns what the user is told where a run stops to ask for something that this chat cannot ask for.

        Args:
            asked: What it asks, such as the names of tools that need an approval; may be empty.
        """
        return pause_text(asked)

    def failure_text(self, failure: Failure) -> str:
        """Returns what the user is told of a model that did not answer."""
        return failure.text

    def missing_key(self) -> str | None:
        """Returns the environment variable with the key of the agent's model, where it is not set.

        It is for messages at the start: None where it is set, and where that cannot be known before the model is asked.
        """
        return None

    async def recall(self, turn: AgentTurn[TContext]) -> bool:
        """Returns whether the agent's own memory has what was said before in the thread, so that it is not sent.

        A memory that has the message already, because it is answered again, is taken back to the point before it.
        By default there is no memory.

        Args:
            turn: What is asked, without items yet.
        """
        return False

    # Handlers.

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: TContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers a message with the agent."""
        turn = AgentTurn[TContext](thread, input, context)
        turn.remembered = await self.recall(turn)
        turn.items = await (self._load_new(turn) if turn.remembered else self.load_history(thread, context))
        await self._review_model_input(turn)
        contents = await read_newest(self.attachment_store, turn.items[::-1], self.model_takes)
        texts = texts_among(contents, turn.items)
        is_titled = not self.titles or thread.title is not None or input is None
        # A model that takes no pictures refuses a thread that one is in, now and with each later message.
        attempts = [contents, texts] if len(texts) < len(contents) else [contents]
        for number, given in enumerate(attempts):
            turn.contents, has_begun = given, False
            if number:
                turn.remembered = await self.recall(turn)
            try:
                async with aclosing(self.answer(turn)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                        # Not earlier: a model may serve one request at a time.
                        if not is_titled and isinstance(event, ThreadItemUpdatedEvent):
                            is_titled = True
                            self._begin_title(turn)
            except Exception as error:
                usage = turn_usage()
                if usage is not None:
                    await usage.close(failed=True)
                failure = find_failure(error)
                if failure is None:
                    raise
                if has_begun or number + 1 == len(attempts) or not _is_maybe_the_files(failure):
                    self._log(failure)
                    # Without its cause, which is logged.
                    raise CustomStreamError(self._told(failure), allow_retry=failure.allow_retry) from None
                logger.warning(
                    "The model did not answer with files, so it is asked without: %s", failure.detail
                )
                if input is not None and input.attachments:
                    yield NoticeEvent(level="warning", message=_WITHOUT_FILES)
            else:
                return

    async def _review_model_input(self, turn: AgentTurn[TContext]) -> None:
        hook = self.review_model_input
        if overrides(hook, BaseAgentServer.review_model_input):
            turn.items = await review_in_turn(
                hook,
                turn.items,
                lambda items: hook(items, turn.thread, turn.context),
                seconds=self.review_seconds,
            )
            if turn.message is not None:
                # What is left out here must not reach the agent by another way.
                turn.message = reviewed_message(turn.items, turn.message.id)

    async def _load_new(self, turn: AgentTurn[TContext]) -> list[ThreadItem]:
        store = self._chatkit_store()
        page = await store.load_thread_items(turn.thread.id, None, self.history_items, "desc", turn.context)
        return new_items(page.data, turn.message)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: TContext
    ) -> None:
        """Keeps the feedback in the thread, from where :meth:`feedback_of` reads it.

        Args:
            thread_id: The thread.
            item_ids: The items that it is about.
            feedback: What the user thinks of them.
            context: The request's context.
        """
        scope = self._chatkit_scope(context)
        key = scope.thread_key(thread_id)
        async with self._metadata.hold(key):
            thread = await scope.store.load_thread(thread_id, context)
            kept = self.feedback_of(thread)
            for item_id in item_ids:
                kept.pop(item_id, None)
                kept[item_id] = feedback
            newest = dict(list(kept.items())[-_KEPT:])
            metadata = {**thread.metadata, FEEDBACK_FIELD: newest}
            await scope.turns.edit_thread(key, {"metadata": metadata}, scope.store, context)

    def feedback_of(self, thread: ThreadMetadata) -> dict[str, FeedbackKind]:
        """Returns the feedback that a thread's items got, by item id: ``positive`` or ``negative``."""
        return dict(thread.metadata.get(FEEDBACK_FIELD) or {})

    # The agent's own memory.

    async def remember_point(self, turn: AgentTurn[TContext], point: Any) -> None:
        """Stores the point of the agent's memory before a message, for when that is answered again.

        Args:
            turn: What is asked; has a message.
            point: JSON, not None.
        """
        if turn.message is not None:
            points = [entry for entry in self._points(turn) if entry[0] != turn.message.id]
            kept = [*points, [turn.message.id, point]][-_KEPT:]
            turn.thread.metadata = {**turn.thread.metadata, _POINTS: kept}
            resources = current_resources.get()
            if resources is not None:
                # Before the agent notes the message: its process may die then.
                await resources.edit_thread({"metadata": turn.thread.metadata})

    def point_before(self, turn: AgentTurn[TContext]) -> Any:
        """Returns the point that was noted for the message; None for a message that is new."""
        message = turn.message
        return next((at for id, at in self._points(turn) if message is not None and id == message.id), None)

    def _points(self, turn: AgentTurn[TContext]) -> list[list[Any]]:
        return turn.thread.metadata.get(_POINTS) or []

    # Titles and the log.

    def _begin_title(self, turn: AgentTurn[TContext]) -> None:
        if type(self).make_title is BaseAgentServer.make_title:
            # No need to make it beside the answer, and the page has it at once.
            if getattr(turn.context, "automatic_thread_titling", True) is not False:
                turn.thread.title = first_words(_said(turn))
            return
        thread = self._chatkit_scope(turn.context).thread_key(turn.thread.id)
        if thread in self._titles:
            # The previous turn has asked already.
            return
        work = self._titles[thread] = self.set_title_beside(
            turn.thread, self._title(turn), turn.context, seconds=_STORED_TITLE_SECONDS
        )
        work.add_done_callback(lambda _: self._titles.pop(thread))

    async def _title(self, turn: AgentTurn[TContext]) -> str | None:
        if (await self._chatkit_store().load_thread(turn.thread.id, turn.context)).title is not None:
            # The previous turn has set one since this turn began.
            return None
        text, made = _said(turn), None
        try:
            async with asyncio.timeout(_TITLE_SECONDS):
                made = await self.make_title(text, turn)
        except Exception as error:  # noqa: BLE001 -- it is logged, and there are the first words
            logger.info("The model made no title: %s", error)
        return made or first_words(text)

    def _told(self, failure: Failure) -> str:
        text = self.failure_text(failure)
        return f"{text}\n\n{failure.detail} {failure.advice}".strip() if self.shows_exceptions else text

    def _log(self, failure: Failure) -> None:
        level = logging.ERROR if failure.kind in {"not_set_up", "quota"} else logging.WARNING
        advice = f" {failure.advice}" if failure.advice else ""
        logger.log(level, "The model did not answer: %s%s", failure.detail, advice)


def _said(turn: AgentTurn[Any]) -> str:
    """Returns the words of the message, or the names of its files."""
    message = turn.message
    if message is None:
        return ""
    said = " ".join(part.text for part in message.content)
    return said or " ".join(entry.name for entry in message.attachments)


def _is_maybe_the_files(failure: Failure) -> bool:
    status = failure.status
    return status is not None and (status in _MAYBE_THE_FILES or status >= 500)
