"""Where data of a person is kept: every table, Redis key and folder, and what becomes of each.

Export, erasure, ``docs/personal-data.md`` and the tests read it. A table, key or folder that it does not name fails a
test, so what keeps something new adds its row here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = [
    "FOLDERS",
    "KEYS",
    "NOT_OF_A_PERSON",
    "TABLES",
    "Folder",
    "KeyPattern",
    "Table",
    "key_named",
    "table_named",
]

Exported: TypeAlias = Literal["models", "rows", "no"]
"""How export has it: as models of the protocol, which import takes; as rows, which it leaves out; or not at all."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of SQLite, PostgreSQL, or both.

    Attributes:
        name: Its name; one that ends with ``*`` stands for all that begin so, such as the tables behind an index.
        holds: What it holds, in words.
        where: The condition that finds an owner's rows, in SQL of both databases; None where none is a person's, or
            where they go with those of another table.
            ``{owner}`` is the owner, ``{json}`` the owner as JSON, ``{pair}`` the beginning of a JSON list whose first
            entry it is, ``{s}`` the schema.
        key: The columns of its primary key.
        exported: How export has it.
        retention: What retention does with it, in words.
        postgres: The condition, where PostgreSQL has another one.
        postgres_key: Likewise the key.
        only: The one database that has the table.
        leaves_out: Columns that export leaves out.
        goes_with: The table with whose rows its rows are deleted: by the database, or by what indexes texts.
    """

    name: str
    holds: str
    where: str | None = None
    key: tuple[str, ...] = ("owner", "id")
    exported: Exported = "no"
    retention: str = "left as it is"
    postgres: str | None = None
    postgres_key: tuple[str, ...] | None = None
    only: Literal["sqlite", "postgres"] | None = None
    leaves_out: tuple[str, ...] = ()
    goes_with: str | None = None


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """Keys of Redis, after the prefix.

    Attributes:
        pattern: A regular expression of the whole key.
        shown: The same as people read it.
        holds: What it holds, in words.
        owner: How the owner is found: in the name of the key, as JSON or as the end of a counter's key; in the value;
            by the turn or session that the key is about; None where none is a person's.
        exported: How export has it.
    """

    pattern: str
    shown: str
    holds: str
    owner: Literal["list", "counter", "info", "session", "turn"] | None = None
    exported: Exported = "no"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder below that of the file store, or a prefix of keys of a bucket.

    Attributes:
        name: As the store makes it; ``*`` stands for the prefix that was chosen.
        holds: What it holds, in words.
        erased: What becomes of it, in words.
        bucket: Whether it is in a bucket.
    """

    name: str
    holds: str
    erased: str
    bucket: bool = False


_OWNER: Final = "owner = {owner}"
_SESSION: Final = (
    "replace(replace(json_extract(data, '$.tenant'), '%', '%25'), '/', '%2F') || '/' || "
    "replace(replace(json_extract(data, '$.user'), '%', '%25'), '/', '%2F') || '/' || "
    "replace(replace(json_extract(data, '$.workflow.id'), '%', '%25'), '/', '%2F') = {owner}"
)
_SESSION_POSTGRES: Final = "chatkit.owner_of_session(data) = {owner}"
_SUFFIX: Final = "CAST(':owner:' || {owner} AS BLOB)"
_KEY: Final = "CAST(key AS BLOB)"
# quota:WHAT:SECONDS:owner:OWNER, whose first parts have no colon; running:owner:OWNER; session:ID:WHAT.
_COUNT: Final = (
    # As bytes: the length of a text ends for SQLite where it has a NUL character.
    f"key = 'running:owner:' || {{owner}} OR (key LIKE 'quota:%' AND substr({_KEY}, -length({_SUFFIX})) = {_SUFFIX} "
    f"AND length(replace(CAST(substr({_KEY}, 1, length({_KEY}) - length({_SUFFIX})) AS TEXT), ':', '')) "
    f"= length({_KEY}) - length({_SUFFIX}) - 2) "
)
_COUNT_POSTGRES: Final = (
    "key = 'running:owner:' || {owner} OR (key LIKE 'quota:%' AND CASE "
    "WHEN length(key) > length({owner}) + 13 "
    "AND substr(key, length(key) - length({owner}) - 6) = ':owner:' || {owner} "
    "THEN length(replace(substr(key, 1, length(key) - length({owner}) - 7), ':', '')) "
    "= length(key) - length({owner}) - 9 ELSE FALSE END) "
)
_COUNT_OF_SESSION: Final = (
    "OR (key LIKE 'session:%' AND EXISTS (SELECT 1 FROM {s}hosted_sessions AS h "
    "WHERE substr(key, 1, length(h.id) + 9) = 'session:' || h.id || ':' AND "
)
_STREAM_TURNS: Final = (
    # PostgreSQL makes no text of JSON with a NUL character anywhere.
    "owner = {json} OR (owner IS NULL AND replace(info, '\\u0000', '\\ufffd')::json ->> 'owner' = {owner})"
)
_TURN_IDS: Final = (
    "turn_id IN (SELECT id FROM {s}accepted_turns WHERE owner = {owner} "
    "UNION SELECT id FROM {s}completed_turns WHERE owner = {owner} "
    "UNION SELECT turn_id FROM {s}usage WHERE owner = {owner} UNION SELECT "
)
_CHUNKS_POSTGRES: Final = "turn_id IN (SELECT id FROM {s}stream_turns WHERE %s)" % _STREAM_TURNS  # noqa: S608, UP031
_WITH_THREAD: Final = "goes with its thread"
_SOON: Final = "goes by itself"

