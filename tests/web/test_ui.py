"""The element and the page over HTTP: what is served, how long it may be kept, what the page may do."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from chatkit.demo import GuideServer
from chatkit.errors import ConfigurationError
from chatkit.store import MemoryStore
from chatkit.web import Page, Prompt, create_app, single_user, ui, ui_is_built, ui_routes

FIRST_PAINT_BYTES = 120 * 1024
CHUNK_BYTES = 20 * 1024
"""What is loaded when it is needed, each piece."""
LARGE_CHUNKS = {"temml": 64 * 1024, "iconLibrary": 112 * 1024}
"""Formulas, and icons that the protocol does not name: whole libraries."""

pytestmark = pytest.mark.skipif(not ui_is_built(), reason="the user interface is not built; run scripts/ui")


def client(**options: Any) -> TestClient:
    return TestClient(create_app(GuideServer(MemoryStore()), context=single_user(), **options))


@pytest.fixture
def page() -> Iterator[TestClient]:
    with client(ui=True) as opened:
        yield opened


def addresses(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', html)


def options_of(html: str) -> dict[str, Any]:
    found = re.search(r'name="chatkit-page" content="([^"]*)"', html)
    assert found
    return json.loads(unescape(found[1]))


def static_imports(code: str) -> set[str]:
    """Chunks that a module needs before it runs."""
    return set(re.findall(r'(?:from|import)\s*"\./([\w.-]+\.js)"', code))


def test_everything_that_the_page_names_is_there(page: TestClient) -> None:
    answer = page.get("/")
    assert answer.status_code == 200
    named = addresses(answer.text)
    assert len(named) == 4
    for address in named:
        found = page.get(address)
        assert found.status_code == 200, address
        assert found.headers["x-content-type-options"] == "nosniff"
    assert options_of(answer.text)["url"] == "/chatkit"


def test_the_page_may_do_little(page: TestClient) -> None:
    headers = page.get("/").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_what_has_a_hash_in_its_name_is_kept_for_ever(page: TestClient) -> None:
    entry = page.get("/chatkit.js")
    assert entry.headers["cache-control"] == page.get("/").headers["cache-control"] == "no-cache"
    chunk = re.search(r"chunks/[\w.-]+", entry.text)
    assert chunk
    assert page.get(f"/{chunk[0]}").headers["cache-control"] == "public, max-age=31536000, immutable"


def test_what_has_not_changed_is_not_sent_again(page: TestClient) -> None:
    etag = page.get("/chatkit.js").headers["etag"]
    again = page.get("/chatkit.js", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert page.get("/chatkit.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_build_that_differs_in_nothing_but_its_content_is_sent(
    page: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(ui.STATIC, tmp_path / "static")
    entry = tmp_path / "static" / "chatkit.js"
    content = entry.read_bytes()
    # Its chunks' names have other hashes; their length, and the time that a reproducible build gives, are the same.
    entry.write_bytes(content.swapcase())
    os.utime(entry, (1, 1))
    etag = page.get("/chatkit.js").headers["etag"]
    monkeypatch.setattr(ui, "STATIC", tmp_path / "static")
    ui._files.cache_clear()
    try:
        answer = page.get("/chatkit.js", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.content) == (200, content.swapcase())
    finally:
        ui._files.cache_clear()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_compressed_for_whom_takes_it(page: TestClient, encoding: str) -> None:
    name = next(path.name for path in (ui.STATIC / "chunks").glob("element-*.js"))
    answer = page.get(f"/chunks/{name}", headers={"Accept-Encoding": encoding})
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert answer.content == (ui.STATIC / "chunks" / name).read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/chunks/nothing.js", "/assets/..%2Findex.html", "/chunks/..%2f..%2fui.py", "/chunks/"]
)
def test_nothing_else_is_served(page: TestClient, path: str) -> None:
    assert page.get(path).status_code == 404


def first_paint() -> dict[str, int]:
    """Chunks that the element needs before it is shown, with their compressed sizes."""
    code = (ui.STATIC / "chatkit.js").read_text(encoding="utf-8")
    waiting = {name.removeprefix("chunks/") for name in re.findall(r"chunks/[\w.-]+\.js", code)}
    sizes: dict[str, int] = {}
    while waiting:
        name = waiting.pop()
        content = (ui.STATIC / "chunks" / name).read_bytes()
        sizes[name] = len(gzip.compress(content, mtime=0))
        waiting |= static_imports(content.decode()) - sizes.keys()
    return sizes


def test_first_paint_is_small() -> None:
    sizes = first_paint()
    assert len(sizes) > 1
    assert sum(sizes.values()) <= FIRST_PAINT_BYTES, sizes


def test_what_is_loaded_on_demand_is_small() -> None:
    later = {
        path.name: path for path in (ui.STATIC / "chunks").glob("*.js") if path.name not in first_paint()
    }
    sizes = {name: len(gzip.compress(path.read_bytes(), mtime=0)) for name, path in later.items()}
    assert len(sizes) > 10
    too_large = {
        name: size for name, size in sizes.items() if size > LARGE_CHUNKS.get(name.split("-")[0], CHUNK_BYTES)
    }
    assert not too_large


def test_style_sheets_are_shortened() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ui.STATIC / "chunks").glob("*.js"))
    assert "box-sizing" in code
    assert re.search(r"\{\s*\n\s+box-sizing", code) is None


def test_the_page_of_an_application(tmp_path: Path) -> None:
    prompts = [Prompt('Say "<hello>"', "hello", icon="sparkle")]
    with client(
        ui=Page(title="Ask & <tell>", prompts=prompts, connect=["https://files.example.com"]), path="/api"
    ) as page:
        answer = page.get("/")
    options = options_of(answer.text)
    assert options["url"] == "/api"
    assert options["prompts"] == [{"label": 'Say "<hello>"', "prompt": "hello", "icon": "sparkle"}]
    assert "<title>Ask &amp; &lt;tell&gt;</title>" in answer.text
    assert "connect-src 'self' https://files.example.com;" in answer.headers["content-security-policy"]


def test_below_another_path() -> None:
    app = create_app(GuideServer(MemoryStore()), context=single_user(), ui=True)
    with TestClient(Starlette(routes=[Mount("/sub", app)])) as mounted:
        answer = mounted.get("/sub/")
        assert options_of(answer.text)["url"] == "/sub/chatkit"
        assert all(mounted.get(address).status_code == 200 for address in addresses(answer.text))


def test_where_users_sign_in() -> None:
    here = Page(sign_in_url="/sign-in?kind=staff")
    app = create_app(GuideServer(MemoryStore()), context=single_user(), ui=here)
    with TestClient(Starlette(routes=[Mount("/sub", app)])) as mounted:
        assert options_of(mounted.get("/sub/").text)["signIn"] == "/sub/sign-in?kind=staff"
    with client(ui=Page(sign_in_url="https://sign-in.example.com/?rd={page}")) as page:
        assert options_of(page.get("/").text)["signIn"] == "https://sign-in.example.com/?rd={page}"
    with client(ui=True) as page:
        assert "signIn" not in options_of(page.get("/").text)
    for wrong in ("sign-in", "//elsewhere.example", "javascript:alert(1)", "https:///", "/a b", ""):
        with pytest.raises(ConfigurationError, match="sign_in_url"):
            Page(sign_in_url=wrong)


def test_the_element_alone() -> None:
    with client(routes=ui_routes(path="/static/chat/")) as own:
        assert own.get("/static/chat/chatkit.js").status_code == 200
        assert own.get("/static/chat/").status_code == 404
        assert own.get("/").status_code == 404


def test_the_module_for_pages_of_the_stock_element(page: TestClient) -> None:
    answer = page.get("/resumable-fetch.js")
    assert answer.status_code == 200
    # A module of another origin is loaded with CORS, and browsers run no script of another type.
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert len(gzip.compress(answer.content)) <= 6 * 1024
    assert not re.search(r"\bimport\b", answer.text), "it has to be one file"
    assert re.search(r"export\s*\{\w+ as resumableFetch\}", answer.text)
    with client(routes=ui_routes(path="/static/")) as own:
        assert own.get("/static/resumable-fetch.js").content == answer.content


def test_without_ui_there_is_none() -> None:
    with client() as plain:
        assert plain.get("/").status_code == plain.get("/chatkit.js").status_code == 404


def test_an_installation_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ui, "STATIC", tmp_path)
    assert not ui_is_built()
    with pytest.raises(ConfigurationError, match="has no user interface"):
        ui_routes()


@pytest.mark.parametrize("path", ["", "chat/", "/chat"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(ConfigurationError, match="slash"):
        ui_routes(path=path)


@pytest.mark.parametrize("source", ["", "https://a.example; script-src *", "'unsafe-inline'", "a b"])
def test_a_source_cannot_change_the_policy(source: str) -> None:
    with pytest.raises(ConfigurationError, match="no source"):
        Page(connect=[source])
