"""What `scripts/docs` checks of the site: its pages load nothing from other hosts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
GOOD = (
    '<link rel="canonical" href="https://docs.example.com/"><a href="https://example.com">there</a>'
    '<script src="a.js"></script><img src="/b.png"><style>p { background: url(c.png) }</style>'
)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("index.html", '<script src="https://cdn.example.com/a.js"></script>'),
        ("index.html", "<script src=//cdn.example.com/a.js></script>"),
        ("index.html", '<link rel="stylesheet" href="https://fonts.example.com/css">'),
        ("index.html", '<link rel="preconnect canonical" href="https://fonts.example.com">'),
        ("index.html", '<img srcset="a.png 1x, https://example.com/b.png 2x">'),
        ("index.html", "<iframe src='http://example.com'></iframe>"),
        ("index.html", "<p style=\"background: url('https://example.com/a.png')\">"),
        ("index.html", "<style>@import 'https://example.com/a.css'</style>"),
        ("assets/a.css", "@font-face { src: url(https://fonts.example.com/a.woff2) }"),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(GOOD)
    assert check(tmp_path) == (0, "")
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(GOOD + text if file == "index.html" else text)
    status, told = check(tmp_path)
    assert status == 1
    assert told.startswith(f"{file} loads ")
    assert told.count("\n") == 1


def check(site: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-S", "-E", ROOT / "scripts/_check_site.py", site],
        capture_output=True,
        text=True,
        timeout=scaled(20),
        check=False,
    )
    return done.returncode, done.stderr