TABLES: Final = (
    # In the order of erasure: what is found by another table comes before that one, and the right of turns to write
    # first of all.
    Table(
        "turn_steps",
        "the steps of turns that run, and what models and tools have returned in them",
        _OWNER,
        ("owner", "turn_id", "position"),
        "rows",
        "goes with the turn",
    ),
    Table(
        "turns",
        "which turns may write",
        _OWNER,
        retention="goes with the turn; a thread with one stays",
    ),
    Table(
        "reservations",
        "what of a quota is reserved for calls and turns that run",
        _COUNT + _COUNT_OF_SESSION + _SESSION.replace("(data", "(h.data") + "))",
        ("key", "id"),
        "rows",
        _SOON,
        postgres=_COUNT_POSTGRES + _COUNT_OF_SESSION + "chatkit.owner_of_session(h.data) = {owner}))",
    ),
    Table(
        "counts",
        "what of quotas was used in their present windows",
        _COUNT + _COUNT_OF_SESSION + _SESSION.replace("(data", "(h.data") + "))",
        ("key",),
        "rows",
        _SOON,
        postgres=_COUNT_POSTGRES + _COUNT_OF_SESSION + "chatkit.owner_of_session(h.data) = {owner}))",
    ),
    Table(
        "hosted_sessions",
        "sessions of hosted ChatKit: tenant, user, workflow, what the session may do",
        _SESSION,
        ("id",),
        "rows",
        "goes a day after its end",
        postgres=_SESSION_POSTGRES,
    ),
    Table(
        "stream_ends",
        "how resumable turns of the last day ended, by the turn's id",
        _TURN_IDS + "turn_id FROM stream_turns WHERE owner = {owner})",
        ("turn_id",),
        retention=_SOON,
        postgres=_TURN_IDS + "id FROM {s}stream_turns WHERE " + _STREAM_TURNS + ")",
    ),
    Table(
        "stream_chunks",
        "events of turns that run, or ended a moment ago",
        "turn_id IN (SELECT turn_id FROM stream_turns WHERE owner = {owner})",
        ("turn_id", "first_seq"),
        retention=_WITH_THREAD,
        postgres=_CHUNKS_POSTGRES,
    ),
    Table(
        "stream_turns",
        "turns that run, or ended a moment ago, with their state and the dumped context",
        _OWNER,
        ("turn_id",),
        "rows",
        _WITH_THREAD,
        postgres=_STREAM_TURNS,
        postgres_key=("id",),
        leaves_out=("snapshot",),
    ),
    Table(
        "stream_keys",
        "idempotency keys of the last day, where the stream log keeps them",
        _OWNER,
        ("owner", "key"),
        "rows",
        _SOON,
        postgres="starts_with(key, {pair})",
        postgres_key=("key",),
    ),
    Table(
        "items",
        "messages, answers and all other items of threads; feedback that an agent's server keeps",
        "thread IN (SELECT seq FROM threads WHERE owner = {owner})",
        ("thread", "id"),
        "models",
        _WITH_THREAD,
        postgres="thread IN (SELECT number FROM {s}threads WHERE owner = {owner})",
    ),
    Table(
        "threads",
        "threads: title, status, metadata, and feedback that an agent's server keeps",
        _OWNER,
        ("owner", "id"),
        "models",
        "deleted once nothing happened in it for the time of its rule",
    ),
    Table(
        "search_texts",
        "the words of messages and titles, for search",
        retention=_WITH_THREAD,
        only="sqlite",
        goes_with="threads",
    ),
    Table(
        "search_index*",
        "the index of these words",
        retention=_WITH_THREAD,
        only="sqlite",
        goes_with="threads",
    ),
    Table(
        "search_items",
        "the words of messages, for search",
        retention=_WITH_THREAD,
        only="postgres",
        goes_with="items",
    ),
    Table(
        "search_titles",
        "the words of titles, for search",
        retention=_WITH_THREAD,
        only="postgres",
        goes_with="threads",
    ),
    Table(
        "attachments",
        "records of attached files: name, type, size, thread",
        _OWNER,
        exported="models",
        retention="goes with its thread; one that no message named goes after a day",
    ),
    Table(
        "completed_turns",
        "which turns of the last day completed",
        _OWNER,
        exported="rows",
        retention=_SOON,
    ),
    Table(
        "accepted_turns",
        "turns that run or wait, and those of the last day: idempotency keys, waiting messages, the dumped context",
        _OWNER,
        exported="rows",
        retention="a day after its end; a thread with one that has not ended stays",
    ),
    Table(
        "usage",
        "what calls of models have used: tokens, cost, time",
        _OWNER,
        ("owner", "turn_id", "step"),
        "models",
        "kept, unless a time is given for usage",
    ),
    Table(
        "audit_keys",
        "the keys of pseudonyms in the audit log; without it nobody can tell which entries were about the owner",
        _OWNER,
        ("owner",),
    ),
    # Nothing in them is a person's.
    Table(
        "audit",
        "what operators did, under pseudonyms of owners",
        retention="'chatkit audit trim' deletes old entries",
    ),
    Table("erasures", "erasures: what was erased and when; whose it was only while it is under way"),
    Table("search_changes", "which texts wait to be indexed, by their numbers", only="sqlite"),
    Table("search_state", "whether there is an index", only="sqlite"),
    Table("leases", "which worker does what one at a time does"),
    Table("stream_workers", "workers that share the stream log"),
    Table("counters", "the last fencing token", only="sqlite"),
    Table("usable_since", "which versions can use the schema", only="sqlite"),
    Table("schema_version", "the version of the schema", only="postgres"),
)

