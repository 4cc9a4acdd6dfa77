-- The statements of chatkit.store.sqlite. Each names the owner, or a thread that another one found by its owner.

-- name: is_turn_running
SELECT 1 FROM turns WHERE owner = :owner AND id = :turn_id AND token = :token;

-- name: draw_token
UPDATE counters SET value = value + 1 WHERE name = 'turn_token';

-- name: drawn_token
SELECT value FROM counters WHERE name = 'turn_token';

-- name: begin_turn
INSERT INTO turns (owner, id, thread_id, token) VALUES (:owner, :turn_id, :thread_id, :token)
ON CONFLICT (owner, id) DO UPDATE SET thread_id = excluded.thread_id, token = excluded.token;

-- name: end_turn
DELETE FROM turns WHERE owner = :owner AND id = :turn_id AND token = :token;

-- name: note_completion
INSERT OR REPLACE INTO completed_turns (owner, id, forget_at) VALUES (:owner, :turn_id, :forget_at);

-- name: forget_completion
DELETE FROM completed_turns WHERE owner = :owner AND id = :turn_id;

-- name: forget_old_completions
DELETE FROM completed_turns WHERE forget_at < :now;

-- name: has_completed
SELECT 1 FROM completed_turns WHERE owner = :owner AND id = :turn_id;

