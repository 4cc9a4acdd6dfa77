"""The servers of a test run whose tests share two or more processes: one set for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def servers_of_all() -> Iterator[None]:
    """Starts PostgreSQL, Redis and S3, and names them in the environment, which the processes of the run inherit.

    One that the environment names already is not started.
    """
    from tests.support.postgres import postgres_server
    from tests.support.redis import redis_server
    from tests.support.s3 import s3_server

    given = dict(os.environ)
    with ExitStack() as running:
        running.callback(_restore, given)
        if "CHATKIT_TEST_POSTGRES" not in given:
            os.environ["CHATKIT_TEST_POSTGRES"] = running.enter_context(postgres_server()).url
        if "CHATKIT_TEST_REDIS" not in given:
            os.environ["CHATKIT_TEST_REDIS"] = running.enter_context(redis_server()).url
        if "CHATKIT_TEST_S3_ENDPOINT" not in given:
            s3 = s3_server()
            os.environ |= {
                "CHATKIT_TEST_S3_BUCKET": s3.bucket,
                "CHATKIT_TEST_S3_REGION": s3.region,
                "CHATKIT_TEST_S3_ACCESS_KEY_ID": s3.access_key_id,
                "CHATKIT_TEST_S3_SECRET_ACCESS_KEY": s3.secret_access_key,
                "CHATKIT_TEST_S3_ENDPOINT": s3.endpoint,
            }
        yield


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
