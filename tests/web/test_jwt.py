"""Tokens: who is let in, who is not, and how the issuer's keys are come by. The issuer is a real server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from chatkit.errors import AuthenticationError, AuthenticationUnavailableError, ConfigurationError
from chatkit.store import MemoryStore
from chatkit.web import JWTContext, api_keys, bearer, create_app
from chatkit.web.auth import ContextFactory, make_context
from chatkit.web.fastapi import chatkit_router
from tests.server.support import ScriptedServer
from tests.support.live_server import live_server
from tests.support.scale import examples, lasting, scaled

AUDIENCE = "chat"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Returns a key, which takes long to make, for all tests that name it so."""
    return rsa.generate_private_key(65537, 2048)


def request_with(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw})


class Issuer:
    """Signs tokens and publishes its keys.

    Attributes:
        url: Where it is.
        fetches: How often the keys were asked for.
        answer: Given in the place of the keys.
        address: Published as the address of the keys.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, Any] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.fetches = 0
        self.answer: Response | None = None
        self.address: str | None = None
        self.claimed: str | None = None
        self.app = Starlette(
            routes=[Route("/.well-known/openid-configuration", self.discovery), Route("/jwks", self.jwks)]
        )
        self.rotate("first")

    async def discovery(self, request: Request) -> Response:
        return JSONResponse(
            {"issuer": self.claimed or self.url, "jwks_uri": self.address or f"{self.url}/jwks"}
        )

    async def jwks(self, request: Request) -> Response:
        self.fetches += 1
        return self.answer or JSONResponse({"keys": list(self.fields.values())})

    def rotate(self, *names: str) -> None:
        self.keys, self.fields = {}, {}
        for name in names:
            self.add(name, rsa_key(name))

    def add(self, name: str, key: Any, **fields: Any) -> None:
        algorithm = jwt.algorithms.RSAAlgorithm
        if isinstance(key, ec.EllipticCurvePrivateKey):
            algorithm = jwt.algorithms.ECAlgorithm
        elif isinstance(key, ed25519.Ed25519PrivateKey):
            algorithm = jwt.algorithms.OKPAlgorithm
        self.keys[name] = key
        self.fields[name] = json.loads(algorithm.to_jwk(key.public_key())) | {"kid": name} | fields

    def token(
        self, *, kid: str | None = "first", key: Any = None, algorithm: str = "RS256", **changes: Any
    ) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {} if kid is None else {"kid": kid}
        signer = key or self.keys[kid or next(iter(self.keys))]
        return jwt.encode(claims, signer, algorithm, headers)

    def context(self, **options: Any) -> JWTContext[Any]:
        return JWTContext(issuer=self.url, audience=AUDIENCE, **options)


@contextmanager
def live_issuer() -> Iterator[Issuer]:
    """Serves an issuer while the block runs."""
    made = Issuer()
    with live_server(made.app) as server:
        made.url = server.url
        yield made


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with live_issuer() as made:
        yield made


async def made_of(context: ContextFactory[Any], token: str) -> Any:
    return await make_context(context, request_with(authorization=f"Bearer {token}"))


async def refused(context: ContextFactory[Any], token: str) -> str:
    """Fails unless the token is refused as RFC 6750 says; returns why."""
    with pytest.raises(AuthenticationError) as raised:
        await made_of(context, token)
    header = raised.value.headers["WWW-Authenticate"]
    assert header.startswith('Bearer realm="chatkit", error="invalid_token", error_description="')
    return header.split('"')[-2]


async def test_a_good_token(issuer: Issuer) -> None:
    context = issuer.context()
    made = await made_of(context, issuer.token(email="a@example.com"))
    assert made["user_id"] == "alice"
    assert made["claims"]["email"] == "a@example.com"
    await made_of(context, issuer.token(aud=["other", AUDIENCE]))
    assert issuer.fetches == 1


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
async def test_a_key_that_names_no_algorithm_is_good_for_each_of_its_kind(
    issuer: Issuer, algorithm: str
) -> None:
    assert (await made_of(issuer.context(), issuer.token(algorithm=algorithm)))["user_id"] == "alice"
    issuer.fields["first"]["alg"] = "RS384"
    assert await refused(issuer.context(), issuer.token(algorithm=algorithm)) == (
        "The token is signed with an unknown key."
    )


async def test_keys_of_other_kinds(issuer: Issuer) -> None:
    issuer.add("curve", ec.generate_private_key(ec.SECP256R1()))
    issuer.add("edwards", ed25519.Ed25519PrivateKey.generate())
    issuer.fields["unknown"] = {"kty": "future", "kid": "unknown"}
    context = issuer.context()
    for kid, algorithm in (("curve", "ES256"), ("edwards", "EdDSA"), ("first", "RS256")):
        assert (await made_of(context, issuer.token(kid=kid, algorithm=algorithm)))["user_id"] == "alice"


async def test_the_context_may_be_the_applications_own(issuer: Issuer) -> None:
    async def choose(claims: dict[str, Any]) -> tuple[str, str]:
        if claims["tenant"] == "closed":
            raise AuthenticationError("This tenant is closed.")
        return claims["tenant"], claims["sub"]

    context = issuer.context(context=choose)
    assert await made_of(context, issuer.token(tenant="acme")) == ("acme", "alice")
    with pytest.raises(AuthenticationError, match="closed"):
        await made_of(context, issuer.token(tenant="closed"))
    assert await made_of(issuer.context(context=lambda claims: claims["sub"]), issuer.token()) == "alice"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "The token has expired."),
        ({"exp": None}, "The token is not valid."),
        ({"nbf": 2**40}, "The token is not valid yet."),
        ({"iat": 2**40}, "The token is not valid yet."),
        ({"aud": "another"}, "The token is for another audience."),
        ({"aud": None}, "The token is not valid."),
        ({"iss": "https://another.example.com"}, "The token is of another issuer."),
        ({"iss": None}, "The token is not valid."),
        ({"sub": None}, "The token is not valid."),
        ({"sub": ""}, "The token is not valid."),
        ({"sub": 7}, "The token is not valid."),
        ({"kid": None, "key": "another"}, "The token is not valid."),
        ({"key": "another"}, "The token is not valid."),
    ],
    ids=str,
)
async def test_a_token_that_is_not_good(issuer: Issuer, changes: dict[str, Any], reason: str) -> None:
    if "key" in changes:
        changes = changes | {"key": rsa_key("another")}
    if changes.get("sub") == 7:
        now = int(time.time())
        part = json.dumps({"iss": issuer.url, "aud": AUDIENCE, "sub": 7, "exp": now + 600}).encode()
        token = jwt.api_jws.encode(part, issuer.keys["first"], "RS256", {"kid": "first"})
    else:
        token = issuer.token(**changes)
    assert await refused(issuer.context(), token) == reason


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        (
            "iss",
            ["", "http", "{url}/", "{url}x", " {url}", ["{url}"], ["{url}", "other"], {"{url}": 1}, 7, True],
        ),
        (
            "aud",
            [
                "",
                "c",
                "cha",
                "chat ",
                "CHAT",
                "chatter",
                [],
                [""],
                ["other"],
                [7, "chat"],
                {"chat": 1},
                7,
                None,
            ],
        ),
        ("sub", ["", 7, ["alice"], {"alice": 1}, None]),
        ("exp", [1e999, -1e999, "soon", [], {}, None]),
    ],
)
async def test_claims_are_compared_to_the_letter(issuer: Issuer, claim: str, values: list[Any]) -> None:
    now = int(time.time())
    for value in values:
        changed = json.loads(json.dumps(value).replace("{url}", issuer.url))
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, claim: changed}
        token = jwt.api_jws.encode(
            json.dumps(claims).encode(), issuer.keys["first"], "RS256", {"kid": "first"}
        )
        assert (await refused(issuer.context(), token)).startswith("The token is"), value


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def part(value: Any) -> str:
    return encoded(json.dumps(value).encode())


async def test_forged_tokens(issuer: Issuer) -> None:
    context = issuer.context()
    head, body, signature = issuer.token().split(".")
    other = issuer.token(sub="root").split(".")[1]
    public = issuer.keys["first"].public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # The public key used as the secret of a symmetric signature, which a careless check accepts.
    confused = f"{part({'alg': 'HS256', 'kid': 'first', 'typ': 'JWT'})}.{body}"
    mac = encoded(hmac.digest(pem, confused.encode(), hashlib.sha256))
    deep, wide = b"[" * 9000, b'{"alg":' + b"9" * 9000 + b"}"
    for forged in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}",
        f"{part({'alg': 'none'})}.{body}.",
        f"{part({'alg': 'none', 'kid': 'first'})}.{body}.{signature}",
        f"{part({'alg': ['RS256'], 'kid': 'first'})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'kid': ['first']})}.{body}.{signature}",
        f"{part(['RS256'])}.{body}.{signature}",
        f"{confused}.{mac}",
        f"{encoded(deep)}.{body}.{signature}",
        f"{encoded(wide)}.{body}.{signature}",
        "..",
        "a",
        "a.b.c",
        "\xff\xfe.\xff.\xff",
        "x" * 20_000,
    ):
        await refused(context, forged)
    assert (await made_of(context, f"{head}.{body}.{signature}"))["user_id"] == "alice"


@settings(max_examples=examples(60), deadline=None)
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5u"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["RS256", "EdDSA", "none", "", "first"])
        | st.lists(st.text(max_size=3), max_size=2),
    ),
    body=st.binary(max_size=30),
    signature=st.binary(max_size=30),
)
def test_any_header_is_refused_in_order(header: Any, body: bytes, signature: bytes) -> None:
    token = f"{part(header)}.{encoded(body)}.{encoded(signature)}"
    context = JWTContext(issuer="https://a.example", audience="b", jwks_url="http://127.0.0.1:1/jwks")
    with pytest.raises((AuthenticationError, AuthenticationUnavailableError)):
        asyncio.run(made_of(context, token))


async def test_clocks_may_differ_by_the_leeway(issuer: Issuer) -> None:
    now = int(time.time())
    late, early = issuer.token(exp=now - 30), issuer.token(nbf=now + 30, iat=now + 30)
    for token in (late, early):
        assert (await made_of(issuer.context(), token))["user_id"] == "alice"
    assert await refused(issuer.context(leeway=0), late) == "The token has expired."
    assert await refused(issuer.context(leeway=0), early) == "The token is not valid yet."


async def test_a_rotated_key_is_found(issuer: Issuer) -> None:
    context = issuer.context(refresh_pause=0)
    await made_of(context, issuer.token())
    old = issuer.token()
    issuer.rotate("second")
    assert (await made_of(context, old))["user_id"] == "alice", "known keys are used without asking"
    assert (await made_of(context, issuer.token(kid="second")))["user_id"] == "alice"
    assert issuer.fetches == 2
    assert await refused(context, old) == "The token is signed with an unknown key."


async def test_made_up_keys_do_not_cause_a_fetch_each(issuer: Issuer) -> None:
    context = issuer.context()
    await made_of(context, issuer.token())
    key = rsa_key("first")
    for n in range(50):
        await refused(context, issuer.token(kid=f"made_up_{n}", key=key))
    assert issuer.fetches == 1
    assert (await made_of(context, issuer.token()))["user_id"] == "alice"


async def test_many_requests_at_once_fetch_once(issuer: Issuer) -> None:
    context = issuer.context()
    made = await asyncio.gather(*(made_of(context, issuer.token(sub=f"user{n}")) for n in range(30)))
    assert [each["user_id"] for each in made] == [f"user{n}" for n in range(30)]
    assert issuer.fetches == 1


def test_event_loops_in_turn(issuer: Issuer) -> None:
    context = issuer.context(cache_seconds=0, refresh_pause=0)
    for fetches in (1, 2, 3):
        assert asyncio.run(made_of(context, issuer.token()))["user_id"] == "alice"
        assert issuer.fetches == fetches


async def test_known_keys_outlive_an_issuer_that_is_away(issuer: Issuer) -> None:
    context = issuer.context(cache_seconds=0, refresh_pause=0)
    await made_of(context, issuer.token())
    issuer.answer = Response("down", 500)
    assert (await made_of(context, issuer.token()))["user_id"] == "alice"
    assert issuer.fetches == 2
    assert await refused(context, issuer.token(kid="new", key=rsa_key("first")))


@pytest.mark.parametrize(
    "answer",
    [
        Response("down", 500),
        Response("<html>", 200),
        JSONResponse([]),
        JSONResponse({"keys": {}}),
        Response(b"[" * 2_000_000, 200),
        Response('{"keys": ' + "[" * 100_000, 200),
        RedirectResponse("/elsewhere"),
    ],
    ids=["error", "html", "list", "no list", "large", "deep", "redirect"],
)
async def test_without_keys_nobody_is_judged(issuer: Issuer, answer: Response) -> None:
    issuer.answer = answer
    context = issuer.context()
    with pytest.raises(AuthenticationUnavailableError) as raised:
        await made_of(context, issuer.token())
    assert raised.value.status == 503
    with pytest.raises(AuthenticationUnavailableError):
        await made_of(context, issuer.token())
    assert issuer.fetches == 1, "the issuer gets a pause"


async def test_an_issuer_that_cannot_be_reached_or_does_not_answer(issuer: Issuer) -> None:
    listening = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await listening.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    async with asyncio.timeout(scaled(5)):
        with pytest.raises(AuthenticationUnavailableError):
            await made_of(issuer.context(jwks_url=address, timeout=0.1), issuer.token())
    listening.set()
    server.close()
    await server.wait_closed()
    with pytest.raises(AuthenticationUnavailableError):
        await made_of(issuer.context(jwks_url=address), issuer.token())


async def test_an_issuer_that_does_not_answer_is_waited_for_once(issuer: Issuer) -> None:
    asked = 0
    may_answer = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    issuer.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    # Nothing is known: all that came at once give up together.
    context = issuer.context(timeout=lasting(1.0))
    made = await asyncio.gather(
        *(made_of(context, issuer.token()) for _ in range(20)), return_exceptions=True
    )
    assert {type(each) for each in made} == {AuthenticationUnavailableError}
    assert asked == 1
    # Keys are known: those who come while they are looked for do not wait.
    issuer.address = None
    context = issuer.context(timeout=30, cache_seconds=0)
    await made_of(context, issuer.token())
    context._keys._next_try = 0  # pyright: ignore[reportPrivateUsage] -- the pause is over
    issuer.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    first = asyncio.create_task(made_of(context, issuer.token()))
    async with asyncio.timeout(scaled(5)):
        while asked == 1:
            await asyncio.sleep(0)
        assert (await made_of(context, issuer.token(sub="bob")))["user_id"] == "bob"
    assert not first.done()
    may_answer.set()
    assert (await first)["user_id"] == "alice"
    server.close()
    await server.wait_closed()


async def test_a_discovery_document_that_is_not_to_be_trusted(issuer: Issuer) -> None:
    issuer.claimed = "https://another.example.com"
    with pytest.raises(AuthenticationUnavailableError):
        await made_of(issuer.context(), issuer.token())
    issuer.claimed, issuer.address = None, "http://192.0.2.1/jwks"
    with pytest.raises(AuthenticationUnavailableError):
        await made_of(issuer.context(), issuer.token())
    assert issuer.fetches == 0
    assert (await made_of(issuer.context(jwks_url=f"{issuer.url}/jwks"), issuer.token()))[
        "user_id"
    ] == "alice"


async def test_keys_that_sign_no_tokens(issuer: Issuer) -> None:
    issuer.add("enc", rsa_key("first"), use="enc")
    issuer.fields["secret"] = {"kty": "oct", "kid": "secret", "k": part("secret"), "alg": "HS256"}
    issuer.fields["nonsense"] = {"kty": "RSA", "kid": "nonsense", "n": "!", "e": 7}
    context = issuer.context()
    assert await refused(context, issuer.token(kid="enc")) == "The token is signed with an unknown key."
    assert await refused(context, issuer.token(kid="secret", key=b"x" * 32, algorithm="HS256"))
    assert (await made_of(context, issuer.token(kid=None, key=rsa_key("first"))))["user_id"] == "alice"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"audience": ""}, "audience="),
        ({"audience": []}, "audience="),
        ({"algorithms": ["HS256"]}, "algorithms="),
        ({"algorithms": ["none"]}, "algorithms="),
        ({"algorithms": []}, "algorithms="),
        ({"issuer": "http://sign-in.example.com"}, "issuer=.*https"),
        ({"jwks_url": "http://sign-in.example.com/jwks"}, "jwks_url=.*https"),
    ],
)
def test_settings_that_would_let_anybody_in(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        JWTContext(**({"issuer": "https://sign-in.example.com", "audience": AUDIENCE} | options))


async def test_api_keys() -> None:
    context = api_keys({"key-of-alice": "alice", "new-key-of-alice": "alice", "key-of-bob": "bob"})
    for key, owner in (("key-of-alice", "alice"), ("new-key-of-alice", "alice"), ("key-of-bob", "bob")):
        assert await made_of(context, key) == {"user_id": owner}
    for wrong in ("key-of", "alice", "key-of-alice2", "\xff"):
        assert await refused(context, wrong) == "The key is not valid."
    by_header = api_keys({"key": "alice"}, header="X-API-Key")
    assert await make_context(by_header, request_with(x_api_key="key")) == {"user_id": "alice"}
    for headers in ({}, {"x_api_key": "other"}, {"authorization": "Bearer key"}):
        with pytest.raises(AuthenticationError) as raised:
            await make_context(by_header, request_with(**headers))
        assert raised.value.headers == {"WWW-Authenticate": 'ApiKey realm="chatkit", header="X-API-Key"'}


async def test_a_check_of_your_own() -> None:
    async def awaited(token: str) -> dict[str, str] | None:
        return {"user_id": token} if token.startswith("ok") else None

    def at_once(token: str) -> dict[str, str] | None:
        return {"user_id": token} if token.startswith("ok") else None

    for check in (awaited, at_once):
        assert await made_of(bearer(check), "ok alice") == {"user_id": "ok alice"}
        assert await refused(bearer(check), "no") == "The token is not valid."


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer  ", "Basic abc", "token", "Bearertoken"])
async def test_no_token(value: str | None) -> None:
    request = request_with() if value is None else request_with(authorization=value)
    for context in (
        bearer(lambda token: {"user_id": token}),
        api_keys({"token": "alice"}),
        JWTContext(issuer="https://sign-in.example.com", audience="chat"),
    ):
        with pytest.raises(AuthenticationError) as raised:
            await make_context(context, request)
        assert raised.value.headers == {"WWW-Authenticate": 'Bearer realm="chatkit"'}


@pytest.mark.parametrize("missing", ["jwt", "httpx2"])
def test_without_its_packages_the_extra_is_named(missing: str) -> None:
    script = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "import chatkit.web as face\n"
        "from chatkit.errors import MissingExtraError\n"
        "try:\n    face.JWTContext\n"
        "except MissingExtraError as error:\n    assert 'chatkit-server[auth]' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "assert face.api_keys\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=scaled(30))


class Untouchable(MemoryStore):
    """Fails as soon as anybody asks for anything."""

    def owner(self, context: Any) -> str:
        raise AssertionError("the store was asked")


def on_fastapi(server: Any, context: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(chatkit_router(server, context=context))
    return app


def on_starlette(server: Any, context: Any) -> Starlette:
    return create_app(server, context=context)


@pytest.mark.parametrize("app_of", [on_starlette, on_fastapi])
async def test_over_http_nobody_reaches_the_store_without_a_good_token(issuer: Issuer, app_of: Any) -> None:
    good, body = issuer.token(), {"type": "threads.list", "params": {}}
    bad = [None, "nonsense", issuer.token(exp=1), issuer.token(aud="another"), good[:-6]]
    app = app_of(ScriptedServer(store=Untouchable()), issuer.context())
    with live_server(app) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            for token in bad:
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                for kind in ("threads.list", "threads.create", "threads.delete", "turns.resume", "nonsense"):
                    answer = await client.post("/chatkit", json=body | {"type": kind}, headers=headers)
                    assert answer.status_code == 401
                    assert answer.json()["error"]["code"] == "unauthenticated"
                    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="chatkit"')
                    assert ("invalid_token" in answer.headers["WWW-Authenticate"]) == (token is not None)
                    assert issuer.url not in answer.text


@pytest.mark.parametrize("app_of", [on_starlette, on_fastapi])
async def test_over_http_users_see_their_own_threads(issuer: Issuer, app_of: Any) -> None:
    app = app_of(ScriptedServer(), issuer.context())
    with live_server(app) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:

            async def ask(user: str, kind: str, **params: Any) -> httpx2.Response:
                return await client.post(
                    "/chatkit",
                    json={"type": kind, "params": params},
                    headers={"Authorization": f"Bearer {issuer.token(sub=user)}"},
                )

            message = {"content": [{"type": "input_text", "text": "Hi"}]}
            created = await ask("alice", "threads.create", input=message)
            assert created.status_code == 200
            (thread,) = (await ask("alice", "threads.list")).json()["data"]
            assert (await ask("bob", "threads.list")).json()["data"] == []
            assert (await ask("bob", "threads.get_by_id", thread_id=thread["id"])).status_code == 404
            issuer.answer = Response("down", 500)
            assert (await ask("alice", "threads.get_by_id", thread_id=thread["id"])).status_code == 200
