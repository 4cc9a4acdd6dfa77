-- The journals of turns: the steps that a turn took, for a worker that goes on with it.
-- Usable by: 10

CREATE TABLE turn_steps (
    owner TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the order in which the steps were begun
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL, -- of kind, name and arguments
    effect TEXT NOT NULL, -- repeatable, keyed or once
    status TEXT NOT NULL, -- started, ended, failed, unkept or left
    result TEXT NOT NULL, -- JSON; empty where there is none
    PRIMARY KEY (owner, turn_id, position),
    FOREIGN KEY (owner, turn_id) REFERENCES turns (owner, id) ON DELETE CASCADE -- gone as the turn ends
);
