"""The requests that are answered by a turn, and those that resume and stop one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from chatkit.actions import Action
from chatkit.client.answers import StoppedTurns, read_answer
from chatkit.client.stream import TurnStream
from chatkit.client.transport import Transport
from chatkit.types import (
    Attachment,
    BaseReq,
    StructuredInputAnswerSubmission,
    StructuredInputSubmission,
    SyncCustomActionResponse,
    ThreadAddClientToolOutputParams,
    ThreadAddStructuredInputParams,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadCustomActionParams,
    ThreadRetryAfterItemParams,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    TurnResumeParams,
    TurnsResumeReq,
    TurnsStopReq,
    TurnStopParams,
    UserMessageInput,
    UserMessageTextContent,
)

__all__ = ["TurnRequests", "id_of"]

Metadata: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = str | Sequence[str] | StructuredInputAnswerSubmission
"""A text, several texts, or a submission that may say "skipped"."""
TAnswer = TypeVar("TAnswer", bound=BaseModel)


class TurnRequests:
    """The half of a client that is about turns."""

    _transport: Transport
    _resumable: bool

    def create_thread(
        self,
        input: UserMessageInput | str,
        *,
        attachments: Sequence[Attachment | str] = (),
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> TurnStream:
        """Starts a thread with a message.

        Args:
            input: The message.
            attachments: Files that go with it, from ``upload``, or their ids; besides those that the message names.
            metadata: For the application, sent with the request.
            idempotency_key: Makes the message the same turn when it is sent again; by default a fresh one, so that
                the client's own retries cannot send the message twice.
        """
        params = ThreadCreateParams(input=_user_message(input, attachments))
        request = ThreadsCreateReq(params=params, metadata=self._message_metadata(metadata, idempotency_key))
        return self._stream(request)

    def send_message(
        self,
        thread_id: str,
        input: UserMessageInput | str,
        *,
        attachments: Sequence[Attachment | str] = (),
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> TurnStream:
        """Adds a message to a thread.

        Args:
            thread_id: The thread.
            input: The message.
            attachments: Files that go with it, from ``upload``, or their ids; besides those that the message
                names.
            metadata: For the application, sent with the request.
            idempotency_key: As in ``create_thread``.
        """
        params = ThreadAddUserMessageParams(thread_id=thread_id, input=_user_message(input, attachments))
        request = ThreadsAddUserMessageReq(
            params=params, metadata=self._message_metadata(metadata, idempotency_key)
        )
        return self._stream(request, thread_id)

    def retry(self, thread_id: str, item_id: str, *, metadata: Metadata | None = None) -> TurnStream:
        """Deletes everything after a user message and asks for the answer again.

        Args:
            thread_id: The thread.
            item_id: The user message.
            metadata: For the application, sent with the request.
        """
        params = ThreadRetryAfterItemParams(thread_id=thread_id, item_id=item_id)
        request = ThreadsRetryAfterItemReq(params=params, metadata=self._turn_metadata(metadata))
        return self._stream(request, thread_id)

    def add_tool_output(self, thread_id: str, result: Any, *, metadata: Metadata | None = None) -> TurnStream:
        """Gives the thread's pending client tool call its output and asks to go on.

        Args:
            thread_id: The thread.
            result: The output, any JSON value.
            metadata: For the application, sent with the request.
        """
        params = ThreadAddClientToolOutputParams(thread_id=thread_id, result=result)
        request = ThreadsAddClientToolOutputReq(params=params, metadata=self._turn_metadata(metadata))
        return self._stream(request, thread_id)

    def answer_questions(
        self,
        thread_id: str,
        item_id: str,
        answers: Mapping[str, Answer] | None,
        *,
        metadata: Metadata | None = None,
    ) -> TurnStream:
        """Answers a structured input item.

        Args:
            thread_id: The thread.
            item_id: The pending structured input item.
            answers: By question id: a text, several texts, or a submission that may say "skipped". None skips all.
            metadata: For the application, sent with the request.
        """
        submission = StructuredInputSubmission(
            status="skipped" if answers is None else "answered",
            answers={question: _submission(answer) for question, answer in (answers or {}).items()},
        )
        params = ThreadAddStructuredInputParams(thread_id=thread_id, item_id=item_id, input=submission)
        request = ThreadsAddStructuredInputReq(params=params, metadata=self._turn_metadata(metadata))
        return self._stream(request, thread_id)

    def action(
        self,
        thread_id: str,
        type: str,
        payload: Any = None,
        *,
        item_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> TurnStream:
        """Triggers an action.

        Args:
            thread_id: The thread.
            type: Name of the action.
            payload: Any JSON value.
            item_id: The widget's item; None for an action of the page.
            metadata: For the application, sent with the request.
        """
        params = _action_params(thread_id, type, payload, item_id)
        request = ThreadsCustomActionReq(params=params, metadata=self._turn_metadata(metadata))
        return self._stream(request, thread_id)

    async def sync_action(
        self,
        thread_id: str,
        type: str,
        payload: Any = None,
        *,
        item_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> SyncCustomActionResponse:
        """Triggers an action that is answered at once.

        Args:
            thread_id: The thread.
            type: Name of the action.
            payload: Any JSON value.
            item_id: The widget's item; None for an action of the page.
            metadata: For the application, sent with the request.
        """
        params = _action_params(thread_id, type, payload, item_id)
        return await self._ask(
            ThreadsSyncCustomActionReq(params=params, metadata=dict(metadata or {})), SyncCustomActionResponse
        )

    def resume(self, thread_id: str, after: str | None = None) -> TurnStream:
        """Attaches to a running or just finished turn.

        Args:
            thread_id: The thread.
            after: ``last_event_id`` of the stream to go on with; None attaches to the thread's latest turn and begins
                with its state.
        """
        params = TurnResumeParams(thread_id=thread_id, after=after)
        return self._stream(TurnsResumeReq(params=params), thread_id, repeatable=True)

    async def stop(self, thread_id: str, turn_id: str | None = None) -> StoppedTurns:
        """Stops a turn, or all turns of the thread; returns when what they wrote so far is saved.

        Args:
            thread_id: The thread.
            turn_id: The turn; None stops all turns of the thread.
        """
        params = TurnStopParams(thread_id=thread_id, turn_id=turn_id)
        return await self._ask(TurnsStopReq(params=params), StoppedTurns, repeatable=True)

    async def _ask(self, request: BaseReq, kind: type[TAnswer], *, repeatable: bool = False) -> TAnswer:
        return read_answer(
            self._transport.url, await self._transport.call(request, repeatable=repeatable), kind
        )

    def _stream(
        self, request: BaseReq, thread_id: str | None = None, *, repeatable: bool = False
    ) -> TurnStream:
        return TurnStream(
            self._transport,
            request,
            thread_id=thread_id,
            repeatable=repeatable or "idempotency_key" in request.metadata,
            stop=self.stop,
        )

    def _turn_metadata(self, metadata: Metadata | None) -> dict[str, Any]:
        return {**(metadata or {}), **({"resumable": True} if self._resumable else {})}

    def _message_metadata(self, metadata: Metadata | None, key: str | None) -> dict[str, Any]:
        given = self._turn_metadata(metadata)
        if key is not None:
            given["idempotency_key"] = key
        elif self._resumable:
            # A turn that a disconnect stops cannot be attached to again, so a key would promise too much.
            given.setdefault("idempotency_key", secrets.token_urlsafe(18))
        return given


def id_of(attachment: Attachment | str) -> str:
    """Returns the id of an attachment, which may be given as such."""
    return attachment if isinstance(attachment, str) else attachment.id


def _user_message(input: UserMessageInput | str, attachments: Sequence[Attachment | str]) -> UserMessageInput:
    """Returns a message, its attachments besides those that it names."""
    if isinstance(input, str):
        input = UserMessageInput(content=[UserMessageTextContent(text=input)])
    if not attachments:
        return input
    return input.model_copy(update={"attachments": [*input.attachments, *map(id_of, attachments)]})


def _submission(answer: Answer) -> StructuredInputAnswerSubmission:
    if isinstance(answer, StructuredInputAnswerSubmission):
        return answer
    return StructuredInputAnswerSubmission(values=[answer] if isinstance(answer, str) else list(answer))


def _action_params(thread_id: str, type: str, payload: Any, item_id: str | None) -> ThreadCustomActionParams:
    return ThreadCustomActionParams(
        thread_id=thread_id, item_id=item_id, action=Action[str, Any](type=type, payload=payload)
    )