-- name: probe
-- Another value each time: SQLite writes no page that stays what it is.
INSERT INTO counters (name, value) VALUES ('probe', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1;

-- name: load_thread
SELECT data FROM threads WHERE owner = :owner AND id = :thread_id;

-- name: find_thread
SELECT seq FROM threads WHERE owner = :owner AND id = :thread_id;

-- name: save_thread
INSERT INTO threads (owner, id, data, created_at, updated_at)
VALUES (:owner, :thread_id, :data, :created_at, :updated_at)
ON CONFLICT (owner, id) DO UPDATE
SET data = excluded.data, created_at = excluded.created_at, updated_at = excluded.updated_at;

-- name: add_thread
INSERT INTO threads (owner, id, data, created_at, updated_at)
VALUES (:owner, :thread_id, :data, :created_at, :updated_at)
ON CONFLICT (owner, id) DO NOTHING;

-- name: load_threads_asc
SELECT data FROM threads WHERE owner = :owner AND seq > :after ORDER BY seq LIMIT :count;

-- name: load_threads_desc
SELECT data FROM threads WHERE owner = :owner AND seq < :after ORDER BY seq DESC LIMIT :count;

-- name: survey_threads_asc
SELECT owner, data FROM threads
WHERE owner >= :low AND owner < :high AND (:thread_id IS NULL OR id = :thread_id)
    AND (:after IS NULL OR (created_at, id) > (:created_at, :after))
ORDER BY created_at, id LIMIT :count;

-- name: survey_threads_desc
SELECT owner, data FROM threads
WHERE owner >= :low AND owner < :high AND (:thread_id IS NULL OR id = :thread_id)
    AND (:after IS NULL OR (created_at, id) < (:created_at, :after))
ORDER BY created_at DESC, id DESC LIMIT :count;

-- name: delete_thread
DELETE FROM threads WHERE owner = :owner AND id = :thread_id;

-- name: delete_attachments_of_thread
DELETE FROM attachments WHERE owner = :owner AND thread_id = :thread_id;

-- name: delete_turns_of_thread
DELETE FROM turns WHERE owner = :owner AND thread_id = :thread_id;

-- name: find_item
SELECT threads.seq, items.seq
FROM threads LEFT JOIN items ON items.thread = threads.seq AND items.id = :item_id
WHERE threads.owner = :owner AND threads.id = :thread_id;

-- name: load_item
SELECT items.data
FROM threads JOIN items ON items.thread = threads.seq
WHERE threads.owner = :owner AND threads.id = :thread_id AND items.id = :item_id;

-- name: load_items_asc
SELECT data FROM items WHERE thread = :thread AND seq > :after ORDER BY seq LIMIT :count;

-- name: load_items_desc
SELECT data FROM items WHERE thread = :thread AND seq < :after ORDER BY seq DESC LIMIT :count;

-- name: add_item
INSERT INTO items (thread, id, type, data)
SELECT seq, :item_id, :type, :data FROM threads WHERE owner = :owner AND id = :thread_id
ON CONFLICT (thread, id) DO NOTHING;

-- name: save_item
INSERT INTO items (thread, id, type, data)
SELECT seq, :item_id, :type, :data FROM threads WHERE owner = :owner AND id = :thread_id
ON CONFLICT (thread, id) DO UPDATE SET type = excluded.type, data = excluded.data;

-- name: delete_item
DELETE FROM items
WHERE id = :item_id AND thread = (SELECT seq FROM threads WHERE owner = :owner AND id = :thread_id);

-- name: delete_items_after
DELETE FROM items WHERE thread = :thread AND seq > :after;

-- name: load_attachment
SELECT data FROM attachments WHERE owner = :owner AND id = :attachment_id;

-- name: attachments_of_thread
SELECT id FROM attachments WHERE owner = :owner AND thread_id = :thread_id;

-- name: save_attachment
INSERT INTO attachments (owner, id, thread_id, data, created_at)
VALUES (:owner, :attachment_id, :thread_id, :data, :now)
ON CONFLICT (owner, id) DO UPDATE SET thread_id = excluded.thread_id, data = excluded.data;

-- name: files_of_owner
SELECT coalesce(sum(size), 0), count(*) FILTER (WHERE thread_id IS NULL) FROM attachments WHERE owner = :owner;

-- name: files_of_group
SELECT coalesce(sum(size), 0), count(*) FILTER (WHERE thread_id IS NULL) FROM attachments
WHERE group_id = :group_id;

-- name: size_of_attachment
SELECT size FROM attachments WHERE owner = :owner AND id = :attachment_id;

-- name: set_size
UPDATE attachments SET size = :size, group_id = :group_id WHERE owner = :owner AND id = :attachment_id;

-- name: unclaimed_attachments
SELECT owner, id FROM attachments WHERE thread_id IS NULL AND created_at <= :before;

-- name: sweep_attachments
DELETE FROM attachments WHERE thread_id IS NULL AND created_at <= :before;

-- name: delete_attachment
DELETE FROM attachments WHERE owner = :owner AND id = :attachment_id;

-- name: find_turn
SELECT accepted_turns.id, thread_id, status, coalesce((
    SELECT token FROM turns WHERE turns.owner = accepted_turns.owner AND turns.id = accepted_turns.id
), 0), opened, claimed, lease_until < :now, coalesce(ended, ''), user_item_id, fingerprint, info
FROM accepted_turns WHERE owner = :owner AND id = :turn_id;

-- name: find_keyed_turn
SELECT id FROM accepted_turns
WHERE owner = :owner AND key = :key AND (forget_at IS NULL OR forget_at >= :now);

-- name: forget_key
DELETE FROM accepted_turns WHERE owner = :owner AND key = :key AND (
    forget_at < :now OR (id = :replaced AND status = 'ended' AND opened = 0)
);

-- name: turns_before
SELECT id FROM accepted_turns
WHERE owner = :owner AND thread_id = :thread_id AND status <> 'ended' AND number < coalesce((
    SELECT number FROM accepted_turns WHERE owner = :owner AND id = :turn_id
), 9223372036854775807)
ORDER BY number;

-- name: is_passed
-- A row where another message of the thread came after this one: it is in the thread, or waits for its place.
SELECT 1 FROM accepted_turns WHERE owner = :owner AND thread_id = :thread_id AND status = 'waiting'
UNION ALL
SELECT 1 FROM threads JOIN items ON items.thread = threads.seq
WHERE threads.owner = :owner AND threads.id = :thread_id AND items.type = 'user_message' AND items.seq > coalesce((
    SELECT own.seq FROM items AS own WHERE own.thread = threads.seq AND own.id = :item_id
), 0)
LIMIT 1;

-- name: accept_turn
-- Nothing where the turn, or one with its key, is there.
INSERT INTO accepted_turns
    (owner, id, thread_id, status, lease_until, user_item_id, key, fingerprint, info, message)
VALUES (
    :owner, :turn_id, :thread_id, :status, :lease_until, :user_item_id, :key, :fingerprint, :info, :message
)
ON CONFLICT DO NOTHING;

-- name: register_turn
-- Nothing for a turn that has ended.
INSERT INTO accepted_turns (owner, id, thread_id, status, opened, claimed, lease_until)
VALUES (:owner, :turn_id, :thread_id, 'begun', 1, 1, :now)
ON CONFLICT (owner, id) DO UPDATE SET claimed = 1 WHERE status <> 'ended';

-- name: is_turn_held
SELECT status FROM accepted_turns JOIN turns ON turns.owner = accepted_turns.owner AND turns.id = accepted_turns.id
WHERE accepted_turns.owner = :owner AND accepted_turns.id = :turn_id AND status <> 'ended' AND token = :token;

-- name: waiting_message
SELECT thread_id, user_item_id, message FROM accepted_turns WHERE owner = :owner AND id = :turn_id;

-- name: set_begun
UPDATE accepted_turns SET status = 'begun', message = NULL WHERE owner = :owner AND id = :turn_id;

-- name: set_opened
UPDATE accepted_turns SET opened = 1 WHERE owner = :owner AND id = :turn_id AND status <> 'ended' AND EXISTS (
    SELECT 1 FROM turns WHERE owner = :owner AND id = :turn_id AND token = :token
);

-- name: renew_held_turn
UPDATE accepted_turns SET lease_until = :lease_until
WHERE owner = :owner AND id = :turn_id AND status <> 'ended' AND EXISTS (
    SELECT 1 FROM turns WHERE owner = :owner AND id = :turn_id AND token = :token
);

-- name: renew_turn
UPDATE accepted_turns SET lease_until = :lease_until, claimed = 1 WHERE owner = :owner AND id = :turn_id;

-- name: turns_beside
SELECT id FROM accepted_turns
WHERE owner = :owner AND thread_id = :thread_id AND id <> :turn_id AND CASE
    WHEN :forget_at IS NOT NULL THEN status = 'begun' OR forget_at > :forget_at
    ELSE status <> 'waiting' AND number > (SELECT number FROM accepted_turns WHERE owner = :owner AND id = :turn_id)
END
ORDER BY number;

-- name: set_ended
UPDATE accepted_turns SET status = 'ended', message = NULL, info = :info, ended = :end, forget_at = :forget_at
WHERE owner = :owner AND id = :turn_id AND status <> 'ended';

-- name: end_replacing
-- It keeps the key: what the turn that it replaced had written stays.
UPDATE accepted_turns
SET status = 'ended', opened = 0, message = NULL, info = '', ended = 'interrupted', forget_at = :forget_at
WHERE owner = :owner AND id = :turn_id;

-- name: forget_turn
DELETE FROM accepted_turns WHERE owner = :owner AND id = :turn_id;

-- name: forget_old_turns
DELETE FROM accepted_turns WHERE forget_at < :now;

-- name: old_turns
SELECT 1 FROM accepted_turns WHERE forget_at < :now LIMIT 1;

-- name: end_turns_of_thread
-- Those with a key: it outlives the thread. No other turn is accepted in the place of one that counts as opened.
UPDATE accepted_turns
SET status = 'ended', opened = 1, message = NULL, info = '', ended = :end, forget_at = coalesce(forget_at, :forget_at)
WHERE owner = :owner AND thread_id = :thread_id AND key IS NOT NULL;

-- name: forget_turns_of_thread
DELETE FROM accepted_turns WHERE owner = :owner AND thread_id = :thread_id AND key IS NULL;

-- name: lapsed_turns
SELECT owner, id FROM accepted_turns
WHERE status <> 'ended' AND lease_until < :now AND look_at < :now ORDER BY lease_until LIMIT 100;

-- name: look_later
UPDATE accepted_turns SET look_at = :look_at WHERE owner = :owner AND id = :turn_id;

-- name: add_usage
INSERT INTO usage (
    owner, turn_id, step, thread_id, group_id, model, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
    created_at
)
VALUES (
    :owner, :turn_id, :step, :thread_id, :group_id, :model, :input_tokens, :cached_tokens, :output_tokens,
    :reasoning_tokens, :cost, :created_at
)
ON CONFLICT DO NOTHING;

-- name: sum_usage
SELECT owner, group_id, model, date(created_at, 'unixepoch') AS day, count(*), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost), count(cost)
FROM usage WHERE owner = :owner AND created_at >= :since AND created_at < :until
GROUP BY day, owner, group_id, model ORDER BY day, owner, group_id, model;

