-- What all migrations together result in. A test compares it with replayed migrations; nothing executes it.

CREATE SCHEMA chatkit;

CREATE TABLE chatkit.schema_version (
    version INTEGER NOT NULL,
    usable_since INTEGER -- the earliest version whose workers can use the schema; NULL: the present one
);

CREATE TABLE chatkit.threads (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Order of creation: drawn under a lock on the owner. Of no index of its own, or the planner may take that one and
    -- go through the threads of others.
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    data JSONB NOT NULL, -- the thread
    exact TEXT, -- the thread as JSON, where JSONB would not give it back as it was
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (owner, id)
);

CREATE INDEX threads_of_owner ON chatkit.threads (owner, seq);

CREATE TABLE chatkit.items (
    thread BIGINT NOT NULL REFERENCES chatkit.threads (number) ON DELETE CASCADE,
    seq BIGINT GENERATED ALWAYS AS IDENTITY, -- order of adding: drawn under a lock on the thread
    id TEXT COLLATE "C" NOT NULL,
    type TEXT NOT NULL,
    data JSONB NOT NULL, -- the item
    exact TEXT, -- the item as JSON, where JSONB would not give it back as it was
    PRIMARY KEY (thread, seq),
    UNIQUE (thread, id)
);

CREATE TABLE chatkit.attachments (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C", -- once a message uses the attachment
    data JSONB NOT NULL, -- the attachment
    exact TEXT, -- the attachment as JSON, where JSONB would not give it back as it was
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, id)
);

CREATE INDEX attachments_of_thread ON chatkit.attachments (owner, thread_id);
CREATE INDEX attachments_unclaimed ON chatkit.attachments (created_at) WHERE thread_id IS NULL;

CREATE SEQUENCE chatkit.turn_tokens;

CREATE TABLE chatkit.turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL, -- may name a thread that is not saved yet
    token BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX turns_of_thread ON chatkit.turns (owner, thread_id);

CREATE TABLE chatkit.completed_turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX completed_turns_old ON chatkit.completed_turns (forget_at);

CREATE TABLE chatkit.stream_workers (
    id TEXT COLLATE "C" PRIMARY KEY,
    since TIMESTAMPTZ NOT NULL, -- it has held its lease without a break since then
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE chatkit.stream_turns (
    id TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT GENERATED ALWAYS AS IDENTITY, -- order of beginning
    thread_id TEXT COLLATE "C" NOT NULL,
    info TEXT NOT NULL, -- the turn as JSON
    resumable BOOLEAN NOT NULL,
    holder TEXT COLLATE "C" NOT NULL, -- the worker, or the claim, that may write
    claimed_until TIMESTAMPTZ, -- of a claim; a worker's lease is in stream_workers
    last_seq BIGINT NOT NULL DEFAULT 0,
    stop BOOLEAN NOT NULL DEFAULT FALSE,
    snapshot_seq BIGINT,
    snapshot BYTEA,
    ended TEXT,
    forget_at TIMESTAMPTZ,
    owner TEXT COLLATE "C" -- as JSON; NULL for turns of workers of an earlier version, whose owner is only in info
) WITH (fillfactor = 50); -- most updates change numbers only, in the same page

CREATE INDEX stream_turns_of_owner ON chatkit.stream_turns (thread_id, owner, number);
CREATE INDEX stream_turns_running ON chatkit.stream_turns (holder) WHERE ended IS NULL;
CREATE INDEX stream_turns_ended ON chatkit.stream_turns (forget_at) WHERE ended IS NOT NULL;

CREATE TABLE chatkit.stream_chunks (
    turn_id TEXT COLLATE "C" NOT NULL REFERENCES chatkit.stream_turns (id) ON DELETE CASCADE,
    last_seq BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    jumps BOOLEAN NOT NULL DEFAULT FALSE,
    events BYTEA NOT NULL, -- JSON texts, joined by the byte 0x1e
    PRIMARY KEY (turn_id, last_seq)
);

CREATE TABLE chatkit.stream_ends (
    turn_id TEXT COLLATE "C" PRIMARY KEY,
    ended TEXT NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX stream_ends_old ON chatkit.stream_ends (forget_at);

CREATE TABLE chatkit.stream_keys (
    key TEXT COLLATE "C" PRIMARY KEY, -- owner and idempotency key as JSON
    claim TEXT NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX stream_keys_old ON chatkit.stream_keys (forget_at);
