-- The statements of chatkit.streams.backends.sqlite. What writes to a turn names its holder.

-- name: begin_turn
INSERT OR IGNORE INTO stream_turns (
    turn_id, thread_id, owner, resumable, user_item_id, started_at,
    holder, place, pid, process_start, lease_expires_at, context, attempt, base
) VALUES (
    :turn_id, :thread_id, :owner, :resumable, :user_item_id, :started_at,
    :holder, :place, :pid, :process_start, :lease_expires_at, :context, :attempt, :base
);

-- name: standing_of_turns
SELECT turn_id, holder, last_seq, stop, ended, resumable FROM stream_turns
WHERE turn_id IN (SELECT value FROM json_each(:turn_ids));

-- name: renew_leases
UPDATE stream_turns SET lease_expires_at = :lease_expires_at
WHERE holder = :holder AND turn_id IN (SELECT value FROM json_each(:turn_ids));

-- name: save_chunk
INSERT OR REPLACE INTO stream_chunks (turn_id, first_seq, events, jumps) VALUES (:turn_id, :first_seq, :events, :jumps);

-- name: save_progress
UPDATE stream_turns SET last_seq = :last_seq WHERE turn_id = :turn_id;

-- name: save_snapshot
UPDATE stream_turns SET snapshot_seq = :snapshot_seq, snapshot = :snapshot WHERE turn_id = :turn_id;

-- name: trim_chunks
DELETE FROM stream_chunks WHERE turn_id = :turn_id AND first_seq < :keep_from;

-- name: end_turn
UPDATE stream_turns SET ended = :ended, forget_at = :forget_at WHERE turn_id = :turn_id;

-- name: keep_end
INSERT OR IGNORE INTO stream_ends (turn_id, ended, forget_at) VALUES (:turn_id, :ended, :forget_at);

-- name: load_end
SELECT ended FROM stream_ends WHERE turn_id = :turn_id AND forget_at > :now;

-- name: delete_turn
DELETE FROM stream_turns WHERE turn_id = :turn_id;

-- name: delete_chunks
DELETE FROM stream_chunks WHERE turn_id = :turn_id;

-- name: load_turn
SELECT
    turn_id, thread_id, owner, resumable, user_item_id, started_at, context, attempt, base,
    ended, last_seq, stop
FROM stream_turns
WHERE turn_id = :turn_id AND (forget_at IS NULL OR forget_at > :now);

-- name: load_turns_of_thread
SELECT
    turn_id, thread_id, owner, resumable, user_item_id, started_at, context, attempt, base,
    ended, last_seq, stop
FROM stream_turns
WHERE thread_id = :thread_id AND owner IS :owner
    AND (ended IS NULL OR (resumable AND forget_at > :now))
ORDER BY started_at, turn_id;

-- name: load_running_turns
SELECT
    turn_id, thread_id, owner, resumable, user_item_id, started_at, context, attempt, base,
    ended, last_seq, stop, holder, place, pid, process_start, lease_expires_at
FROM stream_turns
WHERE ended IS NULL
ORDER BY started_at, turn_id;

-- name: load_stops
SELECT turn_id FROM stream_turns WHERE holder = :holder AND stop AND ended IS NULL;

-- name: load_held
SELECT turn_id FROM stream_turns WHERE holder = :holder AND ended IS NULL;

-- name: load_chunks
-- Chunks follow one another, so the one that holds the next event begins at it or before it.
SELECT first_seq, events, jumps FROM stream_chunks
WHERE turn_id = :turn_id AND first_seq >= coalesce(
    (SELECT max(first_seq) FROM stream_chunks WHERE turn_id = :turn_id AND first_seq <= :after + 1), 0
)
ORDER BY first_seq
LIMIT :limit;

-- name: load_snapshot
SELECT snapshot_seq, snapshot FROM stream_turns WHERE turn_id = :turn_id AND snapshot_seq IS NOT NULL;

-- name: find_turn_elsewhere
SELECT 1 FROM stream_turns WHERE holder <> :holder LIMIT 1;

-- name: stop_turn
UPDATE stream_turns SET stop = 1 WHERE turn_id = :turn_id AND ended IS NULL;

-- name: claim_turn
UPDATE stream_turns
SET holder = :holder, claimed = 1, place = :place, pid = :pid, process_start = :process_start,
    lease_expires_at = :lease_expires_at