-- name: survey_usage
SELECT owner, group_id, model, date(created_at, 'unixepoch') AS day, count(*), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost), count(cost)
FROM usage WHERE created_at >= :since AND created_at < :until
GROUP BY day, owner, group_id, model ORDER BY day, owner, group_id, model;

-- name: delete_usage
DELETE FROM usage WHERE created_at < :before;

-- name: survey_owners
-- Each part by its own index, as far as the page goes.
SELECT owner FROM (
    SELECT owner FROM (
        SELECT DISTINCT owner FROM threads WHERE owner > coalesce(:after, '') ORDER BY owner LIMIT :limit
    )
    UNION
    SELECT owner FROM (
        SELECT DISTINCT owner FROM attachments WHERE owner > coalesce(:after, '') ORDER BY owner LIMIT :limit
    )
)
ORDER BY owner LIMIT :limit;

-- name: survey_owner
SELECT
    t.threads, t.saved_at, i.items,
    (SELECT json_extract(data, '$.created_at') FROM items WHERE seq = i.newest), a.files, a.bytes
FROM (SELECT count(*) AS threads, max(updated_at) AS saved_at FROM threads WHERE owner = :owner) AS t
CROSS JOIN (
    SELECT count(*) AS items, max(items.seq) AS newest FROM threads JOIN items ON items.thread = threads.seq
    WHERE threads.owner = :owner
) AS i
CROSS JOIN (
    SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM attachments WHERE owner = :owner
) AS a;

