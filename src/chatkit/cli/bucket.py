"""The bucket that ``--files s3://...`` names."""

from __future__ import annotations

import re
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from chatkit.cli.options import CommandError, setting

if TYPE_CHECKING:
    from chatkit.files import S3FileStore

__all__ = ["as_bucket", "check_bucket", "is_bucket", "open_bucket", "origin_of"]

_PATIENCE: Final = 10.0
"""Seconds that the bucket may take to answer at the start."""
_SPEAKING: Final = re.compile(r"<Code>(\w+)</Code>")


def is_bucket(folder: str) -> bool:
    """Tells whether the text means a bucket, and not a folder."""
    return folder.startswith("s3://")


def open_bucket(url: str) -> S3FileStore:
    """Returns the file store of ``s3://bucket/prefix?region=...&endpoint=...``, which has touched nothing yet.

    Raises:
        CommandError: It cannot be read, or the environment has no credentials.
        MissingExtraError: The driver is not installed.
    """
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else [])
    except ValueError:
        raise _unreadable(url) from None
    region = given.pop("region", None) or setting("AWS_REGION") or setting("AWS_DEFAULT_REGION")
    endpoint = given.pop("endpoint", None)
    prefix = parts.path.strip("/")
    if given or not parts.netloc or "@" in parts.netloc:
        raise _unreadable(url)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise CommandError(f"The endpoint of a bucket is http://... or https://..., not {endpoint!r}.")
    if not (setting("AWS_ACCESS_KEY_ID") and setting("AWS_SECRET_ACCESS_KEY")):
        raise CommandError(
            "Files in S3 need credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)."
        )
    from chatkit.files import S3FileStore

    options: dict[str, Any] = {"endpoint": endpoint}
    if region:
        options["region"] = region
    if prefix:
        options["prefix"] = f"{prefix}/"
    return S3FileStore(parts.netloc, **options)


def as_bucket(files: object) -> S3FileStore | None:
    """Returns a file store if it is one in a bucket."""
    # Who has one has loaded its driver; to load it for the question would be a waste.
    if "chatkit.files.s3" not in sys.modules:
        return None
    from chatkit.files import S3FileStore

    return files if isinstance(files, S3FileStore) else None


def origin_of(bucket: S3FileStore) -> str:
    """Returns the origin that pages send files to."""
    parts = urlsplit(bucket.url)
    return f"{parts.scheme}://{parts.netloc}"


def check_bucket(bucket: S3FileStore) -> None:
    """Asks a bucket for something now, so that one that cannot be used is a plain message.

    Raises:
        CommandError: There is no such bucket, it refuses the credentials, or it does not answer in time.
    """
    from chatkit.files.sigv4 import Credentials, presign

    token = setting("AWS_SESSION_TOKEN")
    credentials = Credentials(
        setting("AWS_ACCESS_KEY_ID") or "", setting("AWS_SECRET_ACCESS_KEY") or "", token
    )
    # Not through the driver, which tries for minutes.
    url = presign(
        "GET",
        f"{bucket.url}/",
        credentials,
        region=bucket.region,
        now=time.time(),
        expires_in=60,
        query={"list-type": "2", "max-keys": "1"},
    )
    place = f"The bucket {bucket.bucket} at {origin_of(bucket)}"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE):  # noqa: S310 -- http and https are all that there is
            return
    except urllib.error.HTTPError as error:
        with error:
            found = _SPEAKING.search(error.read(4096).decode("utf-8", "replace"))
        reason = found[1] if found else f"status {error.code}"
        if reason == "AccessDenied":
            # Who may not list may still put and get.
            return
        raise CommandError(
            f"{place} cannot be used: {reason}. Correct its name, region, endpoint or credentials."
        ) from error
    except OSError as error:
        raise CommandError(
            f"{place} cannot be reached: check the endpoint ({getattr(error, 'reason', error)})."
        ) from error


def _unreadable(url: str) -> CommandError:
    # Not the whole text: somebody may have put credentials into it.
    shown = "" if "@" in url else f", not {url!r}"
    return CommandError(
        f"A bucket is written s3://bucket/prefix?region=...&endpoint=...{shown}. Credentials come from "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
