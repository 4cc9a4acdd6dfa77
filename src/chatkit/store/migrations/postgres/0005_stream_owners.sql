-- Turns of the stream log are looked up by owner and thread: ids of threads are unique within an owner only.

ALTER TABLE chatkit.stream_turns ADD COLUMN owner TEXT COLLATE "C"; -- as JSON; NULL: only in info

CREATE INDEX stream_turns_of_owner ON chatkit.stream_turns (thread_id, owner, number);
DROP INDEX chatkit.stream_turns_of_thread;
