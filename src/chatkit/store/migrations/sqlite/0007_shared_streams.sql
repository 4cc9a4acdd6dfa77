-- Turns that several processes share: how far they are, who asks them to stop, how they ended, and who is there.

ALTER TABLE stream_turns ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream_turns ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream_turns ADD COLUMN stop INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream_turns ADD COLUMN ended TEXT;
ALTER TABLE stream_turns ADD COLUMN forget_at REAL;
ALTER TABLE stream_turns ADD COLUMN snapshot_seq INTEGER;
ALTER TABLE stream_turns ADD COLUMN snapshot BLOB;
CREATE INDEX stream_turns_of_thread ON stream_turns (thread_id);
CREATE INDEX stream_turns_running ON stream_turns (holder) WHERE ended IS NULL;
CREATE INDEX stream_turns_old ON stream_turns (forget_at);

ALTER TABLE stream_chunks ADD COLUMN jumps INTEGER NOT NULL DEFAULT 0;

-- A process that took a turn over began 1048576 numbers further on, and kept no snapshot.
UPDATE stream_chunks SET jumps = 1
WHERE first_seq > 1048576 + (
    SELECT max(earlier.first_seq) FROM stream_chunks AS earlier
    WHERE earlier.turn_id = stream_chunks.turn_id AND earlier.first_seq < stream_chunks.first_seq
);

-- A chunk has one event more than separators.
UPDATE stream_turns SET last_seq = coalesce((
    SELECT max(first_seq + length(CAST(events AS TEXT)) - length(replace(CAST(events AS TEXT), char(30), '')))
    FROM stream_chunks WHERE stream_chunks.turn_id = stream_turns.turn_id
), 0);

CREATE TABLE stream_ends (
    turn_id TEXT PRIMARY KEY,
    ended TEXT NOT NULL,
    forget_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;
CREATE INDEX stream_ends_old ON stream_ends (forget_at);

CREATE TABLE stream_workers (
    id TEXT PRIMARY KEY, -- an event loop of the process
    holder TEXT NOT NULL, -- the log object
    place TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_start TEXT NOT NULL,
    seen_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;
