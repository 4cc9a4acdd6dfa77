"""Presigned URLs of S3: AWS Signature Version 4 in the query.

Written here because the drivers cannot sign headers into a URL, which is what binds the type and the size of an upload.
The algorithm is that of "Authenticating Requests: Using Query Parameters" in the Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

__all__ = ["Credentials", "presign"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
# Characters that are never encoded; quote() keeps letters, digits and `_.-~` by itself.
_PATH: Final = "/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs.

    Attributes:
        access_key_id: Names the user.
        secret_access_key: The user's secret.
        session_token: Goes with temporary credentials.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def presign(
    method: str,
    url: str,
    credentials: Credentials,
    *,
    region: str,
    now: float,
    expires_in: int,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """Returns a URL that is good for one method, with exactly these headers, for a while.

    Args:
        method: Such as ``PUT``.
        url: Scheme, host and path, the path not encoded, without a query.
        credentials: Who signs.
        region: Of the bucket.
        now: Seconds since 1970.
        expires_in: Seconds, 604800 (seven days) at most.
        headers: That the request must have with these values.
        query: More parameters.
    """
    parts = urlsplit(url)
    moment = datetime.fromtimestamp(now, UTC)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment:%Y%m%d}/{region}/s3/aws4_request"
    signed = {"host": parts.netloc} | {
        name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()
    }
    names = ";".join(sorted(signed))
    parameters = {
        **(query or {}),
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires_in),
        "X-Amz-SignedHeaders": names,
    }
    if credentials.session_token:
        parameters["X-Amz-Security-Token"] = credentials.session_token
    path = quote(parts.path, safe=_PATH)
    canonical_query = "&".join(
        f"{name}={value}"
        for name, value in sorted((quote(k, safe=""), quote(v, safe="")) for k, v in parameters.items())
    )
    canonical_headers = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = "\n".join((method, path, canonical_query, canonical_headers, names, "UNSIGNED-PAYLOAD"))
    to_sign = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    signature = hmac.digest(key, to_sign.encode(), hashlib.sha256).hex()
    return f"{parts.scheme}://{parts.netloc}{path}?{canonical_query}&X-Amz-Signature={signature}"
