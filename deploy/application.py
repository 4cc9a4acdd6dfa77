"""A chat on many machines: the built-in assistant over PostgreSQL, Redis and an S3-compatible store.

What it needs comes from the environment; the same file runs in every worker:

``DATABASE_URL``      PostgreSQL, for threads and items; ``PGPASSWORD`` where it has no password in it
``REDIS_URL``         Redis or Valkey, for the events of running turns; without it they are kept in PostgreSQL
``S3_ENDPOINT``, ``S3_BUCKET``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``   for files; without a bucket, none
``OIDC_ISSUER``, ``OIDC_AUDIENCE``   who signs users in; without them, ``X-User`` is believed: for trials only
``DRAIN_SECONDS``     how long running answers may go on when a worker is replaced; 30
``LEASE_SECONDS``     how long a worker may show no sign of life before others end its answers; 10
``LOG_LEVEL``         of the messages of this package; INFO

Replace the assistant with a server of your own.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from starlette.requests import Request

from chatkit.demo import GuideServer
from chatkit.errors import AuthenticationError
from chatkit.files import S3FileStore
from chatkit.store import PostgresStore
from chatkit.streams import PostgresStreamLog, RedisStreamLog
from chatkit.web import JWTContext, create_app

__all__ = ["app"]


def _files() -> S3FileStore | None:
    if "S3_BUCKET" not in os.environ:
        return None
    return S3FileStore(os.environ["S3_BUCKET"], endpoint=os.environ.get("S3_ENDPOINT"))


def _trial_user(request: Request) -> dict[str, str]:
    user = request.headers.get("x-user", "")
    if not user:
        raise AuthenticationError("Name a user: X-User.")
    return {"user_id": user}


def _context() -> Any:
    issuer = os.environ.get("OIDC_ISSUER")
    return JWTContext(issuer=issuer, audience=os.environ["OIDC_AUDIENCE"]) if issuer else _trial_user


def _log(store: PostgresStore[Any]) -> PostgresStreamLog | RedisStreamLog:
    lease = float(os.environ.get("LEASE_SECONDS", "10"))
    redis = os.environ.get("REDIS_URL")
    return RedisStreamLog(redis, lease=lease) if redis else PostgresStreamLog(store.database, lease=lease)


def app() -> Any:
    """Returns the ASGI application: ``uvicorn --factory deploy.application:app``."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("chatkit").setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    store: PostgresStore[Any] = PostgresStore(os.environ["DATABASE_URL"])
    server = GuideServer(store, file_store=_files(), stream_log=_log(store))
    return create_app(server, context=_context(), drain_seconds=float(os.environ.get("DRAIN_SECONDS", "30")))
