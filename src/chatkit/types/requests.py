"""Requests of the protocol, and the inputs they carry.

Additions to the protocol: the request types ``turns.stop``, ``turns.resume`` and ``threads.search``, the parameter
``capabilities`` of ``threads.list``, and two keys of a request's ``metadata``:

- ``resumable`` (true): the turn survives a disconnect and its frames carry ids.
- ``idempotency_key`` (a text): a message, an action or an answer that is sent again with the same key is the same turn.

Every text, list, map and free-form value is marked with its bound, which the server checks before it reads a request
as one of these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, FailFast, Field
from typing_extensions import TypeIs

from chatkit.actions import Action
from chatkit.limits import Bound, Id
from chatkit.types.base import Model
from chatkit.types.inputs import StructuredInputSubmission, UserMessageInput

__all__ = [
    "MAX_PAGE_SIZE",
    "AttachmentCreateParams",
    "AttachmentDeleteParams",
    "AttachmentsCreateReq",
    "AttachmentsDeleteReq",
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
    "ThreadAddClientToolOutputParams",
    "ThreadAddStructuredInputParams",
    "ThreadAddUserMessageParams",
    "ThreadCreateParams",
    "ThreadCustomActionParams",
    "ThreadDeleteParams",
    "ThreadGetByIdParams",
    "ThreadListParams",
    "ThreadRetryAfterItemParams",
    "ThreadSearchParams",
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
    "ThreadsSearchReq",
    "ThreadsSyncCustomActionReq",
    "ThreadsUpdateReq",
    "TurnResumeParams",
    "TurnStopParams",
    "TurnsResumeReq",
    "TurnsStopReq",
    "is_streaming_req",
]

MAX_PAGE_SIZE = 9999
"""The largest ``limit`` of a page; the stock client asks for this many threads."""

PageLimit = Annotated[int, Field(strict=True, ge=0, le=MAX_PAGE_SIZE)]
FeedbackKind: TypeAlias = Literal["positive", "negative"]
_Id: TypeAlias = Annotated[str, Id()]
_Cursor: TypeAlias = Annotated[str, Id("cursor_chars")]
_Name: TypeAlias = Annotated[str, Bound("name_chars")]
_Text: TypeAlias = Annotated[str, Bound("text_chars")]
_Ids: TypeAlias = Annotated[list[_Id], Bound("list_entries"), FailFast()]
_Bytes: TypeAlias = Annotated[int, Field(le=2**53 - 1)]


class BaseReq(Model):
    """What every request has.

    Attributes:
        metadata: Free for the application, but for the keys that the module's docstring names.
    """

    metadata: Annotated[dict[str, Any], Bound("payload_bytes")] = Field(default_factory=dict)


class ThreadGetByIdParams(Model):
    """Names the thread."""

    thread_id: _Id


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
    """Which page of the owner's threads.

    Attributes:
        limit: Size of the page.
        order: Newest first, or oldest first.
        after: ``after`` of the previous page.
        capabilities: True: the answer also says what the server can do; see :class:`chatkit.types.Capabilities`.
    """

    limit: PageLimit | None = None
    order: Literal["asc", "desc"] = "desc"
    after: _Cursor | None = None
    capabilities: bool | None = None


class ThreadsListReq(BaseReq):
    """Asks for a page of threads."""

    type: Literal["threads.list"] = "threads.list"
    params: ThreadListParams


class ThreadAddUserMessageParams(Model):
    """The message and its thread."""

    input: UserMessageInput
    thread_id: _Id


class ThreadsAddUserMessageReq(BaseReq):
    """Adds a message and asks for the answer."""

    type: Literal["threads.add_user_message"] = "threads.add_user_message"
    params: ThreadAddUserMessageParams


class ThreadAddClientToolOutputParams(Model):
    """What the page's tool returned."""

    thread_id: _Id
    result: Annotated[Any, Bound("result_bytes")]


class ThreadsAddClientToolOutputReq(BaseReq):
    """Completes the thread's last, pending client tool call and asks for the answer."""

    type: Literal["threads.add_client_tool_output"] = "threads.add_client_tool_output"
    params: ThreadAddClientToolOutputParams


class ThreadAddStructuredInputParams(Model):
    """The answers to a structured input item."""

    thread_id: _Id
    item_id: _Id
    input: StructuredInputSubmission


class ThreadsAddStructuredInputReq(BaseReq):
    """Answers a pending structured input item and asks for the answer."""

    type: Literal["threads.add_structured_input"] = "threads.add_structured_input"
    params: ThreadAddStructuredInputParams


