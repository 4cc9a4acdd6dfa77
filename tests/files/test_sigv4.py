"""Presigned URLs are those that botocore makes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials

from chatkit.files.sigv4 import Credentials, presign


@pytest.mark.parametrize("token", [None, "a token/with+signs="])
@pytest.mark.parametrize(
    ("method", "path", "headers", "query"),
    [
        ("GET", "/bucket/uploads/atc_1", {}, {}),
        ("PUT", "/bucket/uploads/a~b.c-d", {"Content-Type": "image/png", "Content-Length": "7"}, {}),
        (
            "PUT",
            "/b/k",
            {"Content-Type": "text/plain", "Content-Disposition": 'attachment; filename="a b"'},
            {},
        ),
        ("GET", "/b/k", {}, {"response-content-disposition": "attachment; filename*=UTF-8''%C3%A4 +&=.png"}),
    ],
)
def test_the_same_signature(
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    method: str,
    path: str,
    headers: dict[str, str],
    query: dict[str, str],
) -> None:
    url = presign(
        method,
        f"https://s3.example.com:9000{path}",
        Credentials("AKID", "secret", token),
        region="eu-west-1",
        now=1795414777,
        expires_in=3600,
        headers=headers,
        query=query,
    )
    ours = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    request: Any = AWSRequest(
        method, f"https://s3.example.com:9000{path}", headers=dict(headers), params=dict(query)
    )
    auth: Any = S3SigV4QueryAuth(TheirCredentials("AKID", "secret", token), "s3", "eu-west-1", expires=3600)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: _moment(ours["X-Amz-Date"]))
    auth.add_auth(request)
    theirs = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    assert ours == theirs


def _moment(stamp: str) -> Any:
    from datetime import UTC, datetime

    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