KEYS: Final = (
    KeyPattern(
        r"turn:.+",
        "turn:ID",
        "a turn: its info with the owner, its state, the dumped context",
        "info",
        "rows",
    ),
    KeyPattern(r"events:.+", "events:ID", "the events of a turn", "turn"),
    KeyPattern(r"end:.+", "end:ID", "how a turn of the last day ended", "turn"),
    KeyPattern(r"thread:.+", "thread:[OWNER,THREAD]", "the turns of a thread", "list"),
    KeyPattern(r"key:.+", "key:[OWNER,KEY]", "what an idempotency key is bound to", "list", "rows"),
    KeyPattern(r"count:.+", "count:quota:...:owner:OWNER", "what of a quota was used", "counter", "rows"),
    KeyPattern(r"reserved:.+", "reserved:...:owner:OWNER", "what of a quota is reserved", "counter"),
    KeyPattern(r"lapses:.+", "lapses:...:owner:OWNER", "when that is given back", "counter"),
    KeyPattern(r"session:.+", "session:ID", "a session of hosted ChatKit", "session", "rows"),
    KeyPattern(r"erasing:.+", "erasing:ID", "what an erasure has erased so far"),
    KeyPattern(r"epoch", "epoch", "whether the server lost its data"),
    KeyPattern(r"workers", "workers", "workers and their leases"),
    KeyPattern(r"since", "since", "since when workers hold their leases"),
    KeyPattern(r"worker:.+", "worker:WORKER", "ids of the turns that run in a worker"),
    KeyPattern(r"inbox:.+", "inbox:WORKER", "ids of turns that a worker is to stop; goes after a minute"),
    KeyPattern(r"claims", "claims", "ids of turns whose worker died"),
)

FOLDERS: Final = (
    Folder("files", "attached files: bytes, name and type, preview", "each file with its record"),
    Folder(
        "pending", "notes on files that no message came for, or that were deleted: the file's id", "in a day"
    ),
    Folder(
        "incoming", "files that are arriving; nobody's so far", "in a day, where a process died meanwhile"
    ),
    Folder("secret", "the secret that signs links", "it is nobody's"),
    Folder("*/", "attached files", "each file with its record, and what arrived of it so far", bucket=True),
    Folder("*-previews/", "previews of pictures", "with their file", bucket=True),
    Folder(
        "*-pending/",
        "notes on files that no message came for, or that were deleted: the file's id, its name until it is scanned",
        "in a day",
        bucket=True,
    ),
    Folder(
        "*-quarantine/",
        "files that arrived and were not scanned so far",
        "each file with its record",
        bucket=True,
    ),
)

NOT_OF_A_PERSON: Final = frozenset(
    table.name for table in TABLES if table.where is None and table.goes_with is None
)


def table_named(name: str) -> Table | None:
    """Returns the row of a table, None if the registry does not name it."""
    return next(
        (
            table
            for table in TABLES
            if name == table.name or (table.name.endswith("*") and name.startswith(table.name[:-1]))
        ),
        None,
    )


def key_named(key: str) -> KeyPattern | None:
    """Returns the row of a Redis key without its prefix, None if the registry does not name it."""
    return next((row for row in KEYS if re.fullmatch(row.pattern, key, re.DOTALL)), None)
