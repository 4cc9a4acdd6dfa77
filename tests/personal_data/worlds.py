"""Places in which servers keep data, and all bytes that are in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import boto3
from botocore.config import Config
from redis.asyncio import Redis

from chatkit.counters import PostgresCounter, RedisCounter, SQLiteCounter
from chatkit.files import LocalFileStore
from chatkit.hosted.postgres import PostgresSessions
from chatkit.hosted.redis import RedisSessions
from chatkit.hosted.sqlite import SQLiteSessions
from chatkit.ids import new_id
from chatkit.personal_data import PersonalData
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams import RedisStreamLog
from tests.files.test_contract import bucket_of
from tests.personal_data.sample import BusyServer
from tests.support.s3 import s3_server


class World:
    """The stores, log, counter, sessions and files of a deployment; each call makes new ones, as another process does.

    Args:
        folder: For what is in files.
        database: The connection string of a PostgreSQL database; None for SQLite.
        redis: The URL of a Redis server that has log, counter and sessions; None leaves them in the database.
        bucket: Whether files are in a bucket.
    """

    def __init__(
        self, folder: Path, database: str | None = None, redis: str | None = None, *, bucket: bool = False
    ) -> None:
        self.folder = folder
        self.db = str(folder / "chat.db") if database is None else database
        self.postgres = database is not None
        self.redis = redis
        self.prefix = f"{new_id('test')}:"
        self.bucket = f"{new_id('test')}/" if bucket else None

    def store(self) -> Any:
        return PostgresStore[Any](self.db) if self.postgres else SQLiteStore[Any](self.db)

    def log(self, store: Any) -> Any:
        return store.stream_log() if self.redis is None else RedisStreamLog(self.redis, prefix=self.prefix)

    def counter(self, store: Any) -> Any:
        if self.redis is not None:
            return RedisCounter(self.redis, prefix=self.prefix)
        return (PostgresCounter if self.postgres else SQLiteCounter)(store.database)

    def sessions(self, store: Any) -> Any:
        if self.redis is not None:
            return RedisSessions(self.redis, prefix=self.prefix)
        return (PostgresSessions if self.postgres else SQLiteSessions)(store.database)

    def files(self) -> Any:
        if self.bucket is not None:
            return bucket_of(s3_server(), prefix=self.bucket)
        return LocalFileStore(self.folder / "files", base_url="http://chat.test/files", secret="of the tests")

    @asynccontextmanager
    async def server(self) -> AsyncIterator[tuple[BusyServer, Any]]:
        """Runs a server; gives the table of sessions too."""
        store = self.store()
        if not self.postgres:
            # As SQLite is built on some systems: what is deleted stays in the file.
            await store.database.write(lambda c: c.execute("PRAGMA secure_delete = OFF").fetchall())
        sessions = self.sessions(store)
        server = BusyServer(store, self.files(), stream_log=self.log(store), counter=self.counter(store))
        try:
            yield server, sessions
        finally:
            server.gate.set()
            await server.close()
            await sessions.close()

    @asynccontextmanager
    async def data(self, **options: Any) -> AsyncIterator[PersonalData]:
        """Opens the places as a command does."""
        store = self.store()
        log = self.log(store)
        data = PersonalData(store, self.files(), stream_log=log, **options)
        try:
            yield data
        finally:
            await data.close()
            await log.close()
            await store.close()

    # All that there is.

    async def everything(self, *, pages: bool = False) -> bytes:
        """Returns all bytes of databases, keys, files and objects.

        Args:
            pages: Of PostgreSQL the files of its tables, not what queries return.
        """
        found = [await asyncio.to_thread(self._on_disk), await self._in_postgres(pages=pages)]
        found += [await self._in_redis(), await asyncio.to_thread(self._in_bucket)]
        return b"\n".join(found)

    def _on_disk(self) -> bytes:
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in paths)

    async def _in_postgres(self, *, pages: bool) -> bytes:
        if not self.postgres:
            return b""
        connection: Any = await asyncpg.connect(self.db)
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'chatkit'")
            if pages:
                await connection.execute("CHECKPOINT")
                place = Path(await connection.fetchval("SHOW data_directory"))
                files = await connection.fetch(
                    "SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                    "WHERE (n.nspname = 'chatkit' AND c.relkind IN ('r', 'i')) OR c.oid IN (SELECT reltoastrelid "
                    "FROM pg_class t JOIN pg_namespace m ON m.oid = t.relnamespace WHERE m.nspname = 'chatkit')"
                )
                return b"\n".join((place / row[0]).read_bytes() for row in files)
            rows = [
                row[0]
                for table in tables
                for row in await connection.fetch(f"SELECT t::text FROM chatkit.{table[0]} AS t")
            ]
            # Bytes are shown in hexadecimal digits.
            hidden = [bytes.fromhex(part) for row in rows for part in _hexadecimal(row)]
            return b"\n".join([*(row.encode() for row in rows), *hidden])
        finally:
            await connection.close()

    async def keys(self) -> dict[str, bytes]:
        """Returns the keys of the prefix, without it, and what they hold."""
        if self.redis is None:
            return {}
        client: Any = Redis.from_url(self.redis)
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"stream": client.xrange,
        }
        try:
            names = [key async for key in client.scan_iter(match=f"{self.prefix}*")]
            return {
                name.decode().removeprefix(self.prefix): repr(
                    await read[await client.type(name)](name)
                ).encode()
                for name in names
            }
        finally:
            await client.aclose()

    async def _in_redis(self) -> bytes:
        return b"\n".join(name.encode() + b"\n" + value for name, value in (await self.keys()).items())

    @property
    def s3(self) -> Any:
        server = s3_server()
        return boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def objects(self) -> dict[str, bytes]:
        """Returns the objects of the bucket whose keys begin as this deployment's do."""
        if self.bucket is None:
            return {}
        client, bucket = self.s3, s3_server().bucket
        listed = client.list_objects_v2(Bucket=bucket, Prefix=self.bucket.rstrip("/")).get("Contents", [])
        return {
            entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            + json.dumps(
                client.head_object(Bucket=bucket, Key=entry["Key"])["ResponseMetadata"]["HTTPHeaders"]
            ).encode()
            for entry in listed
        }

    def _in_bucket(self) -> bytes:
        return b"\n".join(name.encode() + b"\n" + content for name, content in self.objects().items())


def _hexadecimal(row: str) -> list[str]:
    return [part.partition('"')[0].partition(",")[0] for part in row.split("\\\\x")[1:]]


def server_of(url: str) -> str:
    return urlsplit(url).netloc