-- name: survey_threads_of_owner
SELECT
    id, created_at, updated_at, (SELECT count(*) FROM items WHERE thread = threads.seq),
    (SELECT json_extract(data, '$.created_at') FROM items WHERE thread = threads.seq ORDER BY seq DESC LIMIT 1),
    (SELECT count(*) FROM attachments WHERE owner = threads.owner AND thread_id = threads.id)
FROM threads WHERE owner = :owner AND seq < :before ORDER BY seq DESC LIMIT :limit;

-- name: owners_of_thread
SELECT owner FROM threads WHERE id = :thread_id ORDER BY owner;

-- name: survey_turns
-- Most turns have ended; the index has the others.
SELECT owner, id, thread_id, status, opened, claimed, lease_until
FROM accepted_turns INDEXED BY accepted_turns_running
WHERE status <> 'ended' AND (:owner IS NULL OR (owner, id) > (:owner, :turn_id))
ORDER BY owner, id LIMIT :limit;

-- name: erased_owners
-- Whose data is being erased: few at any time.
SELECT owner FROM erasures WHERE owner IS NOT NULL;

-- name: save_step
-- Nothing for a turn that is not the writer's any more.
INSERT INTO turn_steps (owner, turn_id, position, kind, name, fingerprint, effect, status, result)
SELECT owner, id, :position, :kind, :name, :fingerprint, :effect, :status, :result
FROM turns WHERE owner = :owner AND id = :turn_id AND token = :token
ON CONFLICT (owner, turn_id, position) DO UPDATE
SET kind = excluded.kind, name = excluded.name, fingerprint = excluded.fingerprint, effect = excluded.effect,
    status = excluded.status, result = excluded.result;

-- name: load_steps
SELECT position, kind, name, fingerprint, effect, status, result FROM turn_steps
WHERE owner = :owner AND turn_id = :turn_id ORDER BY position;

-- name: has_search_index
SELECT 1 FROM search_state WHERE begun = 1;

-- name: begin_search_index
INSERT INTO search_state (begun) VALUES (1);

-- name: wait_for_search
INSERT INTO search_changes (late, place)
SELECT 1, seq FROM items WHERE type IN ('user_message', 'assistant_message') UNION ALL SELECT 1, -seq FROM threads;

-- name: search_changes
SELECT search_changes.place, items.data, coalesce(threads.owner, of_item.owner), threads.data,
    search_texts.tag, search_texts.words
FROM search_changes
    LEFT JOIN items ON items.seq = search_changes.place
    LEFT JOIN threads AS of_item ON of_item.seq = items.thread
    LEFT JOIN threads ON threads.seq = -search_changes.place
    LEFT JOIN search_texts ON search_texts.place = search_changes.place
WHERE late = :late AND search_changes.place >= :low AND search_changes.place <= :high
ORDER BY search_changes.place DESC LIMIT :count;

-- name: save_search_text
INSERT OR REPLACE INTO search_texts (place, tag, words) VALUES (:place, :tag, :words);

-- name: delete_search_text
DELETE FROM search_texts WHERE place = :place;

-- name: forget_search_changes
DELETE FROM search_changes WHERE late = :late AND place >= :low AND place <= :high;

-- name: is_search_waiting
SELECT 1 FROM search_changes WHERE late = 1 LIMIT 1;

-- name: found_thread
SELECT data FROM threads WHERE seq = :number AND owner = :owner;

-- name: found_item
SELECT items.data FROM items JOIN threads ON threads.seq = items.thread
WHERE items.seq = :number AND threads.owner = :owner;
