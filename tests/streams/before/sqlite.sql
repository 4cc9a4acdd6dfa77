-- A database that the version before shared files wrote: turns whose process was killed, one of them claimed, one
-- taken over by a second process that was killed as well. Made by running that version.
BEGIN TRANSACTION;
CREATE TABLE attachments (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT, -- once a message uses the attachment
    data TEXT NOT NULL, created_at INTEGER, -- the attachment as JSON
    PRIMARY KEY (owner, id)
);
CREATE TABLE completed_turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    forget_at INTEGER NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "counters" VALUES('turn_token',0);
CREATE TABLE items (
    seq INTEGER PRIMARY KEY, -- order of adding
    thread INTEGER NOT NULL REFERENCES threads (seq) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL, -- the item as JSON
    UNIQUE (thread, id)
);
CREATE TABLE stream_chunks (
    turn_id TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    events BLOB NOT NULL, -- consecutive events, joined by the byte 0x1E, which no JSON text holds
    PRIMARY KEY (turn_id, first_seq)
);
INSERT INTO "stream_chunks" VALUES('turn_a',1,X'7B226E756D626572223A312C2274657874223A22C3A4E28692227D1E7B226E756D626572223A322C2274657874223A22C3A4E28692227D1E7B226E756D626572223A332C2274657874223A22C3A4E28692227D');
INSERT INTO "stream_chunks" VALUES('turn_c',1,X'7B226E756D626572223A312C2274657874223A22C3A4E28692227D1E7B226E756D626572223A322C2274657874223A22C3A4E28692227D');
INSERT INTO "stream_chunks" VALUES('turn_a',4,X'7B226E756D626572223A342C2274657874223A22C3A4E28692227D1E7B226E756D626572223A352C2274657874223A22C3A4E28692227D1E7B226E756D626572223A362C2274657874223A22C3A4E28692227D1E7B226E756D626572223A372C2274657874223A22C3A4E28692227D');
INSERT INTO "stream_chunks" VALUES('turn_c',1048579,X'7B226E756D626572223A332C2274657874223A22C3A4E28692227D1E7B226E756D626572223A342C2274657874223A22C3A4E28692227D');
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
INSERT INTO "stream_keys" VALUES('ada','key','body','turn_a','thr_a','msg_1',1.79597555761396408076e+09);
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
    lease_expires_at REAL NOT NULL -- seconds since 1970
, context TEXT, attempt INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
INSERT INTO "stream_turns" VALUES('turn_a','thr_a','ada',1,'msg_1','2026-11-29T18:05:57.580075+00:00','log_0DfYnqqWDXmjF6KciCEXh8rIvB.31203',1,'elsewhere',4242,'1',1.795975557613473177e+09,'{"user":"ada"}',1);
INSERT INTO "stream_turns" VALUES('turn_b','thr_b',NULL,0,NULL,'2026-11-29T18:05:57.580168+00:00','log_0DfYnqqWDXmjF6KciCEXh8rIvB.31203',1,'elsewhere',4242,'1',1.795975557613473177e+09,NULL,1);
INSERT INTO "stream_turns" VALUES('turn_c','thr_c',NULL,1,NULL,'2026-11-29T18:05:57.580189+00:00','log_0DfYnqqWDXmjF6KciCEXh8rIvB.31203',0,'elsewhere',4242,'1',1.79597555761383771894e+09,NULL,2);
CREATE TABLE threads (
    seq INTEGER PRIMARY KEY, -- order of creation
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL, -- the thread as JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (owner, id)
);
CREATE TABLE turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL, -- may name a thread that is not saved yet
    token INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX threads_of_owner ON threads (owner);
CREATE INDEX items_of_thread ON items (thread);
CREATE INDEX attachments_of_thread ON attachments (owner, thread_id);
CREATE INDEX turns_of_thread ON turns (owner, thread_id);
CREATE INDEX stream_keys_by_age ON stream_keys (created_at);
CREATE INDEX completed_turns_old ON completed_turns (forget_at);
CREATE INDEX attachments_unclaimed ON attachments (created_at) WHERE thread_id IS NULL;
COMMIT;
PRAGMA application_id = 1130908532;
PRAGMA user_version = 6;
