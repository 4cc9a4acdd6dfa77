"""Pages of other origins: which may post files with credentials that a browser adds by itself, and their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.testclient import TestClient

from chatkit.errors import AuthenticationError, ConfigurationError
from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore
from chatkit.web import Uploads, api_keys, bearer, create_app, single_user
from chatkit.web.fastapi import chatkit_router
from chatkit.web.origins import check_origins
from tests.files.page import PNG
from tests.web.sample import SampleServer, message

HOST = "chat.example.com"
EVIL = "https://evil.example"
APP = "https://app.example.org"
COOKIE = {"Cookie": "session=of-ada"}


@pytest.fixture
def server(tmp_path: Path) -> SampleServer:
    # Previews take more time than all else here.
    files = LocalFileStore(tmp_path / "files", secret="a secret of the tests", preview_size=None)
    return SampleServer(MemoryStore(), files)


def by_cookie(request: Request) -> dict[str, str]:
    user = request.cookies.get("session", "").removeprefix("of-")
    if not user:
        raise AuthenticationError
    return {"user_id": user}


def by_any_means(request: Request) -> dict[str, str]:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    return {"user_id": token} if token else by_cookie(request)


async def dependency(user: dict[str, str] = Depends(by_any_means)) -> dict[str, str]:  # noqa: B008
    return user


def starlette(server: SampleServer, **options: Any) -> Starlette:
    return create_app(server, **{"context": by_any_means, **options})


def fastapi(server: SampleServer, **options: Any) -> FastAPI:
    origins = options.pop("cors_origins", ())
    app = FastAPI()
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    app.include_router(chatkit_router(server, **{"context": dependency, **options}))
    return app


FRAMEWORKS = pytest.mark.parametrize("make", [starlette, fastapi])


def post(app: Any, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with TestClient(app, base_url=f"http://{HOST}") as client:
        answer = client.post("/chatkit/files", files={"file": ("a.png", PNG, "image/png")}, headers=named)
        if answer.status_code == 403:
            assert answer.json()["error"]["code"] == "forbidden"
            assert "Uploads(origins=[...])" in answer.json()["error"]["message"]
        return answer.status_code


FOREIGN = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"},
    {"Origin": f"https://other.{HOST}", "Sec_Fetch_Site": "same-site"},
    {"Origin": f"https://{HOST}.evil.example"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "something new"},
]


@FRAMEWORKS
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_posts_no_file_with_the_cookie_of_the_user(
    make: Any, headers: dict[str, str], server: SampleServer, tmp_path: Path
) -> None:
    assert post(make(server), **COOKIE, **headers) == 403
    # Others that are named change nothing about it.
    assert post(make(server, cors_origins=[APP]), **COOKIE, **headers) == 403
    assert not list((tmp_path / "files").rglob("*.png"))


@FRAMEWORKS
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_nor_to_the_only_user(make: Any, headers: dict[str, str], server: SampleServer) -> None:
    assert post(make(server, context=single_user()), **headers) == 403


@FRAMEWORKS
@pytest.mark.parametrize("scheme", ["Basic dTpw", "Negotiate abc", "Digest abc"])
def test_nor_with_a_password_that_the_browser_keeps(make: Any, scheme: str, server: SampleServer) -> None:
    assert (
        post(make(server, context=lambda request: {"user_id": "a"}), Authorization=scheme, Origin=EVIL) == 403
    )


@FRAMEWORKS
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": f"http://{HOST}"},
        {"Origin": f"https://{HOST}", "Sec_Fetch_Site": "same-origin"},
        # Behind a proxy that passes on another name, or no port.
        {"Origin": "https://public.example", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "https://public.example", "X_Forwarded_Host": "public.example"},
        {"Origin": "https://public.example:8443", "X_Forwarded_Host": "inner, public.example"},
        {"Origin": f"https://{HOST}:8443"},
        {"Origin": f"https://{HOST.upper()}"},
        # A page without a referrer, or what the user did without a page.
        {"Origin": "null", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
    ids=str,
)
def test_the_own_page_and_other_programs_do(make: Any, headers: dict[str, str], server: SampleServer) -> None:
    assert post(make(server), **COOKIE, **headers) == 200
    assert post(make(server, context=single_user()), **headers) == 200


@FRAMEWORKS
def test_a_page_that_is_named_does(make: Any, server: SampleServer) -> None:
    headers = {**COOKIE, "Origin": APP, "Sec_Fetch_Site": "cross-site"}
    assert post(make(server), **headers) == 403
    assert post(make(server, cors_origins=[APP]), **headers) == 200
    assert post(make(server, uploads=Uploads(origins=[f"{APP}/"])), **headers) == 200


@FRAMEWORKS
@pytest.mark.parametrize("page", [APP, "http://localhost:5173", "null"])
def test_a_token_in_a_header_is_enough_from_anywhere(make: Any, page: str, server: SampleServer) -> None:
    """Browsers ask before they send one, so CORS has decided already."""
    assert post(make(server), Authorization="Bearer ada", Origin=page, Sec_Fetch_Site="cross-site") == 200
    keys = api_keys({"key-of-ada": "ada"}, header="X-API-Key")
    assert post(make(server, context=keys), X_API_Key="key-of-ada", Origin=page) == 200
    tokens = bearer(lambda token: {"user_id": token})
    assert post(make(server, context=tokens), Authorization="Bearer ada", Origin=page, **COOKIE) == 200


def test_any_page_may_post_what_has_no_credentials_where_cors_says_so(server: SampleServer) -> None:
    def from_trial_header(request: Request) -> dict[str, str]:
        return {"user_id": request.headers["x-user-id"]}

    app = create_app(server, context=from_trial_header, cors_origins="*")
    assert post(app, X_User_Id="ada", Origin=EVIL) == 200
    assert post(app, X_User_Id="ada", Origin=EVIL, **COOKIE) == 403


def test_a_middleware_that_matches_a_pattern_is_known(server: SampleServer) -> None:
    cors = Middleware(CORSMiddleware, allow_origin_regex=r"https://.*\.example\.org", allow_credentials=True)
    app = create_app(server, context=by_cookie, middleware=[cors])
    assert post(app, Origin="https://any.example.org", **COOKIE) == 200
    assert post(app, Origin="https://any.example.org.evil.example", **COOKIE) == 403


@pytest.mark.parametrize("by", ["cookie", "bearer"])
def test_the_cross_origin_setup_of_the_reference(by: str, server: SampleServer) -> None:
    """A page at port 5173 of the same machine, with the CORS middleware that the reference shows: chat and files."""
    page = "http://localhost:5173"
    credentials = COOKIE if by == "cookie" else {"Authorization": "Bearer ada"}
    headers = {**credentials, "Origin": page, "Sec-Fetch-Site": "same-site"}
    with TestClient(fastapi(server, cors_origins=[page]), base_url="http://localhost:8000") as client:
        asked = client.options(
            "/chatkit",
            headers={
                "Origin": page,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        assert asked.status_code == 200
        chat = client.post("/chatkit", json=message("hello"), headers=headers)
        posted = client.post("/chatkit/files", files={"file": ("a.png", PNG, "image/png")}, headers=headers)
    assert "thread.created" in chat.text
    assert posted.status_code == 200
    for answer in (asked, chat, posted):
        assert answer.headers["access-control-allow-origin"] == page
        assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""]
)
@FRAMEWORKS
def test_what_a_form_can_send_is_no_request(make: Any, kind: str, server: SampleServer) -> None:
    with TestClient(make(server)) as client:
        headers = {**COOKIE, "Origin": EVIL, "Content-Type": kind}
        answer = client.post("/chatkit", content=b'{"type":"threads.list","params":{}}', headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://App.Example.com:443/", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:5173/", "http://localhost:5173"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins_are_what_browsers_send(given: str, sent: str) -> None:
    assert check_origins("origins", given) == (sent,)
    assert check_origins("origins", [given]) == (sent,)


@pytest.mark.parametrize(
    ("origins", "told"),
    [
        ("app.example.com", "Did you mean 'https://app.example.com'?"),
        ("localhost:5173", "Did you mean 'https://localhost:5173'?"),
        (["https://app.example.com/chat"], "without a path"),
        (["https://*.example.com"], "without '*'"),
        ("https://a.example, https://b.example", "as a list"),
        (["null"], "any page in a sandbox"),
        (["*", "https://a.example"], "give it alone"),
        ([""], "such as"),
        ([None], "a list of texts"),
        (["https://user:secret@a.example"], "is no origin"),
        (["https://"], "is no origin"),
    ],
)
def test_what_is_no_origin(origins: Any, told: str, server: SampleServer) -> None:
    with pytest.raises(ConfigurationError, match="cors_origins") as refused:
        create_app(server, context=by_cookie, cors_origins=origins)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


def test_every_page_for_the_only_user_is_refused(server: SampleServer) -> None:
    with pytest.raises(ConfigurationError, match="every page on the web"):
        create_app(server, context=single_user(), cors_origins=["*"])
    with pytest.raises(ConfigurationError, match="every page on the web"):
        Uploads(origins=["*"])
