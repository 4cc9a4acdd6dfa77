"""Names of other modules that applications of ``openai-chatkit`` take from ``chatkit.server``."""

# ruff: noqa: PLC0414 - each name is passed on, which type checkers take from its alias.

from chatkit.actions import Action as Action
from chatkit.dialects.openai_chatkit.names import *  # noqa: F403
from chatkit.errors import CustomStreamError as CustomStreamError
from chatkit.errors import ErrorCode as ErrorCode
from chatkit.errors import StreamError as StreamError
from chatkit.files.base import AttachmentStore as AttachmentStore
from chatkit.logger import logger as logger
from chatkit.types import AttachmentsCreateReq as AttachmentsCreateReq
from chatkit.types import AttachmentsDeleteReq as AttachmentsDeleteReq
from chatkit.types import AudioInput as AudioInput
from chatkit.types import ChatKitReq as ChatKitReq
from chatkit.types import ErrorEvent as ErrorEvent
from chatkit.types import FeedbackKind as FeedbackKind
from chatkit.types import InputTranscribeReq as InputTranscribeReq
from chatkit.types import ItemsFeedbackReq as ItemsFeedbackReq
from chatkit.types import ItemsListReq as ItemsListReq
from chatkit.types import NonStreamingReq as NonStreamingReq
from chatkit.types import Page as Page
from chatkit.types import StreamingReq as StreamingReq
from chatkit.types import StreamOptions as StreamOptions
from chatkit.types import StreamOptionsEvent as StreamOptionsEvent
from chatkit.types import StructuredInputAnswer as StructuredInputAnswer
from chatkit.types import StructuredInputMultipleChoice as StructuredInputMultipleChoice
from chatkit.types import StructuredInputSubmission as StructuredInputSubmission
from chatkit.types import SyncCustomActionResponse as SyncCustomActionResponse
from chatkit.types import Thread as Thread
from chatkit.types import ThreadCreatedEvent as ThreadCreatedEvent
from chatkit.types import ThreadItemReplacedEvent as ThreadItemReplacedEvent
from chatkit.types import ThreadsAddClientToolOutputReq as ThreadsAddClientToolOutputReq
from chatkit.types import ThreadsAddStructuredInputReq as ThreadsAddStructuredInputReq
from chatkit.types import ThreadsAddUserMessageReq as ThreadsAddUserMessageReq
from chatkit.types import ThreadsCreateReq as ThreadsCreateReq
from chatkit.types import ThreadsCustomActionReq as ThreadsCustomActionReq
from chatkit.types import ThreadsDeleteReq as ThreadsDeleteReq
from chatkit.types import ThreadsGetByIdReq as ThreadsGetByIdReq
from chatkit.types import ThreadsListReq as ThreadsListReq
from chatkit.types import ThreadsRetryAfterItemReq as ThreadsRetryAfterItemReq
from chatkit.types import ThreadsSyncCustomActionReq as ThreadsSyncCustomActionReq
from chatkit.types import ThreadsUpdateReq as ThreadsUpdateReq
from chatkit.types import ThreadUpdatedEvent as ThreadUpdatedEvent
from chatkit.types import TranscriptionResult as TranscriptionResult
from chatkit.types import UserMessageInput as UserMessageInput
from chatkit.types import WidgetComponent as WidgetComponent
from chatkit.types import WidgetComponentUpdated as WidgetComponentUpdated
from chatkit.types import WidgetRootUpdated as WidgetRootUpdated
from chatkit.types import WidgetStreamingTextValueDelta as WidgetStreamingTextValueDelta
from chatkit.types import is_streaming_req as is_streaming_req
from chatkit.widgets import WidgetComponentBase as WidgetComponentBase
