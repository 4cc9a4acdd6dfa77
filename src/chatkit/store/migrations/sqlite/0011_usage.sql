-- What calls of models have used, what of a count is reserved for calls that run, and the bytes of files.
-- Usable by: 10

CREATE TABLE usage (
    owner TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    step TEXT NOT NULL, -- of the turn; it counts once
    thread_id TEXT NOT NULL,
    group_id TEXT,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost INTEGER, -- in billionths; NULL: the model had no price
    created_at REAL NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, turn_id, step)
) WITHOUT ROWID;
CREATE INDEX usage_of_owner ON usage (owner, created_at);
CREATE INDEX usage_by_age ON usage (created_at);

CREATE TABLE reservations (
    key TEXT NOT NULL, -- of counts
    id TEXT NOT NULL,
    amount INTEGER NOT NULL, -- contained in the total of its window
    ends_at REAL NOT NULL, -- of that window
    expires_at REAL NOT NULL, -- seconds since 1970: given back then
    PRIMARY KEY (key, id)
) WITHOUT ROWID;
CREATE INDEX reservations_old ON reservations (ends_at);

ALTER TABLE attachments ADD COLUMN size INTEGER NOT NULL DEFAULT 0; -- bytes of the file; 0: saved by an earlier version
ALTER TABLE attachments ADD COLUMN group_id TEXT;
CREATE INDEX attachments_of_group ON attachments (group_id) WHERE group_id IS NOT NULL;
