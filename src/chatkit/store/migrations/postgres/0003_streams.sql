-- The stream log: running turns, their events and leases, idempotency keys.

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
    forget_at TIMESTAMPTZ
) WITH (fillfactor = 50); -- most updates change numbers only, in the same page

CREATE INDEX stream_turns_of_thread ON chatkit.stream_turns (thread_id, number);
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
