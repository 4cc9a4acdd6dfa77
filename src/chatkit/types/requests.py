"""Requests of the protocol, and the inputs they carry.

Two request types are additions to the protocol: ``turns.stop`` and ``turns.resume``. Two keys of a request's
``metadata`` have a meaning here: ``resumable`` (true: the turn survives a disconnect and its frames carry ids) and
``idempotency_key`` (a text: a message, an action or an answer that is sent again with the same key is the same turn).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field
from typing_extensions import TypeIs

from chatkit.actions import Action
from chatkit.types.base import Model
from chatkit.types.content import InferenceOptions, UserMessageContent
from chatkit.types.items import ThreadItem

__all__ = [
    "MAX_PAGE_SIZE",
    "AttachmentCreateParams",
    "AttachmentDeleteParams",
    "AttachmentsCreateReq",
    "AttachmentsDeleteReq",
    "AudioInput",
    "BaseReq",
    "ChatKitReq",
    "FeedbackKind",
    "InputTranscribeParams",
    "InputTranscribeReq",
    "ItemFeedbackParams",
    "ItemsFeedbackReq",
    "ItemsListParams",
    "ItemsListReq",
    "NonStreamingReq",
    "StreamingReq",
    "StructuredInputAnswerSubmission",
    "StructuredInputSubmission",
    "SyncCustomActionResponse",
    "ThreadAddClientToolOutputParams",
    "ThreadAddStructuredInputParams",
    "ThreadAddUserMessageParams",
    "ThreadCreateParams",
    "ThreadCustomActionParams",
    "ThreadDeleteParams",
    "ThreadGetByIdParams",
    "ThreadListParams",
    "ThreadRetryAfterItemParams",
    "ThreadUpdateParams",
    "ThreadsAddClientToolOutputReq",
    "ThreadsAddStructuredInputReq",
    "ThreadsAddUserMessageReq",
    "ThreadsCreateReq",
    "ThreadsCustomActionReq",
    "ThreadsDeleteReq",
    "ThreadsGetByIdReq",
    "ThreadsListReq",
    "ThreadsRetryAfterItemReq",
    "ThreadsSyncCustomActionReq",
    "ThreadsUpdateReq",
    "TranscriptionResult",
    "TurnResumeParams",
    "TurnStopParams",
    "TurnsResumeReq",
    "TurnsStopReq",
    "UserMessageInput",
    "is_streaming_req",
]

MAX_PAGE_SIZE = 9999
"""The largest ``limit`` of a page; the stock client asks for this many threads."""

PageLimit = Annotated[int, Field(strict=True, ge=0, le=MAX_PAGE_SIZE)]
FeedbackKind: TypeAlias = Literal["positive", "negative"]


class BaseReq(Model):
    """What every request has.

    Attributes:
        metadata: Free for the application, but for the keys that the module's docstring names.
    """

    metadata: dict[str, Any] = Field(default_factory=dict)


class UserMessageInput(Model):
    """What the user sends; ``attachments`` are ids."""

    content: list[UserMessageContent]
    attachments: list[str] = Field(default_factory=list)
    quoted_text: str | None = None
    inference_options: InferenceOptions = Field(default_factory=InferenceOptions)


class ThreadGetByIdParams(Model):
    """Names the thread."""

    thread_id: str


class ThreadsGetByIdReq(BaseReq):
    """Asks for a thread with its oldest items."""

    type: Literal["threads.get_by_id"] = "threads.get_by_id"
    params: ThreadGetByIdParams


class ThreadCreateParams(Model):
    """The first message."""

    input: UserMessageInput


class ThreadsCreateReq(BaseReq):
    """Starts a thread with a message."""

    type: Literal["threads.create"] = "threads.create"
    params: ThreadCreateParams


class ThreadListParams(Model):
    """Which page of the owner's threads."""

    limit: PageLimit | None = None
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class ThreadsListReq(BaseReq):
    """Asks for a page of threads."""

    type: Literal["threads.list"] = "threads.list"
    params: ThreadListParams


class ThreadAddUserMessageParams(Model):
    """The message and its thread."""

    input: UserMessageInput
    thread_id: str


class ThreadsAddUserMessageReq(BaseReq):
    """Adds a message and asks for the answer."""

    type: Literal["threads.add_user_message"] = "threads.add_user_message"
    params: ThreadAddUserMessageParams


class ThreadAddClientToolOutputParams(Model):
    """What the page's tool returned."""

    thread_id: str
    result: Any


class ThreadsAddClientToolOutputReq(BaseReq):
    """Completes the thread's last, pending client tool call and asks for the answer."""

    type: Literal["threads.add_client_tool_output"] = "threads.add_client_tool_output"
    params: ThreadAddClientToolOutputParams


class StructuredInputAnswerSubmission(Model):
    """The answer to one question."""

    values: list[str] = Field(default_factory=list)
    skipped: bool = False


class StructuredInputSubmission(Model):
    """The answers by question id."""

    status: Literal["answered", "skipped"] = "answered"
    answers: dict[str, StructuredInputAnswerSubmission] = Field(
        default_factory=dict[str, StructuredInputAnswerSubmission]
    )


class ThreadAddStructuredInputParams(Model):
    """The answers to a structured input item."""

    thread_id: str
    item_id: str
    input: StructuredInputSubmission


class ThreadsAddStructuredInputReq(BaseReq):
    """Answers a pending structured input item and asks for the answer."""

    type: Literal["threads.add_structured_input"] = "threads.add_structured_input"
    params: ThreadAddStructuredInputParams


class ThreadCustomActionParams(Model):
    """A widget's action; ``item_id`` is the widget's item, None for an action of the page."""

    thread_id: str
    item_id: str | None = None
    action: Action[str, Any]


