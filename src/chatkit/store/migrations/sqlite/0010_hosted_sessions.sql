-- Sessions of hosted chats, and counts of uses in a window of time.
-- Usable by: 9

CREATE TABLE hosted_sessions (
    id TEXT PRIMARY KEY,
    data TEXT NOT NULL, -- the session as JSON
    cancelled INTEGER NOT NULL DEFAULT 0,
    forget_at REAL NOT NULL -- seconds since 1970, some time after its end
);
CREATE INDEX hosted_sessions_old ON hosted_sessions (forget_at);

CREATE TABLE counts (
    key TEXT PRIMARY KEY,
    total INTEGER NOT NULL,
    ends_at REAL NOT NULL -- seconds since 1970: the end of the window
);
CREATE INDEX counts_old ON counts (ends_at);
