-- Threads, their items, and the records of attachments. Ids are unique within an owner, items' within their thread.

CREATE TABLE threads (
    seq INTEGER PRIMARY KEY, -- order of creation
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL, -- the thread as JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (owner, id)
);

-- An index ends with the rowid, here seq: this one gives an owner's threads in order.
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
    PRIMARY KEY (owner, id)
);

CREATE INDEX attachments_of_thread ON attachments (owner, thread_id);
