-- Turns that left all that they were to leave, should their log not know it.
CREATE TABLE completed_turns (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    forget_at INTEGER NOT NULL, -- seconds since 1970
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX completed_turns_old ON completed_turns (forget_at);
