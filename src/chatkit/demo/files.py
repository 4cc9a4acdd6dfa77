"""What the guide says of files that come with a message."""

from __future__ import annotations

from collections.abc import Sequence

from chatkit.types import Attachment

__all__ = ["files_text"]


def files_text(attachments: Sequence[Attachment], sizes: Sequence[int | None]) -> str:
    """Returns what the guide says of files that came with a message, in Markdown.

    ``sizes`` is the number of bytes of each, None for a file that could not be read.
    """
    count = "a file" if len(attachments) == 1 else f"{len(attachments)} files"
    lines = [
        f"- `{attachment.name.replace('`', chr(39)) or 'without a name'}` ({attachment.mime_type}, {_size(size)})"
        for attachment, size in zip(attachments, sizes, strict=True)
    ]
    end = "No model looks at what is in there; it stays with this thread and is deleted with it."
    return "\n".join([f"I got {count}:", "", *lines, "", end])


def _size(size: int | None) -> str:
    if size is None:
        return "not readable"
    for unit, factor in (("MB", 1_000_000), ("kB", 1000)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return "1 byte" if size == 1 else f"{size} bytes"
