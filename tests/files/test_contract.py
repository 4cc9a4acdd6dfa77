"""The file store contract over a folder, a bucket, and the reference's bucket."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from chatkit.files import FileMetadata, FileStore, LocalFileStore, S3FileStore
from chatkit.store import MemoryStore
from chatkit.testing import FileStoreContract
from chatkit.web import create_app, single_user
from tests.support.live_server import live_server
from tests.support.s3 import S3Server, s3_server
from tests.web.sample import SampleServer

SECRET = "a secret of the tests"


class TestLocalFileStore(FileStoreContract):
    @pytest.fixture(autouse=True)
    def served(self, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path / "files"
        app = create_app(
            SampleServer(MemoryStore(), LocalFileStore(self.folder, secret=SECRET)), context=single_user()
        )
        with live_server(app) as server:
            self.url = f"{server.url}/chatkit/files"
            yield

    def make_files(self) -> LocalFileStore:
        return self.make_files_at(0)

    def make_files_at(self, offset: float) -> LocalFileStore:
        return LocalFileStore(
            self.folder, base_url=self.url, secret=SECRET, clock=lambda: time.time() + offset
        )


def bucket_of(server: S3Server, **options: Any) -> S3FileStore:
    return S3FileStore(
        server.bucket,
        server.region,
        endpoint=server.endpoint,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        **options,
    )


class TestS3FileStore(FileStoreContract):
    @pytest.fixture(autouse=True)
    def own_prefix(self) -> None:
        # A sweep by a clock that is ahead would take the files of tests that run beside this one.
        self.prefix = f"{secrets.token_hex(8)}/"

    def make_files(self) -> S3FileStore:
        return self.make_files_at(0)

    def make_files_at(self, offset: float) -> S3FileStore:
        return bucket_of(s3_server(), prefix=self.prefix, clock=lambda: time.time() + offset)


class ReferenceStore(FileStore):
    """As the reference's example has it, at the tests' server."""

    def __init__(self, server: S3Server) -> None:
        self.bucket = server.bucket
        self.s3: Any = boto3.client(
            "s3",
            region_name=server.region,
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(signature_version="s3v4"),
        )

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        return self.s3.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.bucket,
                "Key": f"uploads/{file_id}",
                "ContentType": metadata.content_type,
            },
            ExpiresIn=3600,
        )

    async def get_preview_url(self, file_id: str) -> str:
        return self.s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": f"uploads/{file_id}"}, ExpiresIn=3600
        )

    async def delete(self, file_id: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=f"uploads/{file_id}")


class TestReferenceStore(FileStoreContract):
    takes_direct_uploads = False
    binds_size = False
    hides_active_files = False
    manages = False

    def make_files(self) -> ReferenceStore:
        return ReferenceStore(s3_server())
