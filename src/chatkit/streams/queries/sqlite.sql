-- The statements of chatkit.streams.sqlite.

-- name: begin_turn
INSERT OR IGNORE INTO stream_turns (
    turn_id, thread_id, owner, resumable, user_item_id, started_at,
    holder, place, pid, process_start, lease_expires_at, context, attempt
) VALUES (
    :turn_id, :thread_id, :owner, :resumable, :user_item_id, :started_at,
    :holder, :place, :pid, :process_start, :lease_expires_at, :context, :attempt
);

-- name: renew_leases
UPDATE stream_turns SET lease_expires_at = :lease_expires_at
WHERE holder = :holder AND NOT claimed AND turn_id IN (SELECT value FROM json_each(:turn_ids))
RETURNING turn_id;

-- name: save_chunk
INSERT OR REPLACE INTO stream_chunks (turn_id, first_seq, events) VALUES (:turn_id, :first_seq, :events);

-- name: delete_turn
DELETE FROM stream_turns WHERE turn_id = :turn_id AND holder = :holder;

-- name: delete_chunks
DELETE FROM stream_chunks
WHERE turn_id = :turn_id AND NOT EXISTS (SELECT 1 FROM stream_turns WHERE turn_id = :turn_id);

-- name: load_turns
SELECT
    turn_id, thread_id, owner, resumable, user_item_id, started_at, place, pid, process_start, lease_expires_at,
    context, attempt
FROM stream_turns
ORDER BY started_at, turn_id;

-- name: claim_turn
UPDATE stream_turns
SET holder = :holder, claimed = 1, place = :place, pid = :pid, process_start = :process_start,
    lease_expires_at = :lease_expires_at
WHERE turn_id = :turn_id;

-- name: take_over_turn
UPDATE stream_turns SET claimed = 0, attempt = :attempt WHERE turn_id = :turn_id AND holder = :holder;

-- name: release_turn
UPDATE stream_turns SET holder = '', place = '', pid = 0, process_start = '', lease_expires_at = 0
WHERE turn_id = :turn_id AND holder = :holder AND NOT claimed;

-- name: load_chunks
SELECT first_seq, events FROM stream_chunks WHERE turn_id = :turn_id ORDER BY first_seq;

-- name: forget_old_keys
DELETE FROM stream_keys WHERE created_at <= :horizon;

-- name: claim_key
INSERT OR IGNORE INTO stream_keys (owner, key, fingerprint, turn_id, thread_id, user_item_id, created_at)
VALUES (:owner, :key, :fingerprint, :turn_id, :thread_id, :user_item_id, :created_at);

-- name: load_key
SELECT turn_id, thread_id, fingerprint, user_item_id FROM stream_keys WHERE owner = :owner AND key = :key;

-- name: release_key
DELETE FROM stream_keys
WHERE owner = :owner AND key = :key AND (:turn_id IS NULL OR turn_id = :turn_id);