WHERE turn_id = :turn_id;

-- name: adopt_turn
UPDATE stream_turns
SET holder = :holder, claimed = 0, place = :place, pid = :pid, process_start = :process_start,
    lease_expires_at = :lease_expires_at, context = :context, attempt = :attempt, base = :base,
    last_seq = max(last_seq, :base)
WHERE turn_id = :turn_id AND holder = :claim AND ended IS NULL;

-- name: release_turn
UPDATE stream_turns SET holder = '', claimed = 0, place = '', pid = 0, process_start = '', lease_expires_at = 0
WHERE turn_id = :turn_id AND holder = :holder AND ended IS NULL;

-- name: load_workers
SELECT id, holder, place, pid, process_start, seen_at FROM stream_workers;

-- name: register_worker
INSERT OR REPLACE INTO stream_workers (id, holder, place, pid, process_start, seen_at)
VALUES (:id, :holder, :place, :pid, :process_start, :now);

-- name: delete_worker
DELETE FROM stream_workers WHERE id = :id;

-- name: find_old
SELECT 1 WHERE EXISTS (SELECT 1 FROM stream_turns WHERE forget_at <= :now)
    OR EXISTS (SELECT 1 FROM stream_ends WHERE forget_at <= :now)
    OR EXISTS (SELECT 1 FROM stream_keys WHERE created_at <= :horizon);

-- name: forget_chunks
-- Of the turns that forget_turns deletes.
DELETE FROM stream_chunks WHERE turn_id IN (
    SELECT turn_id FROM stream_turns WHERE forget_at <= :now ORDER BY forget_at, turn_id LIMIT :limit
);

-- name: forget_turns
DELETE FROM stream_turns WHERE turn_id IN (
    SELECT turn_id FROM stream_turns WHERE forget_at <= :now ORDER BY forget_at, turn_id LIMIT :limit
);

-- name: forget_ends
DELETE FROM stream_ends WHERE turn_id IN (
    SELECT turn_id FROM stream_ends WHERE forget_at <= :now ORDER BY forget_at LIMIT :limit
);

-- name: forget_keys
DELETE FROM stream_keys WHERE (owner, key) IN (
    SELECT owner, key FROM stream_keys WHERE created_at <= :horizon ORDER BY created_at LIMIT :limit
);

-- name: find_thread
SELECT 1 FROM stream_turns WHERE thread_id = :thread_id AND owner IS :owner LIMIT 1;

-- name: end_turns_of_thread
INSERT OR IGNORE INTO stream_ends (turn_id, ended, forget_at)
SELECT turn_id, 'interrupted', :forget_at FROM stream_turns
WHERE thread_id = :thread_id AND owner IS :owner AND ended IS NULL;

-- name: forget_chunks_of_thread
DELETE FROM stream_chunks WHERE turn_id IN (
    SELECT turn_id FROM stream_turns WHERE thread_id = :thread_id AND owner IS :owner
);

-- name: forget_turns_of_thread
DELETE FROM stream_turns WHERE thread_id = :thread_id AND owner IS :owner;

-- name: forget_key_if_old
DELETE FROM stream_keys WHERE owner = :owner AND key = :key AND created_at <= :horizon;

-- name: claim_key
INSERT OR IGNORE INTO stream_keys (owner, key, fingerprint, turn_id, thread_id, user_item_id, created_at)
VALUES (:owner, :key, :fingerprint, :turn_id, :thread_id, :user_item_id, :created_at);

-- name: load_key
SELECT turn_id, thread_id, fingerprint, user_item_id FROM stream_keys WHERE owner = :owner AND key = :key;

-- name: release_key
DELETE FROM stream_keys
WHERE owner = :owner AND key = :key AND (:turn_id IS NULL OR turn_id = :turn_id);

-- name: survey_turns
SELECT
    turn_id, thread_id, owner, resumable, user_item_id, started_at, context, attempt, base,
    ended, last_seq, stop, holder, claimed, lease_expires_at
FROM stream_turns
WHERE ended IS NULL AND turn_id > :after
ORDER BY turn_id LIMIT :limit;

-- name: survey_workers
SELECT holder, place, pid, process_start, (
    SELECT count(*) FROM stream_turns WHERE stream_turns.holder = stream_workers.holder AND ended IS NULL
)
FROM stream_workers ORDER BY seen_at DESC LIMIT :limit;
