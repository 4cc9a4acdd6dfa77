-- Sessions of hosted chats, and counts of uses in a window of time.
-- Usable by: 8

CREATE TABLE chatkit.hosted_sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    data TEXT NOT NULL, -- the session as JSON
    cancelled BOOLEAN NOT NULL DEFAULT FALSE,
    forget_at TIMESTAMPTZ NOT NULL -- some time after its end
);

CREATE INDEX hosted_sessions_old ON chatkit.hosted_sessions (forget_at);

CREATE TABLE chatkit.counts (
    key TEXT COLLATE "C" PRIMARY KEY,
    total BIGINT NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL -- the end of the window
);

CREATE INDEX counts_old ON chatkit.counts (ends_at);
