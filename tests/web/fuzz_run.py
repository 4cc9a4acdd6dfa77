"""Sends mutated requests to a real server, one after the other, and reports what came of them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import asyncpg
import httpx2

from tests.cli.processes import serving
from tests.support.scale import scaled
from tests.web.fuzz_requests import Fuzzer, Mutated

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {501, 503}
"""Statuses from 500 that are answers: a handler that the application has not, a database that is gone."""

PER_OWNER = 100
"""Requests of one owner, then the next one begins: what was stored stays small."""

_SETTLED = 2_000
"""Requests after which memory is compared with that at the end, where it is not known how many there will be."""

_TABLES = ("threads", "items", "attachments")


@dataclass
class Report:
    """What came of a run.

    Attributes:
        statuses: How often each status was answered.
        types: How often each type of request was served (below 400) and refused.
        faults: Answers that must not be, in words.
        held: Seconds for which a request held the loop: computing time of its thread between two ticks; the worst.
        late: Seconds that the loop was late by at that, on the clock, with all else that the machine did.
        baseline: The same as ``held``, of as many plain requests as make it worth comparing: what the machine does.
        worst: The ten worst, in words.
        memory: Bytes of the server's process after the first fifth of the requests, and at the end.
        seconds: How long the run took.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    types: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])
    faults: list[str] = field(default_factory=list[str])
    held: float = 0.0
    late: float = 0.0
    baseline: float = 0.0
    worst: list[str] = field(default_factory=list[str])
    memory: tuple[int, int] = (0, 0)
    seconds: float = 0.0

    @property
    def growth(self) -> int:
        """Bytes by which the process grew after the first requests."""
        return self.memory[1] - self.memory[0]


class Writes(Protocol):
    """Counts rows of the store's tables that were written."""

    def count(self) -> int: ...


class _SQLiteWrites:
    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.connection.execute("CREATE TABLE fuzz_writes (n INTEGER)")
        self.connection.execute("INSERT INTO fuzz_writes VALUES (0)")
        for table in _TABLES:
            for event in ("INSERT", "UPDATE", "DELETE"):
                self.connection.execute(
                    f"CREATE TRIGGER fuzz_{table}_{event} AFTER {event} ON {table} "
                    "BEGIN UPDATE fuzz_writes SET n = n + 1; END"
                )

    def count(self) -> int:
        return self.connection.execute("SELECT n FROM fuzz_writes").fetchone()[0]

    def close(self) -> None:
        self.connection.close()


class _PostgresWrites:
    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = cast("Any", self._runner.run(asyncpg.connect(url)))
        statements = [
            "CREATE SEQUENCE public.fuzz_writes",
            """
            CREATE FUNCTION public.fuzz_wrote() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM nextval('public.fuzz_writes'); RETURN NULL; END$$
            """,
            *(
                f"CREATE TRIGGER fuzz_wrote AFTER INSERT OR UPDATE OR DELETE ON chatkit.{table} "
                "FOR EACH ROW EXECUTE FUNCTION public.fuzz_wrote()"
                for table in _TABLES
            ),
        ]
        for statement in statements:
            self._runner.run(self._connection.execute(statement))

    def count(self) -> int:
        return self._runner.run(self._connection.fetchval("SELECT last_value FROM public.fuzz_writes"))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


@contextmanager
def _target(database: str, folder: Path) -> Iterator[tuple[httpx2.Client, Writes]]:
    """Runs the server in a process of its own, with a client to it and a count of its writes."""
    with ExitStack() as stack:
        running = stack.enter_context(
            serving(
                *("tests.web.fuzz_served:app", "--port", "0", "--log-level", "critical"),
                folder=folder,
                FUZZ_DB=database,
                FUZZ_FILES=str(folder / "files"),
                PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "src")]),
            )
        )
        client = stack.enter_context(httpx2.Client(base_url=running.url, timeout=scaled(60)))
        # The first request makes the schema.
        client.post("/fuzz/seed", params={"owner": "nobody"}).raise_for_status()
        is_postgres = database.startswith("postgresql:")
        writes = _PostgresWrites(database) if is_postgres else _SQLiteWrites(database)
        stack.enter_context(closing(writes))
        yield client, writes


