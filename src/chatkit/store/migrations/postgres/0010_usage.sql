-- What calls of models have used, what of a count is reserved for calls that run, and the bytes of files.
-- Usable by: 9

CREATE TABLE chatkit.usage (
    owner TEXT COLLATE "C" NOT NULL,
    turn_id TEXT COLLATE "C" NOT NULL,
    step TEXT COLLATE "C" NOT NULL, -- of the turn; it counts once
    thread_id TEXT COLLATE "C" NOT NULL,
    group_id TEXT COLLATE "C",
    model TEXT COLLATE "C" NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost BIGINT, -- in billionths; NULL: the model had no price
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, turn_id, step)
);

CREATE INDEX usage_of_owner ON chatkit.usage (owner, created_at);
CREATE INDEX usage_by_age ON chatkit.usage (created_at);

CREATE TABLE chatkit.reservations (
    key TEXT COLLATE "C" NOT NULL, -- of counts
    id TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL, -- contained in the total of its window
    ends_at TIMESTAMPTZ NOT NULL, -- of that window
    expires_at TIMESTAMPTZ NOT NULL, -- given back then
    PRIMARY KEY (key, id)
);

CREATE INDEX reservations_old ON chatkit.reservations (ends_at);

ALTER TABLE chatkit.attachments ADD COLUMN size BIGINT NOT NULL DEFAULT 0; -- bytes; 0: saved by an earlier version
ALTER TABLE chatkit.attachments ADD COLUMN group_id TEXT COLLATE "C";

CREATE INDEX attachments_of_group ON chatkit.attachments (group_id) WHERE group_id IS NOT NULL;
