-- The turns that may write, and the source of their fencing tokens, which never repeat.

CREATE TABLE turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL, -- may name a thread that is not saved yet
    token INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;

CREATE INDEX turns_of_thread ON turns (owner, thread_id);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('turn_token', 0);
