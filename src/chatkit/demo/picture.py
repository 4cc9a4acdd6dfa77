"""A small picture, computed."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Final

__all__ = ["picture"]

_EDGE: Final = 64


def picture(detail: int) -> str:
    """Returns a sunset as a PNG of 64 x 64 pixels in a data URL.

    Args:
        detail: Cells along each edge, 1 to 64; fewer make it blockier.
    """
    rows = bytearray()
    for y in range(_EDGE):
        rows.append(0)  # PNG: this line is not filtered.
        for x in range(_EDGE):
            rows += bytes(_colour(_middle(x, detail), _middle(y, detail)))
    header = struct.pack(">IIBBBBB", _EDGE, _EDGE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
    return "data:image/png;base64," + base64.b64encode(png + _chunk(b"IEND", b"")).decode("ascii")


def _middle(position: int, detail: int) -> float:
    """Returns the middle of the cell that a pixel lies in, from 0 to 1."""
    return (position * detail // _EDGE + 0.5) / detail


def _colour(x: float, y: float) -> tuple[int, int, int]:
    if (x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.05:
        return 255, 214, 110
    if y > 0.65:
        return 30, 60 + round(40 * (1 - y)), 110
    return round(110 + 140 * y), round(70 + 110 * y), 130


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
