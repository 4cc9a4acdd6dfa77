-- Turns that may write, each with its fencing token.

CREATE SEQUENCE chatkit.turn_tokens;

CREATE TABLE chatkit.turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL, -- may name a thread that is not saved yet
    token BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX turns_of_thread ON chatkit.turns (owner, thread_id);
