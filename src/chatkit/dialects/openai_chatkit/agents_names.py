"""Names of other modules that applications of ``openai-chatkit`` take from ``chatkit.agents``."""

# ruff: noqa: PLC0414 - each name is passed on, which type checkers take from its alias.

from typing_extensions import TypeVar as _TypeVar

from chatkit.dialects.openai_chatkit.names import *  # noqa: F403
from chatkit.types import Annotation as Annotation
from chatkit.types import Attachment as Attachment
from chatkit.types import DurationSummary as DurationSummary
from chatkit.types import EndOfTurnItem as EndOfTurnItem
from chatkit.types import FileSource as FileSource
from chatkit.types import GeneratedImage as GeneratedImage
from chatkit.types import GeneratedImageItem as GeneratedImageItem
from chatkit.types import GeneratedImageUpdated as GeneratedImageUpdated
from chatkit.types import Task as Task
from chatkit.types import TaskItem as TaskItem
from chatkit.types import ThoughtTask as ThoughtTask
from chatkit.types import URLSource as URLSource
from chatkit.types import UserMessageTagContent as UserMessageTagContent
from chatkit.types import UserMessageTextContent as UserMessageTextContent
from chatkit.types import Workflow as Workflow
from chatkit.types import WorkflowSummary as WorkflowSummary
from chatkit.widgets import Markdown as Markdown
from chatkit.widgets import Text as Text

T1 = _TypeVar("T1")
T2 = _TypeVar("T2")
TContext = _TypeVar("TContext")
TWidget = _TypeVar("TWidget", bound=Markdown | Text)
