"""Pictures of every kind, made for the tests."""

from __future__ import annotations

import io
import zlib
from typing import Any

from PIL import Image

__all__ = ["as_file", "bomb", "gradient", "many_scans", "opened"]


def gradient(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture whose left half is dark and whose right half is bright, so that a turn of it is seen."""
    ramp = Image.linear_gradient("L").rotate(90).resize((width, height))
    return ramp.convert(mode)


def as_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG of a few kilobytes whose last scan comes again and again."""
    whole = as_file(Image.new("L", (side, side)), "JPEG", progressive=True)
    scan, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    return whole[:end] + whole[scan:end] * scans + whole[end:]
