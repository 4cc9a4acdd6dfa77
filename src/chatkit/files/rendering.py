"""The program that makes a preview with Pillow (extra ``images``).

Also a program: it reads the picture from standard input and writes the preview to standard output, within limits on
memory and time. It imports nothing of the package, so that it starts quickly.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureRefusedError", "render"]

SMALL_BYTES: Final = 256 * 1024
"""A picture of no more bytes, that is not too large in pixels either, is its own preview."""

# A JPEG is decoded at a fraction of its size; of others all pixels are in memory at once, four bytes each.
MAX_PIXELS: Final = 25_000_000
MAX_PIXELS_JPEG: Final = 64_000_000

MAX_PIXEL_SCANS: Final = 1_200_000_000
"""Pixels times scans of a JPEG: a progressive one goes over all its pixels in each of its scans, usually ten."""

_START_OF_SCAN: Final = b"\xff\xda"
_LONGEST_PROFILE: Final = 64 * 1024
_MEMORY_BYTES: Final = 2 * 1024**3


class PictureRefusedError(Exception):
    """Decoding the picture would take too much memory or time."""


def render(source: bytes, kind: str, size: int) -> bytes | None:
    """Returns the preview as WebP; None where the picture is small enough to be its own preview.

    Args:
        source: The file.
        kind: Pillow's name of its format, such as ``"JPEG"``; nothing else is tried.
        size: Pixels of the longer side.

    Raises:
        PictureRefusedError: It is too large to be decoded.
        Exception: It is corrupt, or of another format.
    """
    from PIL import Image

    with Image.open(io.BytesIO(source), formats=[kind]) as image:
        width, height = image.size
        if max(width, height) <= size and len(source) <= SMALL_BYTES:
            return None
        if width * height > (MAX_PIXELS_JPEG if kind == "JPEG" else MAX_PIXELS):
            raise PictureRefusedError(f"{width} x {height} pixels are too many")
        # Compressed data never holds this marker; a thumbnail inside the file may, and counts as one scan more.
        scans = source.count(_START_OF_SCAN) if kind == "JPEG" else 1
        if width * height * scans > MAX_PIXEL_SCANS:
            raise PictureRefusedError(f"{scans} scans of {width} x {height} pixels are too many")
        return _shrunk(image, size)


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


def _limit_resources(seconds: int) -> None:
    """Bounds this process's memory and time, where the system can."""
    try:
        import resource
    except ImportError:  # Not on Windows.
        return
    for kind, most in ((resource.RLIMIT_AS, _MEMORY_BYTES), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main(kind: str, size: str, seconds: str) -> int:
    """Renders standard input to standard output; an empty output means that there is no preview."""
    _limit_resources(int(seconds))
    try:
        small = render(sys.stdin.buffer.read(), kind, int(size))
    except Exception as error:  # noqa: BLE001 -- decoders raise all kinds of errors for a corrupt file
        sys.stderr.write(" ".join(f"{type(error).__name__}: {error}".split())[:200])
        return 1
    sys.stdout.buffer.write(small or b"")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
