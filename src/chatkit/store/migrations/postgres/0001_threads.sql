-- Threads, their items, and the records of attachments. Ids are unique within an owner, items' within their thread.
-- Everything is in a schema of its own and always named with it: no search_path is needed.

-- A role that may not create schemas can be given one. IF NOT EXISTS would ask for the right all the same.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'chatkit') THEN
        CREATE SCHEMA chatkit;
    END IF;
END
$$;

CREATE TABLE chatkit.schema_version (
    version INTEGER NOT NULL
);

INSERT INTO chatkit.schema_version VALUES (0);

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
