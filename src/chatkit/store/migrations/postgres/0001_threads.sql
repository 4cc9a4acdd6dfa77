-- Threads, their items, and the records of attachments. Ids are unique within an owner, items' within their thread.
-- Everything is in a schema of its own and always named with it: no search_path is needed.

CREATE SCHEMA IF NOT EXISTS chatkit;

CREATE TABLE chatkit.schema_version (
    version INTEGER NOT NULL
);

INSERT INTO chatkit.schema_version VALUES (0);

CREATE TABLE chatkit.threads (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of creation
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
    thread BIGINT NOT NULL REFERENCES chatkit.threads (seq) ON DELETE CASCADE,
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
