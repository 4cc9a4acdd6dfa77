"""Names that both ``chatkit.agents`` and ``chatkit.server`` of ``openai-chatkit`` offer, besides their own."""

# ruff: noqa: PLC0414 - each name is passed on, which type checkers take from its alias.

from chatkit.store.base import Store as Store
from chatkit.store.base import StoreItemType as StoreItemType
from chatkit.types import AssistantMessageContent as AssistantMessageContent
from chatkit.types import AssistantMessageContentPartAdded as AssistantMessageContentPartAdded
from chatkit.types import (
    AssistantMessageContentPartAnnotationAdded as AssistantMessageContentPartAnnotationAdded,
)
from chatkit.types import AssistantMessageContentPartDone as AssistantMessageContentPartDone
from chatkit.types import AssistantMessageContentPartTextDelta as AssistantMessageContentPartTextDelta
from chatkit.types import AssistantMessageItem as AssistantMessageItem
from chatkit.types import ClientToolCallItem as ClientToolCallItem
from chatkit.types import HiddenContextItem as HiddenContextItem
from chatkit.types import SDKHiddenContextItem as SDKHiddenContextItem
from chatkit.types import StructuredInputItem as StructuredInputItem
from chatkit.types import ThreadItem as ThreadItem
from chatkit.types import ThreadItemAddedEvent as ThreadItemAddedEvent
from chatkit.types import ThreadItemDoneEvent as ThreadItemDoneEvent
from chatkit.types import ThreadItemRemovedEvent as ThreadItemRemovedEvent
from chatkit.types import ThreadItemUpdatedEvent as ThreadItemUpdatedEvent
from chatkit.types import ThreadMetadata as ThreadMetadata
from chatkit.types import ThreadStreamEvent as ThreadStreamEvent
from chatkit.types import UserMessageItem as UserMessageItem
from chatkit.types import WidgetItem as WidgetItem
from chatkit.types import WorkflowItem as WorkflowItem
from chatkit.types import WorkflowTaskAdded as WorkflowTaskAdded
from chatkit.types import WorkflowTaskUpdated as WorkflowTaskUpdated
from chatkit.widgets import WidgetRoot as WidgetRoot
