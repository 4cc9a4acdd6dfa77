-- What another process needs to run a turn again after its worker died.

ALTER TABLE stream_turns ADD COLUMN context TEXT;
ALTER TABLE stream_turns ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
