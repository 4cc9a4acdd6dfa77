"""The stream log over Redis or Valkey, and its backend. Needs the extra ``redis``."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from chatkit._checks import checked
from chatkit._outages import Source
from chatkit._redis import (
    FAILURES,
    KeySpace,
    client_of,
    driver,
    load_scripts,
    open_pool,
    place_of,
    run_script,
    translated,
)
from chatkit.errors import ChatKitError
from chatkit.ids import new_id
from chatkit.streams.backend import (
    SEPARATOR,
    Backend,
    Chunk,
    HeldTurn,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    Standing,
    TurnRecord,
    WorkerRecord,
)
from chatkit.streams.log import LEASE, StreamLog
from chatkit.streams.records import (
    JUMP,
    EndState,
    KeyClaim,
    ThreadKey,
    TurnInfo,
    claim_head,
    dump_claim,
    dump_info,
    load_claim,
    load_end,
    load_info,
)
from chatkit.streams.window import KEY_RETENTION, LAG_LIMIT, RETENTION, WINDOW

__all__ = ["RedisBackend", "RedisStreamLog", "translated"]

_PAGE: Final = 64
"""Chunks that one load brings: some 256 KiB."""


_SCRIPTS: Final = load_scripts(Path(__file__).with_name("redis.lua"))


class RedisStreamLog(StreamLog):
    """Keeps turns in memory for the readers of this process, and in Redis for all other workers.

    Works with Redis 6.2 and newer and with Valkey: one primary, with replicas or without, not a cluster. Nothing is
    connected before the first use. What a turn appends is in Redis at most 50 ms later. When Redis is away, running
    turns and their readers in the same process go on, and what they append is kept and written when it is back; new
    turns are refused with :class:`chatkit.errors.StoreUnavailableError`.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://`` for a socket.
        prefix: Of all keys, so that several applications can share a server.
        window: Bytes of events kept of a turn whose readers may come back, here and in Redis.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.
        timeout: Seconds that connecting, and each answer, may take.
        max_connections: Connections of one event loop, but for the one that it reads others' turns over.

    Attributes:
        key_space: Where its keys are.
    """

    has_backend = True

    @checked
    def __init__(
        self,
        url: str,
        *,
        prefix: str = "chatkit:",
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
        timeout: float = 5.0,
        max_connections: int = 8,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit, lease=lease)
        self._url = url
        self._prefix = prefix
        self.key_space = KeySpace(url, prefix)
        self._timeout = timeout
        self._max_connections = max_connections
        self.place = place_of(url)

    def make_backend(self) -> RedisBackend:
        """Returns the backend for the running event loop."""
        return RedisBackend(
            self._url,
            self.place,
            prefix=self._prefix,
            holder=self.holder,
            lease=self.lease,
            retention=self.retention,
            timeout=self._timeout,
            max_connections=self._max_connections,
        )


class RedisBackend(Backend):
    """A server, seen from one event loop.

    Args:
        url: Of the server.
        place: The server as messages may show it.
        prefix: Of all keys.
        holder: Names the worker.
        lease: Seconds.
        retention: Seconds.
        timeout: Seconds that connecting, and each answer, may take.
    """

    def __init__(
        self,
        url: str,
        place: str,
        *,
        prefix: str,
        holder: Callable[[], str],
        lease: float,
        retention: float,
        timeout: float,
        max_connections: int,
    ) -> None:
        self._place = place
        self._source = Source.of(f"The Redis server {place}", logging.getLogger("chatkit.streams"))
        self._prefix = prefix
        self._holder = holder
        self._lease = max(1, round(lease * 1000))
        self._retention = max(1, round(retention * 1000))
        self._keys = round(KEY_RETENTION * 1000)
        self._timeout = timeout
        self._pool = open_pool(url, connections=max_connections, timeout=timeout)
        # Its answers may take as long as a wait does.
        self._blocking_pool = open_pool(url, connections=1, timeout=timeout, answers_within=None)
        self._client = client_of(self._pool)
        self._inbox_cursor = b"0"

    async def _call(self, script: str, *arguments: object) -> Any:
        try:
            answer = await run_script(self._client, _SCRIPTS[script], self._prefix, *arguments)
        except FAILURES as error:
            await self._doubt_others(error)
            raise self._failure(error) from error
        self._source.works()
        return answer

    def _failure(self, error: Exception) -> ChatKitError:
        # What reads succeeds meanwhile.
        partly = isinstance(error, (driver.OutOfMemoryError, driver.ReadOnlyError))
        return self._source.caused(translated(error, self._place), partly=partly)

    async def _doubt_others(self, error: Exception) -> None:
        """Drops idle connections after one that nothing came over: what has forgotten it has forgotten them too."""
        if isinstance(error, driver.TimeoutError):
            with suppress(driver.RedisError, OSError):
                await self._pool.disconnect(inuse_connections=False)

    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str:
        resumable = int(info.resumable)
        epoch = await self._call(
            "open",
            *(holder, self._lease, info.id, _thread(info.thread), dump_info(info)),
            *(new_id("epoch"), resumable, int(again)),
        )
        return epoch.decode()

    async def save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        arguments: list[object] = [holder, self._lease if renew else 0, self._retention, self._keys]
        for save in saves:
            end = "" if save.end is None else save.end.value
            numbers = f"{save.first_seq}\t{save.last_seq}\t{save.snapshot_seq}\t{save.keep_from}"
            arguments.append(f"{save.turn_id}\t{numbers}\t{end}\t{int(save.plain)}".encode())
            arguments.append(save.events)
            if save.snapshot_seq:
                arguments.append(save.snapshot)
        answer: list[Any] = await self._call("save", *arguments)
        epoch = answer.pop().decode() if len(answer) % 4 else ""
        results: dict[str, SaveResult] = {}
        for first in range(0, len(answer), 4):
            at, status, last_seq, stop = answer[first : first + 4]
            results[saves[int(at)].turn_id] = SaveResult(SaveStatus(status), last_seq, bool(stop), epoch)
        return results

    async def load(self, turn_id: str, after: int) -> Loaded | None:
        answer = await self._call("load", turn_id, after, _PAGE)
        if answer is None:
            return None
        info, end, last_seq, entries = answer
        record = TurnRecord(load_info(info), load_end(end.decode()))
        return Loaded(record, int(last_seq), [_chunk(entry) for entry in entries])

    async def load_snapshot(self, turn_id: str) -> tuple[int, bytes] | None:
        seq, parts = await self._call("snapshot", turn_id)
        return None if seq is None else (int(seq), parts)

    async def standings(self, turn_ids: Sequence[str]) -> dict[str, Standing]:
        answer = await self._call("standings", *turn_ids)
        return {turn_id: Standing(number) for turn_id, number in zip(turn_ids, answer, strict=True)}

    async def changes(
        self, cursors: Mapping[str, int], limit: float, on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        inbox = f"{self._prefix}inbox:{self._holder()}".encode()
        prefix = f"{self._prefix}events:".encode()
        names = [inbox, *(prefix + turn_id.encode() for turn_id in cursors)]
        after = [self._inbox_cursor, *(b"%d-0" % seq for seq in cursors.values())]
        answer = await self._blocked(
            "XREAD", "BLOCK", max(1, round(limit * 1000)), "STREAMS", *names, *after, limit=limit
        )
        changes: dict[str, list[Chunk]] = {}
        for name, entries in answer or ():
            if name == inbox:
                self._inbox_cursor = entries[-1][0]
                for _, fields in entries:
                    said = dict(zip(fields[::2], fields[1::2], strict=True))
                    if b"s" in said:
                        on_stop(said[b"s"].decode())
            else:
                changes[name.removeprefix(prefix).decode()] = [_chunk(entry) for entry in entries]
        return changes

    async def _blocked(self, *command: object, limit: float) -> Any:
        try:
            # The pool sets no limit to the answers that it waits for before a connection can be used.
            async with asyncio.timeout(2 * self._timeout):
                connection = await self._blocking_pool.get_connection()
            try:
                await connection.send_command(*command)
                async with asyncio.timeout(limit + self._timeout):
                    return await connection.read_response()
            except BaseException:
                # An answer that is not waited for any more may be on its way.
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
                raise
            finally:
                await self._blocking_pool.release(connection)
        except FAILURES as error:
            raise self._failure(error) from error

    async def wake(self) -> None:
        await self._call("wake", self._holder(), 60_000)

    async def request_stop(self, turn_id: str) -> bool:
        return bool(await self._call("stop", turn_id, 60_000))

    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        # Workers of the version before file turns under the thread's id alone, those of all owners together.
        answer: list[tuple[bytes, bytes, bytes]] = await self._call(
            "turns", _thread(thread), thread.thread_id
        )
        records = [
            TurnRecord(load_info(info), load_end(end.decode()))
            for info, end, _ in sorted(answer, key=lambda found: float(found[2]))
        ]
        return [record for record in records if record.info.thread == thread]

    async def claim(self, worker: str, claim: str) -> list[tuple[TurnInfo, bool]]:
        answer = await self._call("claim", worker, self._lease, claim)
        return [(load_info(info), bool(stop)) for info, stop in answer]

    async def held(self, worker: str) -> list[str]:
        return [
            turn_id.decode() for turn_id in await self._plain("SMEMBERS", f"{self._prefix}worker:{worker}")
        ]

    async def adopt(self, info: TurnInfo, claim: str, worker: str) -> str | None:
        epoch = await self._call("adopt", claim, worker, self._lease, info.id, dump_info(info), info.base)
        return None if epoch is None else epoch.decode()

    async def release(self, turn_id: str, worker: str) -> bool:
        return bool(await self._call("release", worker, turn_id))

    async def settle(self, turn_id: str, claim: str, events: Sequence[bytes]) -> None:
        await self._call(
            "settle",
            *(claim, turn_id, self._retention, self._keys, JUMP, len(events)),
            SEPARATOR.join(events),
        )

    async def forget_thread(self, thread: ThreadKey) -> None:
        await self._call("forget_thread", _thread(thread), self._keys)

    async def claim_key(self, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
        held = await self._call("claim_key", _key(owner, key), dump_claim(claim), self._keys)
        return None if held is None else load_claim(held)

    async def find_key(self, owner: str, key: str) -> KeyClaim | None:
        held = await self._plain("GET", f"{self._prefix}key:{_key(owner, key)}")
        return None if held is None else load_claim(held)

    async def release_key(self, owner: str, key: str, claim: KeyClaim | None) -> None:
        await self._call("release_key", _key(owner, key), "" if claim is None else claim_head(claim))

    async def ended(self, turn_id: str) -> EndState | None:
        found = await self._plain("GET", f"{self._prefix}end:{turn_id}")
        return None if found is None else load_end(found.decode())

    async def survey_turns(self, limit: int, after: str = "") -> list[HeldTurn]:
        found = await self._call("survey_turns", after, limit)
        return [
            HeldTurn(
                load_info(info),
                holder.decode(),
                bool(claimed),
                bool(stop),
                bool(lapsed),
                None if left == b"" else left / 1000,
            )
            for info, holder, claimed, stop, lapsed, left in found
        ]

    async def survey_workers(self, limit: int) -> list[WorkerRecord]:
        found = await self._call("survey_workers", limit)
        return [WorkerRecord(name.decode(), turns, left / 1000, left < 0) for name, turns, left in found]

    async def _plain(self, *command: object) -> Any:
        try:
            return await self._client.execute_command(*command)
        except FAILURES as error:
            await self._doubt_others(error)
            raise self._failure(error) from error

    async def close(self) -> None:
        for pool in (self._pool, self._blocking_pool):
            with suppress(driver.RedisError, OSError, RuntimeError):
                await pool.aclose()


def _thread(thread: ThreadKey) -> str:
    # No owner and thread can be mistaken for another owner and thread.
    return json.dumps([thread.owner, thread.thread_id], separators=(",", ":"))


def _key(owner: str, key: str) -> str:
    # No owner and key can be mistaken for another owner and key.
    return json.dumps([owner, key], separators=(",", ":"))


def _chunk(entry: Any) -> Chunk:
    entry_id, fields = entry
    last_seq = int(entry_id.partition(b"-")[0])
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    if b"e" in values:
        return Chunk(last_seq + 1, last_seq, end=load_end(values[b"e"].decode()))
    return Chunk(int(values[b"f"]), last_seq, values[b"d"], b"j" in values)
