"""A chat on many machines: the built-in assistant over PostgreSQL, Redis and an S3-compatible store.

What it needs comes from the environment; the same file runs in every worker:

``DATABASE_URL``      PostgreSQL, for threads and items; ``PGPASSWORD`` where it has no password in it
``REDIS_URL``         Redis or Valkey, for the events of running turns; without it they are kept in PostgreSQL
``S3_ENDPOINT``, ``S3_BUCKET``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``   for files; without a bucket, none
``OIDC_ISSUER``, ``OIDC_AUDIENCE``   who signs users in
``CHATKIT_TRIAL``     1 instead of them, for demonstrations only: a page on which users sign in by any name, unchecked
``CHATKIT_SECRET``    signs that name, and what else this package signs; a long random text, the same in every worker
``DRAIN_SECONDS``     how long running answers may go on when a worker is replaced; 30
``LEASE_SECONDS``     how long a worker may show no sign of life before others end its answers; 10
``LOG_LEVEL``         of the messages of this package; INFO

Replace the assistant with a server of your own.
"""

from __future__ import annotations

import logging
import os
from typing import Any
from urllib.parse import urlsplit

from demo_sign_in import DemoSignIn

from chatkit.demo import GuideServer
from chatkit.errors import ConfigurationError
from chatkit.files import S3FileStore
from chatkit.store import PostgresStore
from chatkit.streams import PostgresStreamLog, RedisStreamLog
from chatkit.web import ChatPage, JWTContext, create_app, ui_is_built, ui_routes

__all__ = ["app"]

_PAGE = "/chat/"


def _files() -> S3FileStore | None:
    if "S3_BUCKET" not in os.environ:
        return None
    return S3FileStore(os.environ["S3_BUCKET"], endpoint=os.environ.get("S3_ENDPOINT"))


def _page(files: S3FileStore | None) -> ChatPage:
    endpoint = urlsplit(os.environ.get("S3_ENDPOINT", ""))
    # Browsers send files there, and load pictures from there, themselves.
    bucket = [f"{endpoint.scheme}://{endpoint.netloc}"] if files is not None and endpoint.netloc else []
    return ChatPage(
        attachments=files is not None, connect=bucket, images=["https:", *bucket], sign_in_url="/"
    )


def _context() -> Any:
    issuer, audience = os.environ.get("OIDC_ISSUER"), os.environ.get("OIDC_AUDIENCE")
    is_trial = os.environ.get("CHATKIT_TRIAL") == "1"
    if issuer and audience and not is_trial:
        return JWTContext(issuer=issuer, audience=audience)
    if is_trial and not issuer:
        logging.getLogger("chatkit").warning("CHATKIT_TRIAL=1: whoever picks a name is that user.")
        return DemoSignIn(os.environ.get("CHATKIT_SECRET", ""), _PAGE)
    raise ConfigurationError(
        "Nobody signs users in: set OIDC_ISSUER and OIDC_AUDIENCE. For a trial, in which everybody can be anybody, set "
        "CHATKIT_TRIAL=1 instead."
    )


def _log(store: PostgresStore[Any]) -> PostgresStreamLog | RedisStreamLog:
    lease = float(os.environ.get("LEASE_SECONDS", "10"))
    redis = os.environ.get("REDIS_URL")
    return RedisStreamLog(redis, lease=lease) if redis else PostgresStreamLog(store.database, lease=lease)


def app() -> Any:
    """Returns the ASGI application: ``uvicorn --factory application:app`` in this folder."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("chatkit").setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    context = _context()
    store: PostgresStore[Any] = PostgresStore(os.environ["DATABASE_URL"])
    files = _files()
    server = GuideServer(store, file_store=files, stream_log=_log(store))
    # With tokens, the page is one of yours that has them.
    routes = context.routes() if isinstance(context, DemoSignIn) else []
    if routes and ui_is_built():
        routes += ui_routes(path=_PAGE, page=_page(files))
    return create_app(
        server,
        context=context,
        drain_seconds=float(os.environ.get("DRAIN_SECONDS", "30")),
        routes=routes,
    )
