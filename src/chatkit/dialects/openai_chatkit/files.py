"""An adapter for attachment stores that were written for ``openai-chatkit``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from chatkit.dialects.openai_chatkit.calls import CallForm, accepts, call, call_form, call_maybe_async
from chatkit.errors import UnsupportedOperationError
from chatkit.files.base import AttachmentStore
from chatkit.types import Attachment, AttachmentCreateParams

__all__ = ["OpenAIFilesAdapter", "adapt_attachment_store"]

TContext = TypeVar("TContext")

FORMS: Final[Mapping[str, CallForm]] = {
    "delete_attachment": call_form("attachment_id context", 1),
    "create_attachment": call_form("input context", 2),
    "generate_attachment_id": call_form("mime_type context", 2),
}
"""How 1.6.5 calls each method of an attachment store."""

_OPTIONAL: Final[Mapping[str, CallForm]] = {
    "upload_attachment": call_form("input source context", 3),
    "check_attachment": call_form("attachment context", 2),
    "claim_attachment": call_form("attachment context", 2),
    "release_attachment": call_form("attachment context", 2),
    "copy_attachment": call_form("attachment context", 2),
    "refresh_attachment": call_form("attachment context", 2),
    "sweep_orphans": call_form("", 0),
}
"""The methods that only this package calls, where a class derived from the port overrides them."""


def adapt_attachment_store(files: Any) -> Any:
    """Returns an attachment store of an application as one that takes all calls; anything else as it is."""
    kind = cast("type[Any]", type(files))
    derived = issubclass(kind, AttachmentStore)
    if derived and any(
        base is not AttachmentStore and base.__module__.startswith("chatkit.")
        for base in kind.__mro__
        if issubclass(base, AttachmentStore)
    ):
        return files
    return OpenAIFilesAdapter[Any](files) if derived or _has_methods(files) else files


def _has_methods(files: object) -> bool:
    # A file store of the reference's kind has a method delete().
    return any(callable(getattr(files, name, None)) for name in FORMS) and not callable(
        getattr(files, "get_upload_url", None)
    )


class OpenAIFilesAdapter(AttachmentStore[TContext], Generic[TContext]):
    """An attachment store over one that an application wrote.

    Args:
        files: The application's, which is not changed; its methods may be sync or async.
    """

    def __init__(self, files: Any) -> None:
        self.files = files
        kind: Any = cast("object", type(files))
        self._overridden = {
            name
            for name, form in _OPTIONAL.items()
            if isinstance(files, AttachmentStore)
            and getattr(kind, name) is not getattr(cast("Any", AttachmentStore), name)
            and accepts(getattr(kind, name), form)
        }

    async def _ask(self, name: str, *arguments: Any) -> Any:
        method = getattr(self.files, name, None)
        if not callable(method):
            raise UnsupportedOperationError(
                f"{type(self.files).__name__} has no method {name}(), which this request needs. Write it with the "
                f"parameters ({', '.join(FORMS[name].names)}); the other requests do without."
            )
        return await call_maybe_async(method, FORMS[name], arguments)

    async def _ask_optional(self, name: str, default: Any, *arguments: Any) -> Any:
        """Returns what an optional method gives, or the default where the store does not override it."""
        if name not in self._overridden:
            return default
        return await call_maybe_async(getattr(self.files, name), _OPTIONAL[name], arguments)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await self._ask("delete_attachment", attachment_id, context)

    async def create_attachment(self, input: AttachmentCreateParams, context: TContext) -> Attachment:
        return await self._ask("create_attachment", input, context)

    def generate_attachment_id(self, mime_type: str, context: TContext) -> str:
        method = getattr(self.files, "generate_attachment_id", None)
        if not callable(method):
            return super().generate_attachment_id(mime_type, context)
        return cast("str", call(method, FORMS["generate_attachment_id"], (mime_type, context)))

    async def upload_attachment(
        self, input: AttachmentCreateParams, source: Path, context: TContext
    ) -> Attachment:
        if "upload_attachment" not in self._overridden:
            raise UnsupportedOperationError(
                f"{type(self.files).__name__} must override upload_attachment() to take direct uploads."
            )
        return await self._ask_optional("upload_attachment", None, input, source, context)

    async def check_attachment(self, attachment: Attachment, context: TContext) -> None:
        await self._ask_optional("check_attachment", None, attachment, context)

    async def claim_attachment(self, attachment: Attachment, context: TContext) -> None:
        await self._ask_optional("claim_attachment", None, attachment, context)

    async def release_attachment(self, attachment: Attachment, context: TContext) -> None:
        await self._ask_optional("release_attachment", None, attachment, context)

    async def copy_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        return await self._ask_optional("copy_attachment", attachment, attachment, context)

    async def refresh_attachment(self, attachment: Attachment, context: TContext) -> Attachment:
        return await self._ask_optional("refresh_attachment", attachment, attachment, context)

    async def sweep_orphans(self) -> int:
        return await self._ask_optional("sweep_orphans", 0)
