"""Small pictures of large ones, whatever the large one is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from chatkit.errors import ConfigurationError
from chatkit.files import thumbnails
from chatkit.files.rendering import PictureRefusedError, render
from chatkit.files.thumbnails import check_preview_size, has_previews, make_preview
from tests.files.page import PNG
from tests.files.pictures import as_file, bomb, gradient, many_scans, opened
from tests.support.scale import examples, scaled

WIDE = gradient(1600, 800)


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (as_file(WIDE, "PNG"), "image/png"),
        (as_file(WIDE, "JPEG"), "image/jpeg; charset=binary"),
        (as_file(WIDE.convert("CMYK"), "JPEG"), "image/jpg"),
        (as_file(WIDE, "JPEG", progressive=True), "image/jpeg"),
        (as_file(WIDE, "WEBP"), "IMAGE/WEBP"),
        (as_file(WIDE, "AVIF"), "image/avif"),
        (as_file(WIDE, "BMP"), "image/bmp"),
        (as_file(WIDE, "GIF"), "image/gif"),
        (as_file(WIDE.convert("P"), "PNG"), "image/png"),
        (as_file(WIDE.convert("L"), "PNG"), "image/png"),
        (as_file(WIDE.convert("LA"), "PNG"), "image/png"),
        (as_file(WIDE.convert("1"), "PNG"), "image/png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_large_picture_becomes_small(content: bytes, mime_type: str) -> None:
    small = await make_preview(content, mime_type, 640)
    assert small is not None
    image = opened(small)
    assert (image.format, image.size) == ("WEBP", (640, 320))
    grey = image.convert("L")
    dark, bright = grey.getpixel((20, 160)), grey.getpixel((620, 160))
    assert isinstance(dark, int)
    assert isinstance(bright, int)
    assert abs(dark - bright) > 150


async def test_sixteen_bits_of_grey_are_scaled() -> None:
    grey = WIDE.convert("I").point(lambda value: value * 257).convert("I;16")
    small = await make_preview(as_file(grey, "PNG"), "image/png", 640)
    assert small is not None
    values = {opened(small).convert("L").getpixel((x, 10)) for x in (20, 320, 620)}
    assert len(values) == 3


async def test_what_can_be_seen_through_stays_so() -> None:
    clear = Image.new("RGBA", (1000, 1000), (0, 0, 0, 0))
    palette = Image.new("P", (1000, 1000), 0)
    for content in (as_file(clear, "PNG"), as_file(palette, "PNG", transparency=0)):
        small = await make_preview(content, "image/png", 640)
        assert small is not None
        assert opened(small).convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


async def test_a_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees; its place is in there too.
    exif[0x010F] = "Maker of the camera"
    content = as_file(WIDE, "JPEG", exif=exif)
    assert b"Maker of the camera" in content
    small = await make_preview(content, "image/jpeg", 640)
    assert small is not None
    assert opened(small).size == (320, 640)
    assert b"Maker" not in small
    assert not opened(small).getexif()


async def test_a_profile_of_colours_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    small = await make_preview(as_file(WIDE, "JPEG", icc_profile=profile), "image/jpeg", 640)
    assert small is not None
    assert opened(small).info["icc_profile"] == profile


async def test_of_a_moving_picture_the_first_frame_is_shown() -> None:
    frames = [Image.new("RGB", (900, 900), colour) for colour in ("red", "green", "blue")]
    for kind, mime_type in (("GIF", "image/gif"), ("WEBP", "image/webp"), ("PNG", "image/apng")):
        content = as_file(frames[0], kind, save_all=True, append_images=frames[1:])
        small = await make_preview(content, mime_type, 640)
        assert small is not None
        image = opened(small)
        assert getattr(image, "n_frames", 1) == 1
        red, green, _ = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert red > 200 > 50 > green


async def test_a_small_picture_is_its_own_preview() -> None:
    assert await make_preview(as_file(gradient(640, 200), "PNG"), "image/png", 640) is None
    assert await make_preview(as_file(gradient(641, 200), "PNG"), "image/png", 640) is not None
    # Small in pixels and large in bytes.
    heavy = as_file(Image.effect_noise((640, 640), 100), "BMP")
    assert await make_preview(heavy, "image/bmp", 640) is not None


@pytest.mark.parametrize("size", [(20_000, 20_000), (100_000, 100_000)])
async def test_bombs_are_not_decoded(size: tuple[int, int]) -> None:
    assert await make_preview(bomb(*size), "image/png", 640) is None


async def test_pixels_are_counted() -> None:
    for kind, mime_type, side in (("PNG", "image/png", 5000), ("JPEG", "image/jpeg", 8000)):
        most, more = (as_file(Image.new("L", (side, height)), kind) for height in (side, side + 1))
        assert await make_preview(most, mime_type, 640) is not None
        assert await make_preview(more, mime_type, 640) is None


async def test_a_large_file_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = as_file(WIDE, "PNG")
    (tmp_path / "a").write_bytes(content)
    assert await make_preview(tmp_path / "a", "image/png", 640) is not None
    monkeypatch.setattr(thumbnails, "MAX_SOURCE_BYTES", len(content) - 1)
    assert await make_preview(content, "image/png", 640) is None
    assert await make_preview(tmp_path / "a", "image/png", 640) is None


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (PNG, "image/png"),
        (b"", "image/png"),
        (as_file(WIDE, "PNG")[:2000], "image/png"),
        (as_file(WIDE, "JPEG")[:2000], "image/jpeg"),
        (as_file(WIDE, "GIF")[:2000], "image/gif"),
        (as_file(WIDE, "PNG"), "image/jpeg"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='2000' height='2000'/>", "image/svg+xml"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='2000' height='2000'/>", "image/png"),
        (as_file(WIDE, "TIFF"), "image/tiff"),
        (as_file(WIDE, "PDF"), "application/pdf"),
        (b"text", "text/plain"),
    ],
)
async def test_what_has_no_preview(content: bytes, mime_type: str) -> None:
    assert await make_preview(content, mime_type, 640) is None


async def test_previews_can_be_switched_off() -> None:
    assert await make_preview(as_file(WIDE, "PNG"), "image/png", None) is None
    for size in (15, 0, -1, 4097):
        with pytest.raises(ConfigurationError, match="preview_size"):
            check_preview_size(size)


_whole = as_file(gradient(700, 100), "JPEG")


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, len(_whole) - 1), st.binary(min_size=1, max_size=40))
def test_any_damage_has_an_answer(position: int, damage: bytes) -> None:
    damaged = _whole[:position] + damage + _whole[position + len(damage) :]
    try:
        small = render(damaged, "JPEG", 640)
    except Exception:  # noqa: BLE001 -- the program that calls it tells, and ends
        return
    assert small is None or max(opened(small).size) <= 640


@pytest.mark.parametrize(("side", "scans"), [(2000, 2500), (8000, 20), (5000, 60)])
async def test_scans_are_counted(side: int, scans: int) -> None:
    hostile = many_scans(side, scans)
    with pytest.raises(PictureRefusedError, match="scans"):
        render(hostile, "JPEG", 640)
    assert await make_preview(hostile, "image/jpeg", 640) is None


async def test_usual_numbers_of_scans_are_fine() -> None:
    for mode in ("RGB", "CMYK", "L"):
        whole = as_file(gradient(3000, 2000, mode), "JPEG", progressive=True)
        assert await make_preview(whole, "image/jpeg", 640) is not None


def test_without_pillow_there_are_none() -> None:
    program = (
        "import sys, asyncio; sys.modules['PIL'] = None\n"
        "from chatkit.files import LocalFileStore\n"
        "from chatkit.files.thumbnails import has_previews, make_preview\n"
        "print(has_previews('image/png'), asyncio.run(make_preview(b'', 'image/png', 640)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=scaled(60)
    )
    assert done.stdout == "False None\n"
    assert has_previews("image/png")
