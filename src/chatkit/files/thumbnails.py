"""Small pictures of large ones, by Pillow (extra ``images``); without it there are none.

Decoding the files of strangers is bounded: a few formats only, the size in pixels is looked at before anything is
decoded, and one picture is decoded at a time in a thread of its own.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import ConfigurationError
from chatkit.files.media_types import base_type

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "DEFAULT_PREVIEW_SIZE",
    "MAX_SOURCE_BYTES",
    "PREVIEW_TYPE",
    "check_preview_size",
    "has_previews",
    "make_preview",
    "render",
]

logger = logging.getLogger("chatkit.files")

DEFAULT_PREVIEW_SIZE: Final = 640
"""Pixels of a preview's longer side: twice what front ends show, for dense displays."""

PREVIEW_TYPE: Final = "image/webp"

MAX_SOURCE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of a file that a preview is made of at most."""

_SMALL_BYTES: Final = 256 * 1024
"""A picture of no more bytes, that is not too large in pixels either, is its own preview."""

# A JPEG is decoded at a fraction of its size; of others all pixels are in memory at once, four bytes each.
_MAX_PIXELS: Final = 25_000_000
_MAX_PIXELS_JPEG: Final = 64_000_000
_LONGEST_PROFILE: Final = 64 * 1024

_FORMATS: Final = {
    "image/apng": "PNG",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
}


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="chatkit-previews")


def check_preview_size(size: int | None) -> int | None:
    """Returns the size.

    Raises:
        ConfigurationError: It is not None and not between 16 and 4096.
    """
    if size is not None and not 16 <= size <= 4096:
        raise ConfigurationError("preview_size is 16 to 4096 pixels, or None for no previews of their own.")
    return size


@cache
def _pillow_is_installed() -> bool:
    return find_spec("PIL") is not None


def has_previews(mime_type: str) -> bool:
    """Tells whether previews of such files can be made here."""
    return base_type(mime_type) in _FORMATS and _pillow_is_installed()


async def make_preview(source: bytes | Path, mime_type: str, size: int | None) -> bytes | None:
    """Returns a preview as a file of ``PREVIEW_TYPE``; None where the file itself is to be shown.

    That is a file which is small already, is no picture of the kinds that can be made smaller, is corrupt, or is too
    large to be decoded; and every file where Pillow is not installed.

    Args:
        source: The file.
        mime_type: Its media type.
        size: Pixels of the longer side; None makes no previews.
    """
    if size is None or not has_previews(mime_type):
        return None
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_thread(), render, source, mime_type, size)


def render(source: bytes | Path, mime_type: str, size: int) -> bytes | None:
    """Does the work of ``make_preview`` in this thread; Pillow has to be there."""
    length = len(source) if isinstance(source, bytes) else source.stat().st_size
    if length > MAX_SOURCE_BYTES:
        return None
    from PIL import Image

    kind = _FORMATS[base_type(mime_type)]
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=[kind]) as image:
            width, height = image.size
            if max(width, height) <= size and length <= _SMALL_BYTES:
                return None
            if width * height > (_MAX_PIXELS_JPEG if kind == "JPEG" else _MAX_PIXELS):
                logger.info("A picture of %d x %d pixels is too large for a preview.", width, height)
                return None
            return _shrunk(image, size)
    except Exception as error:  # noqa: BLE001 -- decoders raise all kinds of errors for a corrupt file
        logger.info("A picture cannot be decoded, so it has no preview: %s", error)
        return None


def _shrunk(image: Image, size: int) -> bytes:
    """Returns the first frame, upright and no larger than ``size``, without the metadata of the file."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    profile = image.info.get("icc_profile")
    # The decoder of JPEG then leaves out what would not be seen; for other formats nothing happens here.
    image.draft(None, (size * 2, size * 2))
    keeps_profile = image.mode in {"RGB", "RGBA"}
    shown = _in_colour(image)
    shown.thumbnail((size, size), Resampling.LANCZOS)
    shown = ImageOps.exif_transpose(shown)
    options = {}
    if keeps_profile and isinstance(profile, bytes) and len(profile) <= _LONGEST_PROFILE:
        options["icc_profile"] = profile
    target = io.BytesIO()
    shown.save(target, "WEBP", quality=82, method=4, exif=b"", **options)
    return target.getvalue()


def _in_colour(image: Image) -> Image:
    if image.mode in {"RGB", "RGBA", "L"} and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # Sixteen bits of grey, which a conversion would cut off instead of scaling.
        grey: Any = image.convert("I")
        scale: Callable[[Any], Any] = lambda value: value * (1 / 257)  # noqa: E731
        return grey.point(scale).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("RGB")
