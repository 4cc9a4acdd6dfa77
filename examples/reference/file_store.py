"""A file store over S3: pages put files into the bucket, and read them there, by presigned URLs."""

import asyncio
from typing import Any

import boto3  # pyright: ignore[reportMissingTypeStubs]

from chatkit.types import FileMetadata, FileStore


class BucketFileStore(FileStore):
    """Keeps files in a bucket. Credentials, region and endpoint are boto3's, from the environment.

    Args:
        bucket: Its name.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._s3: Any = boto3.client("s3")  # pyright: ignore[reportUnknownMemberType]

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        await asyncio.to_thread(
            self._s3.put_object, Body=content, ContentType=metadata.content_type, **self._place(file_id)
        )
        return await self.get_preview_url(file_id)

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        place = {**self._place(file_id), "ContentType": metadata.content_type}
        return self._s3.generate_presigned_url("put_object", Params=place, ExpiresIn=600)

    async def get_preview_url(self, file_id: str) -> str:
        return self._s3.generate_presigned_url("get_object", Params=self._place(file_id), ExpiresIn=3600)

    async def delete(self, file_id: str) -> None:
        await asyncio.to_thread(self._s3.delete_object, **self._place(file_id))

    def _place(self, file_id: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"chat/{file_id}"}
