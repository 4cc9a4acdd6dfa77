-- Turns that left all that they were to leave, should their log not know it.
CREATE TABLE chatkit.completed_turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX completed_turns_old ON chatkit.completed_turns (forget_at);
