-- What all migrations together result in. A test compares it with replayed migrations; nothing executes it.

CREATE SCHEMA chatkit;

CREATE TABLE chatkit.schema_version (
    version INTEGER NOT NULL
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
    PRIMARY KEY (owner, id)
);

CREATE INDEX attachments_of_thread ON chatkit.attachments (owner, thread_id);

CREATE SEQUENCE chatkit.turn_tokens;

CREATE TABLE chatkit.turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL, -- may name a thread that is not saved yet
    token BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX turns_of_thread ON chatkit.turns (owner, thread_id);