def run(
    database: str,
    folder: Path,
    *,
    requests: int,
    seed: int,
    large: float = 0.05,
    until: float | None = None,
) -> Report:
    """Sends requests and returns what came of them.

    Args:
        database: Path of an SQLite file, or a connection string, of an empty database.
        folder: For files.
        requests: How many.
        seed: The same seed sends the same requests.
        large: How many of the values that are put in are large, from 0 to 1.
        until: Seconds after which no more are sent; None sends all.
    """
    settled = requests // 5 if until is None else _SETTLED
    report, fuzzer = Report(), Fuzzer(seed, large=large)
    sent: dict[int, str] = {}
    begun = time.monotonic()
    owner = ""
    with _target(database, folder) as (client, writes):
        for number in range(requests):
            if until is not None and time.monotonic() - begun > until:
                break
            if number % PER_OWNER == 0:
                owner = f"owner {number // PER_OWNER}"
                client.post("/fuzz/seed", params={"owner": owner}).raise_for_status()
                if number == 0:
                    # What is built at first use counts for the start.
                    for _ in range(100):
                        _send(client, fuzzer.next(), owner, -1)
                    client.post("/fuzz/reset")
                    report.baseline = _baseline(client, owner)
            if number == settled:
                report.memory = (client.get("/fuzz/figures").json()["memory"], 0)
            mutated = fuzzer.next()
            before = writes.count()
            answer = _send(client, mutated, owner, number)
            refused = answer.status_code >= 400
            report.statuses[answer.status_code] += 1
            report.types[mutated.kind, refused] += 1
            fault = _fault(answer)
            if fault is None and refused and answer.status_code not in ALLOWED and writes.count() != before:
                fault = "wrote to the store, though it was refused"
            if fault is not None:
                report.faults.append(f"{fault}: {_described(number, mutated)}: {answer.text[:300]}")
            sent[number] = _described(number, mutated)
            if len(sent) > 5_000:
                _note_worst(client, sent, report)
                sent.clear()
        _note_worst(client, sent, report)
        report.memory = (report.memory[0], client.get("/fuzz/figures").json()["memory"])
    report.seconds = time.monotonic() - begun
    return report


def _baseline(client: httpx2.Client, owner: str) -> float:
    """Returns for how long plain requests hold the loop at most, and forgets them."""
    plain = Mutated(
        "threads.list", b'{"type":"threads.list","params":{}}', {"content-type": "application/json"}
    )
    for _ in range(300):
        _send(client, plain, owner, -1)
    worst = client.get("/fuzz/figures").json()["worst"]
    client.post("/fuzz/reset")
    return worst[0]["held"]


def _send(client: httpx2.Client, mutated: Mutated, owner: str, number: int) -> httpx2.Response:
    headers = {**mutated.headers, "x-owner": owner, "x-number": str(number)}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return client.post("/chatkit", content=mutated.body, headers=encoded)


def _fault(answer: httpx2.Response) -> str | None:
    status = answer.status_code
    if status >= 500 and status not in ALLOWED:
        return f"status {status}"
    if status >= 400:
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return f"an error of type {answer.headers.get('content-type')}"
        if set(answer.json()) != {"error"} or len(answer.content) > 1_000:
            return "an error in another form"
    elif b'"type":"error"' in answer.content and answer.headers["content-type"].startswith(
        "text/event-stream"
    ):
        return "a turn that failed"
    return None


def _described(number: int, mutated: Mutated) -> str:
    what = ", ".join(mutated.changes) or "as it is"
    return f"request {number}, {mutated.kind}, {len(mutated.body)} bytes ({what}) {mutated.body[:200]!r}"


def _note_worst(client: httpx2.Client, sent: dict[int, str], report: Report) -> None:
    found = client.get("/fuzz/figures").json()["worst"]
    client.post("/fuzz/reset")
    for entry in found:
        number = entry["request"]
        name = sent.get(int(number), "before") if number.lstrip("-").isdigit() else "no request"
        report.worst.append(
            f"{entry['held'] * 1000:6.1f} ms (late by {entry['late'] * 1000:6.1f} ms): {name}"
        )
        if entry["held"] > report.held:
            report.held, report.late = entry["held"], entry["late"]
    report.worst.sort(reverse=True)
    del report.worst[10:]