class ThreadsCustomActionReq(BaseReq):
    """Triggers an action and asks for a stream."""

    type: Literal["threads.custom_action"] = "threads.custom_action"
    params: ThreadCustomActionParams


class ThreadsSyncCustomActionReq(BaseReq):
    """Triggers an action and asks for a single answer."""

    type: Literal["threads.sync_custom_action"] = "threads.sync_custom_action"
    params: ThreadCustomActionParams


class ThreadRetryAfterItemParams(Model):
    """The user message whose answer to write anew."""

    thread_id: str
    item_id: str


class ThreadsRetryAfterItemReq(BaseReq):
    """Deletes everything after a user message and asks for the answer again."""

    type: Literal["threads.retry_after_item"] = "threads.retry_after_item"
    params: ThreadRetryAfterItemParams


class ItemFeedbackParams(Model):
    """What the user thinks of items."""

    thread_id: str
    item_ids: list[str]
    kind: FeedbackKind


class ItemsFeedbackReq(BaseReq):
    """Gives feedback."""

    type: Literal["items.feedback"] = "items.feedback"
    params: ItemFeedbackParams


class AttachmentDeleteParams(Model):
    """Names the attachment."""

    attachment_id: str


class AttachmentsDeleteReq(BaseReq):
    """Deletes an attachment and its file."""

    type: Literal["attachments.delete"] = "attachments.delete"
    params: AttachmentDeleteParams


class AttachmentCreateParams(Model):
    """The file that the user wants to attach.

    Attributes:
        name: File name.
        size: Bytes.
        mime_type: Media type as the browser tells it.
    """

    name: str
    size: int
    mime_type: str


class AttachmentsCreateReq(BaseReq):
    """Registers an attachment and asks where to upload it."""

    type: Literal["attachments.create"] = "attachments.create"
    params: AttachmentCreateParams


class InputTranscribeParams(Model):
    """A recording, base64."""

    audio_base64: str
    mime_type: str


class InputTranscribeReq(BaseReq):
    """Asks for the text of a recording."""

    type: Literal["input.transcribe"] = "input.transcribe"
    params: InputTranscribeParams


class AudioInput(Model):
    """A recording.

    Attributes:
        data: The bytes of the file.
        mime_type: Media type with its parameters.
    """

    data: bytes
    mime_type: str

    @property
    def media_type(self) -> str:
        """Media type without parameters, such as ``audio/webm``."""
        return self.mime_type.partition(";")[0].strip()


class TranscriptionResult(Model):
    """The text of a recording."""

    text: str


class ItemsListParams(Model):
    """Which page of the thread's items."""

    thread_id: str
    limit: PageLimit | None = None
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class ItemsListReq(BaseReq):
    """Asks for a page of items."""

    type: Literal["items.list"] = "items.list"
    params: ItemsListParams


class ThreadUpdateParams(Model):
    """The thread's new title, of at most 1,000 characters."""

    thread_id: str
    title: str = Field(max_length=1000)


class ThreadsUpdateReq(BaseReq):
    """Renames a thread."""

    type: Literal["threads.update"] = "threads.update"
    params: ThreadUpdateParams


class ThreadDeleteParams(Model):
    """Names the thread."""

    thread_id: str


class ThreadsDeleteReq(BaseReq):
    """Deletes a thread with all its items."""

    type: Literal["threads.delete"] = "threads.delete"
    params: ThreadDeleteParams


class TurnStopParams(Model):
    """Which turns to stop: the one named, or all that run in the thread."""

    thread_id: str
    turn_id: str | None = None


class TurnsStopReq(BaseReq):
    """Stops turns; answered when their partial text is saved."""

    type: Literal["turns.stop"] = "turns.stop"
    params: TurnStopParams


class TurnResumeParams(Model):
    """Which stream to attach to again.

    Attributes:
        thread_id: The thread.
        after: Id of the last event that the client has, ``turn_id:seq``; without it, the thread's latest turn.
    """

    thread_id: str
    after: str | None = None


class TurnsResumeReq(BaseReq):
    """Attaches to a running or just finished turn."""

    type: Literal["turns.resume"] = "turns.resume"
    params: TurnResumeParams


class SyncCustomActionResponse(Model):
    """The answer to a sync action: the item as it is now, when it changed."""

    updated_item: ThreadItem | None = None


StreamingReq: TypeAlias = (
    ThreadsCreateReq
    | ThreadsAddUserMessageReq
    | ThreadsAddClientToolOutputReq
    | ThreadsAddStructuredInputReq
    | ThreadsRetryAfterItemReq
    | ThreadsCustomActionReq
    | TurnsResumeReq
)
NonStreamingReq: TypeAlias = (
    ThreadsGetByIdReq
    | ThreadsListReq
    | ItemsListReq
    | ItemsFeedbackReq
    | AttachmentsCreateReq
    | AttachmentsDeleteReq
    | ThreadsUpdateReq
    | ThreadsDeleteReq
    | InputTranscribeReq
    | ThreadsSyncCustomActionReq
    | TurnsStopReq
)
ChatKitReq: TypeAlias = Annotated[StreamingReq | NonStreamingReq, Discriminator("type")]


def is_streaming_req(request: ChatKitReq) -> TypeIs[StreamingReq]:
    """Tells whether a request is answered with a stream."""
    return isinstance(
        request,
        (
            ThreadsCreateReq,
            ThreadsAddUserMessageReq,
            ThreadsAddClientToolOutputReq,
            ThreadsAddStructuredInputReq,
            ThreadsRetryAfterItemReq,
            ThreadsCustomActionReq,
            TurnsResumeReq,
        ),
    )
