-- Turns are accepted in one transaction with their message, their idempotency key and their place in the thread.
-- Usable by: 8

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

-- Turns that run: their workers have opened them before. One that ran no more is ended by a sweep.
INSERT INTO accepted_turns (owner, id, thread_id, status, opened, lease_until)
SELECT owner, id, thread_id, 'begun', 1, CAST(strftime('%s', 'now') AS REAL) FROM turns;

-- Keys that workers of the version before have bound stay in the stream log, where they are looked for too.
