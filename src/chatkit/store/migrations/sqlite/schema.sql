-- What all migrations together result in. A test compares it with replayed migrations; nothing executes it.

CREATE TABLE usable_since (
    version INTEGER NOT NULL -- the earliest version whose workers can use the file; no row: the present one, user_version
);

CREATE TABLE threads (
    seq INTEGER PRIMARY KEY, -- order of creation
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL, -- the thread as JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (owner, id)
);
CREATE INDEX threads_of_owner ON threads (owner);

CREATE TABLE items (
    seq INTEGER PRIMARY KEY, -- order of adding
    thread INTEGER NOT NULL REFERENCES threads (seq) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL, -- the item as JSON
    UNIQUE (thread, id)
);
CREATE INDEX items_of_thread ON items (thread);

CREATE TABLE attachments (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT, -- once a message uses the attachment
    data TEXT NOT NULL, -- the attachment as JSON
    created_at INTEGER, -- seconds since 1970; NULL: saved by an earlier version
    size INTEGER NOT NULL DEFAULT 0, -- bytes of the file; 0: saved by an earlier version
    group_id TEXT,
    PRIMARY KEY (owner, id)
);
CREATE INDEX attachments_of_group ON attachments (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX attachments_of_thread ON attachments (owner, thread_id);
CREATE INDEX attachments_unclaimed ON attachments (created_at) WHERE thread_id IS NULL;

CREATE TABLE turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL, -- may name a thread that is not saved yet
    token INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX turns_of_thread ON turns (owner, thread_id);

CREATE TABLE completed_turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    forget_at INTEGER NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX completed_turns_old ON completed_turns (forget_at);

CREATE TABLE accepted_turns (
    number INTEGER PRIMARY KEY, -- order of acceptance
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    status TEXT NOT NULL, -- waiting, begun or ended
    opened INTEGER NOT NULL DEFAULT 0, -- 1 once its worker has opened it in the stream log
    claimed INTEGER NOT NULL DEFAULT 0, -- 1 once another worker than the first has taken it over
    lease_until REAL NOT NULL, -- seconds since 1970; of an opened turn the lease is that of the log
    look_at REAL NOT NULL DEFAULT 0, -- seconds since 1970: no sweep looks at it before
    user_item_id TEXT,
    key TEXT, -- the idempotency key of its request
    fingerprint TEXT NOT NULL DEFAULT '',
    info TEXT NOT NULL DEFAULT '', -- what another worker needs to begin it
    message TEXT, -- the message of a turn that waits, as JSON
    ended TEXT, -- how it ended
    forget_at REAL, -- seconds since 1970, once it has ended
    UNIQUE (owner, id)
);
CREATE UNIQUE INDEX accepted_turns_by_key ON accepted_turns (owner, key) WHERE key IS NOT NULL;
CREATE INDEX accepted_turns_of_thread ON accepted_turns (owner, thread_id, number);
CREATE INDEX accepted_turns_running ON accepted_turns (lease_until) WHERE status <> 'ended';
CREATE INDEX accepted_turns_old ON accepted_turns (forget_at) WHERE forget_at IS NOT NULL;

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE stream_turns (
    turn_id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL,
    owner TEXT,
    resumable INTEGER NOT NULL,
    user_item_id TEXT,
    started_at TEXT NOT NULL,
    holder TEXT NOT NULL, -- the log object that runs the turn or has claimed it
    claimed INTEGER NOT NULL DEFAULT 0, -- 1 while a claimer finalises the turn
    place TEXT NOT NULL, -- host, boot and process namespace: where pid means the holder's process
    pid INTEGER NOT NULL,
    process_start TEXT NOT NULL, -- tells a process from a later one with the same pid
    lease_expires_at REAL NOT NULL, -- seconds since 1970
    context TEXT, -- what another process makes the request's context from, JSON
    attempt INTEGER NOT NULL DEFAULT 1, -- how often the turn was begun
    base INTEGER NOT NULL DEFAULT 0, -- number after which the events of this attempt begin
    last_seq INTEGER NOT NULL DEFAULT 0, -- number of the last saved event
    stop INTEGER NOT NULL DEFAULT 0, -- 1 once somebody asks the turn to stop
    ended TEXT, -- how the turn ended
    forget_at REAL, -- seconds since 1970, once it has ended
    snapshot_seq INTEGER, -- number of the last event that the snapshot covers
    snapshot BLOB -- the state of the turn, which stands for events that are not kept
) WITHOUT ROWID;
CREATE INDEX stream_turns_of_thread ON stream_turns (thread_id);
CREATE INDEX stream_turns_running ON stream_turns (holder) WHERE ended IS NULL;
CREATE INDEX stream_turns_old ON stream_turns (forget_at);

CREATE TABLE stream_chunks (
    turn_id TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    events BLOB NOT NULL, -- consecutive events, joined by the byte 0x1E, which no JSON text holds
    jumps INTEGER NOT NULL DEFAULT 0, -- 1 where the numbers before it are left out on purpose
    PRIMARY KEY (turn_id, first_seq)
);

CREATE TABLE stream_keys (
    owner TEXT NOT NULL, -- '' where the store knows no owners
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    user_item_id TEXT,
    created_at REAL NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE INDEX stream_keys_by_age ON stream_keys (created_at);

CREATE TABLE stream_ends (
    turn_id TEXT PRIMARY KEY,
    ended TEXT NOT NULL,
    forget_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;
CREATE INDEX stream_ends_old ON stream_ends (forget_at);

CREATE TABLE stream_workers (
    id TEXT PRIMARY KEY, -- an event loop of the process
    holder TEXT NOT NULL, -- the log object
    place TEXT NOT NULL, -- as of a turn
    pid INTEGER NOT NULL,
    process_start TEXT NOT NULL,
    seen_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;

CREATE TABLE hosted_sessions (
    id TEXT PRIMARY KEY,
    data TEXT NOT NULL, -- the session as JSON
    cancelled INTEGER NOT NULL DEFAULT 0,
    forget_at REAL NOT NULL -- seconds since 1970, some time after its end
);
CREATE INDEX hosted_sessions_old ON hosted_sessions (forget_at);

CREATE TABLE counts (
    key TEXT PRIMARY KEY,
    total INTEGER NOT NULL,
    ends_at REAL NOT NULL -- seconds since 1970: the end of the window
);
CREATE INDEX counts_old ON counts (ends_at);

CREATE TABLE usage (
    owner TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    step TEXT NOT NULL, -- of the turn; it counts once
    thread_id TEXT NOT NULL,
    group_id TEXT,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost INTEGER, -- in billionths; NULL: the model had no price
    created_at REAL NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, turn_id, step)
) WITHOUT ROWID;
CREATE INDEX usage_of_owner ON usage (owner, created_at);
CREATE INDEX usage_by_age ON usage (created_at);

CREATE TABLE reservations (
    key TEXT NOT NULL, -- of counts
    id TEXT NOT NULL,
    amount INTEGER NOT NULL, -- contained in the total of its window
    ends_at REAL NOT NULL, -- of that window
    expires_at REAL NOT NULL, -- seconds since 1970: given back then
    PRIMARY KEY (key, id)
) WITHOUT ROWID;
CREATE INDEX reservations_old ON reservations (ends_at);

CREATE TABLE audit (
    number INTEGER PRIMARY KEY, -- from 1 without a gap
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL, -- ISO 8601 in UTC, to the microsecond
    kind TEXT NOT NULL,
    owner TEXT, -- a pseudonym
    actor TEXT NOT NULL,
    through INTEGER, -- of an entry that says so: entries up to this number are deleted because of their age
    data TEXT NOT NULL, -- the entry as JSON, with all of the above
    hash TEXT NOT NULL -- SHA-256 of data
);
CREATE INDEX audit_of_kind ON audit (kind, number);
CREATE INDEX audit_of_owner ON audit (owner, number) WHERE owner IS NOT NULL;
CREATE INDEX audit_trimmed ON audit (through) WHERE through IS NOT NULL;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'entries of the audit log are not changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit WHERE through >= OLD.number)
BEGIN
    SELECT raise(ABORT, 'entries of the audit log are deleted by chatkit audit trim only');
END;

CREATE TABLE audit_keys (
    owner TEXT PRIMARY KEY,
    key BLOB NOT NULL -- random; destroyed when the owner's data is erased
) WITHOUT ROWID;

CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    owner TEXT UNIQUE, -- NULL once nothing of the owner is left
    state TEXT NOT NULL, -- running, cleaning or ended
    begun_at REAL NOT NULL, -- seconds since 1970
    ended_at REAL,
    counts TEXT NOT NULL -- what was erased so far, JSON
);

CREATE TABLE leases (
    name TEXT PRIMARY KEY, -- what one worker at a time does
    holder TEXT NOT NULL,
    expires_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;

CREATE INDEX threads_by_age ON threads (updated_at);

-- While an owner is being erased nothing of theirs is added, by workers of any version.

CREATE TRIGGER threads_of_erased BEFORE INSERT ON threads
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER attachments_of_erased BEFORE INSERT ON attachments
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

-- A turn that is there may be taken over, and end.
CREATE TRIGGER accepted_turns_of_erased BEFORE INSERT ON accepted_turns
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
    AND NOT EXISTS (SELECT 1 FROM accepted_turns WHERE owner = NEW.owner AND id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER stream_keys_of_erased BEFORE INSERT ON stream_keys
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER counts_of_erased BEFORE INSERT ON counts
WHEN EXISTS (
    -- As bytes, for the length of a text ends where it has a NUL character. The parts before have no colon in them, so
    -- that an owner's count is not taken for that of another one, whose name ends with the same.
    SELECT 1 FROM (
        SELECT owner, CAST(NEW.key AS BLOB) AS key, CAST(':owner:' || owner AS BLOB) AS suffix FROM erasures
        WHERE owner IS NOT NULL
    )
    WHERE NEW.key = 'running:owner:' || owner OR (
        NEW.key LIKE 'quota:%' AND substr(key, -length(suffix)) = suffix
        AND length(replace(CAST(substr(key, 1, length(key) - length(suffix)) AS TEXT), ':', ''))
            = length(key) - length(suffix) - 2
    )
)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER hosted_sessions_of_erased BEFORE INSERT ON hosted_sessions
WHEN EXISTS (
    SELECT 1 FROM erasures WHERE owner IS NOT NULL AND owner =
        replace(replace(json_extract(NEW.data, '$.tenant'), '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(json_extract(NEW.data, '$.user'), '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(json_extract(NEW.data, '$.workflow.id'), '%', '%25'), '/', '%2F')
)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

-- A call of a model that was under way: what it used is not recorded.
CREATE TRIGGER usage_of_erased BEFORE INSERT ON usage
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(IGNORE);
END;

CREATE TABLE turn_steps (
    owner TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the order in which the steps were begun
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL, -- of kind, name and arguments
    effect TEXT NOT NULL, -- repeatable, keyed or once
    status TEXT NOT NULL, -- started, ended, failed, unkept or left
    result TEXT NOT NULL, -- JSON; empty where there is none
    PRIMARY KEY (owner, turn_id, position),
    FOREIGN KEY (owner, turn_id) REFERENCES turns (owner, id) ON DELETE CASCADE -- gone as the turn ends
);

CREATE TABLE search_state (
    begun INTEGER PRIMARY KEY -- one row, 1, once there is an index
);

CREATE TABLE search_changes (
    late INTEGER NOT NULL, -- 0: written since there is an index; 1: before
    place INTEGER NOT NULL, -- the seq of an item; of a thread, for its title, that below zero
    PRIMARY KEY (late, place)
) WITHOUT ROWID;

CREATE TABLE search_texts (
    place INTEGER PRIMARY KEY, -- as of search_changes
    tag TEXT NOT NULL, -- what each word of the owner begins with in the index
    words TEXT NOT NULL -- as they are in the index, but for the tag
);

CREATE TRIGGER search_items_added AFTER INSERT ON items
WHEN new.type IN ('user_message', 'assistant_message') AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = new.seq);
END;

CREATE TRIGGER search_items_changed AFTER UPDATE ON items
WHEN (new.type IN ('user_message', 'assistant_message') OR old.type IN ('user_message', 'assistant_message'))
    AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = new.seq);
END;

CREATE TRIGGER search_items_deleted AFTER DELETE ON items
WHEN old.type IN ('user_message', 'assistant_message') AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, old.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = old.seq);
END;

CREATE TRIGGER search_threads_added AFTER INSERT ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -new.seq);
END;

CREATE TRIGGER search_threads_changed AFTER UPDATE ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -new.seq);
END;

CREATE TRIGGER search_threads_deleted AFTER DELETE ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -old.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -old.seq);
END;