class ThreadCustomActionParams(Model):
    """A widget's action; ``item_id`` is the widget's item, None for an action of the page."""

    thread_id: _Id
    item_id: _Id | None = None
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

    thread_id: _Id
    item_id: _Id


class ThreadsRetryAfterItemReq(BaseReq):
    """Deletes everything after a user message and asks for the answer again."""

    type: Literal["threads.retry_after_item"] = "threads.retry_after_item"
    params: ThreadRetryAfterItemParams


class ItemFeedbackParams(Model):
    """What the user thinks of items."""

    thread_id: _Id
    item_ids: _Ids
    kind: FeedbackKind


class ItemsFeedbackReq(BaseReq):
    """Gives feedback."""

    type: Literal["items.feedback"] = "items.feedback"
    params: ItemFeedbackParams


class AttachmentDeleteParams(Model):
    """Names the attachment."""

    attachment_id: _Id


class AttachmentsDeleteReq(BaseReq):
    """Deletes an attachment and its file."""

    type: Literal["attachments.delete"] = "attachments.delete"
    params: AttachmentDeleteParams


class AttachmentCreateParams(Model):
    """The file that the user wants to attach.

    Attributes:
        name: File name.
        size: Bytes.
        mime_type: Media type as the browser gives it.
    """

    name: _Name
    size: _Bytes
    mime_type: _Name


class AttachmentsCreateReq(BaseReq):
    """Registers an attachment and asks where to upload it."""

    type: Literal["attachments.create"] = "attachments.create"
    params: AttachmentCreateParams


class InputTranscribeParams(Model):
    """A recording, base64."""

    audio_base64: Annotated[str, Bound("transcribe_bytes")]
    mime_type: _Name


class InputTranscribeReq(BaseReq):
    """Asks for the text of a recording."""

    type: Literal["input.transcribe"] = "input.transcribe"
    params: InputTranscribeParams


class ItemsListParams(Model):
    """Which page of the thread's items."""

    thread_id: _Id
    limit: PageLimit | None = None
    order: Literal["asc", "desc"] = "desc"
    after: _Cursor | None = None


class ItemsListReq(BaseReq):
    """Asks for a page of items."""

    type: Literal["items.list"] = "items.list"
    params: ItemsListParams


class ThreadUpdateParams(Model):
    """The thread's new title."""

    thread_id: _Id
    title: Annotated[str, Bound("title_chars")]


class ThreadsUpdateReq(BaseReq):
    """Renames a thread."""

    type: Literal["threads.update"] = "threads.update"
    params: ThreadUpdateParams


class ThreadSearchParams(Model):
    """What is searched for in the owner's threads.

    Attributes:
        query: What the user typed: words that a title or a message must all have; in quotation marks, words that must
            follow one another. The last word, and each that ends with an asterisk, also stands for words that begin
            with it.
        limit: Threads of the page; the server answers 100 at most.
        after: ``after`` of the page before.
    """

    query: Annotated[str, Bound("title_chars")]
    limit: PageLimit | None = None
    after: _Cursor | None = None


class ThreadsSearchReq(BaseReq):
    """Searches titles and messages; only for servers whose :class:`chatkit.types.Capabilities` have ``search``."""

    type: Literal["threads.search"] = "threads.search"
    params: ThreadSearchParams


class ThreadDeleteParams(Model):
    """Names the thread."""

    thread_id: _Id


class ThreadsDeleteReq(BaseReq):
    """Deletes a thread with all its items."""

    type: Literal["threads.delete"] = "threads.delete"
    params: ThreadDeleteParams


class TurnStopParams(Model):
    """Which turns to stop: the one named, or all that run in the thread."""

    thread_id: _Id
    turn_id: _Id | None = None


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

    thread_id: _Id
    after: _Cursor | None = None


class TurnsResumeReq(BaseReq):
    """Attaches to a running or just finished turn."""

    type: Literal["turns.resume"] = "turns.resume"
    params: TurnResumeParams


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
    | ThreadsSearchReq
    | InputTranscribeReq
    | ThreadsSyncCustomActionReq
    | TurnsStopReq
)
ChatKitReq: TypeAlias = Annotated[StreamingReq | NonStreamingReq, Discriminator("type")]


def is_streaming_req(request: ChatKitReq) -> TypeIs[StreamingReq]:
    """Returns whether a request is answered with a stream."""
    return isinstance(request, StreamingReq)
