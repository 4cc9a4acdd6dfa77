-- The statements of chatkit.store.postgres. Each names the owner, or a thread that another one found by its owner.
--
-- Pages are found by keyset and must never skip an entry, so numbers have to become visible in their order: what
-- adds an item holds a lock on the thread's row from before the number is drawn until the commit, and what adds a
-- thread one on its owner. Readers take no locks.

-- name: is_turn_running
-- Locked, so that nobody takes the turn over between this check and the commit.
SELECT 1 FROM chatkit.turns WHERE owner = $1 AND id = $2 AND token = $3 FOR SHARE;

-- name: begin_turn
-- Of two that take a turn over at once, the second one draws its token behind the first one's commit.
WITH again AS (
    DELETE FROM chatkit.completed_turns WHERE owner = $1 AND id = $2
)
INSERT INTO chatkit.turns (owner, id, thread_id, token) VALUES ($1, $2, $3, nextval('chatkit.turn_tokens'))
ON CONFLICT (owner, id) DO UPDATE
SET thread_id = excluded.thread_id, token = nextval('chatkit.turn_tokens')
RETURNING token;

-- name: register_turn
-- None for a turn that has ended. Waits for a transaction that accepts it, or ends it.
INSERT INTO chatkit.accepted_turns (owner, id, thread_id, status, opened, claimed, lease_until)
VALUES ($1, $2, $3, 'begun', TRUE, TRUE, now())
ON CONFLICT (owner, id) DO UPDATE SET claimed = TRUE WHERE accepted_turns.status <> 'ended'
RETURNING number;

-- name: accept_turn
SELECT outcome, token, turn, others
FROM chatkit.accept_turn(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
);

-- name: find_turn
SELECT a.id, a.thread_id, a.status, coalesce(t.token, 0), a.opened, a.claimed, a.lease_until < now(),
    coalesce(a.ended, ''), a.user_item_id, a.fingerprint, a.info
FROM chatkit.accepted_turns AS a LEFT JOIN chatkit.turns AS t ON t.owner = a.owner AND t.id = a.id
WHERE a.owner = $1 AND a.id = $2;

-- name: turns_beside
SELECT id FROM chatkit.accepted_turns
WHERE owner = $1 AND thread_id = $2 AND id <> $3
    AND CASE
        WHEN $4::timestamptz IS NOT NULL
        THEN status = 'begun' OR forget_at > $4::timestamptz + make_interval(secs => $5)
        ELSE status <> 'waiting'
            AND number > (SELECT number FROM chatkit.accepted_turns WHERE owner = $1 AND id = $3)
    END
ORDER BY number;

-- name: find_keyed_turn
SELECT a.id, a.thread_id, a.status, coalesce(t.token, 0), a.opened, a.claimed, a.lease_until < now(),
    coalesce(a.ended, ''), a.user_item_id, a.fingerprint, a.info
FROM chatkit.accepted_turns AS a LEFT JOIN chatkit.turns AS t ON t.owner = a.owner AND t.id = a.id
WHERE a.owner = $1 AND a.key = $2 AND (a.forget_at IS NULL OR a.forget_at >= now());

-- name: void_turn
-- Waits for a transaction that accepts it. If there is none, nothing can accept it from now on.
INSERT INTO chatkit.accepted_turns (owner, id, thread_id, status, lease_until, ended, forget_at)
VALUES ($1, $2, $3, 'ended', now(), 'failed', now() + make_interval(hours => 1))
ON CONFLICT (owner, id) DO NOTHING
RETURNING number;

-- name: waiting_message
SELECT thread_id, user_item_id, message FROM chatkit.accepted_turns
WHERE owner = $1 AND id = $2 AND status = 'waiting';

-- name: turns_before
SELECT id FROM chatkit.accepted_turns
WHERE owner = $1 AND thread_id = $2 AND status <> 'ended'
AND number < (SELECT number FROM chatkit.accepted_turns WHERE owner = $1 AND id = $3)
ORDER BY number;

-- name: is_passed
-- Whether another message of the thread came after this one: it is in the thread, or waits for its place.
SELECT EXISTS (
    SELECT FROM chatkit.accepted_turns WHERE owner = $1 AND thread_id = $2 AND status = 'waiting'
) OR EXISTS (
    SELECT FROM chatkit.threads AS t JOIN chatkit.items AS i ON i.thread = t.number
    WHERE t.owner = $1 AND t.id = $2 AND i.type = 'user_message' AND i.seq > coalesce((
        SELECT own.seq FROM chatkit.items AS own WHERE own.thread = t.number AND own.id = $3
    ), 0)
);

-- name: set_begun
UPDATE chatkit.accepted_turns SET status = 'begun', message = NULL WHERE owner = $1 AND id = $2 RETURNING number;

-- name: open_turn
UPDATE chatkit.accepted_turns AS a SET opened = TRUE
FROM (SELECT owner, id FROM chatkit.turns WHERE owner = $1 AND id = $2 AND token = $3 FOR SHARE) AS t
WHERE a.owner = t.owner AND a.id = t.id AND a.status <> 'ended'
RETURNING a.number;

-- name: renew_turns
-- Rows that are written just now are left for the next time: nothing waits here for a lock.
WITH held AS (
    SELECT a.number
    FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) AS h (owner, id, token)
    JOIN chatkit.turns AS t ON t.owner = h.owner AND t.id = h.id AND t.token = h.token
    JOIN chatkit.accepted_turns AS a ON a.owner = h.owner AND a.id = h.id
    WHERE a.status <> 'ended'
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE chatkit.accepted_turns AS a SET lease_until = now() + make_interval(secs => $4)
FROM held WHERE a.number = held.number;

-- name: claim_turn
UPDATE chatkit.accepted_turns SET lease_until = now() + make_interval(secs => $3), claimed = TRUE
WHERE owner = $1 AND id = $2 AND status <> 'ended' AND lease_until < now() AND opened = $4
RETURNING number;

-- name: token_of_turn
SELECT token FROM chatkit.turns WHERE owner = $1 AND id = $2 FOR UPDATE;

-- name: end_replacing
-- It keeps the key: what the turn that it replaced had written stays.
UPDATE chatkit.accepted_turns
SET status = 'ended', opened = FALSE, message = NULL, info = '', ended = 'interrupted',
    forget_at = now() + make_interval(secs => $3)
WHERE owner = $1 AND id = $2;

-- name: forget_turn
DELETE FROM chatkit.accepted_turns WHERE owner = $1 AND id = $2;

-- name: end_turns_of_thread
-- Those with a key, which outlives the thread, end; the others go. None is accepted in the place of one that is opened.
WITH ended AS (
    UPDATE chatkit.accepted_turns
    SET status = 'ended', opened = TRUE, message = NULL, info = '', ended = $3,
        forget_at = coalesce(forget_at, now() + make_interval(secs => $4))
    WHERE owner = $1 AND thread_id = $2 AND key IS NOT NULL
)
DELETE FROM chatkit.accepted_turns WHERE owner = $1 AND thread_id = $2 AND key IS NULL;

-- name: has_lapsed
SELECT EXISTS (
    SELECT 1 FROM chatkit.accepted_turns WHERE status <> 'ended' AND lease_until < now() AND look_at < now()
) OR EXISTS (SELECT 1 FROM chatkit.accepted_turns WHERE forget_at < now());

-- name: lapsed_turns
WITH old AS (
    DELETE FROM chatkit.accepted_turns o
    USING (
        SELECT number FROM chatkit.accepted_turns WHERE forget_at < now()
        ORDER BY forget_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) AS f
    WHERE o.number = f.number
), found AS (
    SELECT number FROM chatkit.accepted_turns
    WHERE status <> 'ended' AND lease_until < now() AND look_at < now()
    ORDER BY lease_until LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE chatkit.accepted_turns AS a SET look_at = now() + make_interval(secs => $1)
FROM found WHERE a.number = found.number
RETURNING a.owner, a.id;

-- name: end_turn
DELETE FROM chatkit.turns WHERE owner = $1 AND id = $2 AND token = $3;

-- name: finish_turn
-- A completion is also noted where workers of the version before look for it.
WITH old AS (
    DELETE FROM chatkit.completed_turns c
    USING (
        SELECT owner, id FROM chatkit.completed_turns WHERE forget_at < now()
        ORDER BY forget_at LIMIT 100 FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE c.owner = o.owner AND c.id = o.id
), gone AS (
    DELETE FROM chatkit.turns WHERE owner = $1 AND id = $2 AND token = $3 RETURNING owner, id
), ended AS (
    UPDATE chatkit.accepted_turns a
    SET status = 'ended', message = NULL, info = $6, ended = $4, forget_at = now() + make_interval(secs => $5)
    FROM gone WHERE a.owner = gone.owner AND a.id = gone.id
), noted AS (
    INSERT INTO chatkit.completed_turns (owner, id, forget_at)
    SELECT owner, id, now() + make_interval(secs => $5) FROM gone WHERE $4 = 'completed'
    ON CONFLICT (owner, id) DO UPDATE SET forget_at = excluded.forget_at
)
SELECT EXISTS (SELECT 1 FROM gone);

-- name: has_completed
SELECT EXISTS (SELECT 1 FROM chatkit.completed_turns WHERE owner = $1 AND id = $2);

-- name: load_thread
SELECT coalesce(exact, data::text) FROM chatkit.threads WHERE owner = $1 AND id = $2;

-- name: change_thread
WITH saved AS (
    UPDATE chatkit.threads SET data = $3, exact = $4, created_at = $5, updated_at = $6
    WHERE owner = $1 AND id = $2
    RETURNING number
), indexed AS (
    INSERT INTO chatkit.search_titles (thread, owner, words, vector)
    SELECT number, $1, $7, $8::text::tsvector FROM saved WHERE $7::text IS NOT NULL
    ON CONFLICT (thread) DO UPDATE SET words = excluded.words, vector = excluded.vector
    WHERE search_titles.words IS DISTINCT FROM excluded.words
)
SELECT number FROM saved;

-- name: lock_owner
SELECT pg_advisory_xact_lock(hashtextextended($1, 1130908532));

-- name: add_thread
WITH saved AS (
    INSERT INTO chatkit.threads (owner, id, data, exact, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (owner, id) DO UPDATE
    SET data = excluded.data, exact = excluded.exact,
        created_at = excluded.created_at, updated_at = excluded.updated_at
    RETURNING number
)
INSERT INTO chatkit.search_titles (thread, owner, words, vector)
SELECT number, $1, $7, $8::text::tsvector FROM saved WHERE $7::text <> ''
ON CONFLICT (thread) DO UPDATE SET words = excluded.words, vector = excluded.vector;

-- name: load_threads_asc
SELECT cursor.seq, page.data
FROM (SELECT (SELECT seq FROM chatkit.threads WHERE owner = $1 AND id = $2) AS seq) AS cursor
LEFT JOIN LATERAL (
    SELECT seq, coalesce(exact, data::text) AS data FROM chatkit.threads
    WHERE owner = $1 AND seq > coalesce(cursor.seq, 0) ORDER BY seq LIMIT $3
) AS page ON TRUE
ORDER BY page.seq;

-- name: load_threads_desc
SELECT cursor.seq, page.data
FROM (SELECT (SELECT seq FROM chatkit.threads WHERE owner = $1 AND id = $2) AS seq) AS cursor
LEFT JOIN LATERAL (
    SELECT seq, coalesce(exact, data::text) AS data FROM chatkit.threads
    WHERE owner = $1 AND seq < coalesce(cursor.seq, 9223372036854775807) ORDER BY seq DESC LIMIT $3
) AS page ON TRUE
ORDER BY page.seq DESC;

-- name: survey_threads_asc
SELECT owner, coalesce(exact, data::text) FROM chatkit.threads
WHERE owner >= $1 AND owner < $2 AND ($3::text IS NULL OR id = $3)
    AND ($5::text IS NULL OR (created_at, id) > ($4::timestamptz, $5))
ORDER BY created_at, id LIMIT $6;

-- name: survey_threads_desc
SELECT owner, coalesce(exact, data::text) FROM chatkit.threads
WHERE owner >= $1 AND owner < $2 AND ($3::text IS NULL OR id = $3)
    AND ($5::text IS NULL OR (created_at, id) < ($4::timestamptz, $5))
ORDER BY created_at DESC, id DESC LIMIT $6;

-- name: delete_thread
DELETE FROM chatkit.threads WHERE owner = $1 AND id = $2 RETURNING number;

-- name: delete_attachments_of_thread
DELETE FROM chatkit.attachments WHERE owner = $1 AND thread_id = $2;

-- name: delete_turns_of_thread
DELETE FROM chatkit.turns WHERE owner = $1 AND thread_id = $2;

-- name: find_thread
SELECT number FROM chatkit.threads WHERE owner = $1 AND id = $2;

-- name: lock_thread
SELECT number FROM chatkit.threads WHERE owner = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: find_item
SELECT seq FROM chatkit.items WHERE thread = $1 AND id = $2;

-- name: load_item
SELECT coalesce(items.exact, items.data::text)
FROM chatkit.threads JOIN chatkit.items ON items.thread = threads.number
WHERE threads.owner = $1 AND threads.id = $2 AND items.id = $3;

-- name: load_items_asc
SELECT cursor.seq, page.data
FROM chatkit.threads
LEFT JOIN chatkit.items AS cursor ON cursor.thread = threads.number AND cursor.id = $3
LEFT JOIN LATERAL (
    SELECT seq, coalesce(exact, data::text) AS data FROM chatkit.items
    WHERE thread = threads.number AND seq > coalesce(cursor.seq, 0) ORDER BY seq LIMIT $4
) AS page ON TRUE
WHERE threads.owner = $1 AND threads.id = $2
ORDER BY page.seq;

-- name: load_items_desc
SELECT cursor.seq, page.data
FROM chatkit.threads
LEFT JOIN chatkit.items AS cursor ON cursor.thread = threads.number AND cursor.id = $3
LEFT JOIN LATERAL (
    SELECT seq, coalesce(exact, data::text) AS data FROM chatkit.items
    WHERE thread = threads.number AND seq < coalesce(cursor.seq, 9223372036854775807) ORDER BY seq DESC LIMIT $4
) AS page ON TRUE
WHERE threads.owner = $1 AND threads.id = $2
ORDER BY page.seq DESC;

-- name: add_item
WITH saved AS (
    INSERT INTO chatkit.items (thread, id, type, data, exact) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (thread, id) DO NOTHING
    RETURNING thread, seq
), indexed AS (
    INSERT INTO chatkit.search_items (thread, item, owner, words, vector)
    SELECT thread, seq, $6, $7, $8::text::tsvector FROM saved WHERE $7::text IS NOT NULL
)
SELECT seq FROM saved;

-- name: save_item
WITH saved AS (
    INSERT INTO chatkit.items (thread, id, type, data, exact) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (thread, id) DO UPDATE SET type = excluded.type, data = excluded.data, exact = excluded.exact
    RETURNING thread, seq
), indexed AS (
    INSERT INTO chatkit.search_items (thread, item, owner, words, vector)
    SELECT thread, seq, $6, $7, $8::text::tsvector FROM saved WHERE $7::text IS NOT NULL
    ON CONFLICT (thread, item) DO UPDATE SET words = excluded.words, vector = excluded.vector
), gone AS (
    DELETE FROM chatkit.search_items AS s USING saved
    WHERE s.thread = saved.thread AND s.item = saved.seq AND $3 NOT IN ('user_message', 'assistant_message')
)
SELECT seq FROM saved;

-- name: change_item
WITH saved AS (
    UPDATE chatkit.items SET type = $3, data = $4, exact = $5 WHERE thread = $1 AND id = $2 RETURNING thread, seq
), indexed AS (
    INSERT INTO chatkit.search_items (thread, item, owner, words, vector)
    SELECT thread, seq, $6, $7, $8::text::tsvector FROM saved WHERE $7::text IS NOT NULL
    ON CONFLICT (thread, item) DO UPDATE SET words = excluded.words, vector = excluded.vector
), gone AS (
    DELETE FROM chatkit.search_items AS s USING saved
    WHERE s.thread = saved.thread AND s.item = saved.seq AND $3 NOT IN ('user_message', 'assistant_message')
)
SELECT seq FROM saved;

-- name: delete_item
DELETE FROM chatkit.items
WHERE id = $3 AND thread = (SELECT number FROM chatkit.threads WHERE owner = $1 AND id = $2)
RETURNING seq;

-- name: delete_items_after
DELETE FROM chatkit.items WHERE thread = $1 AND seq > $2;

-- name: load_attachment
SELECT coalesce(exact, data::text) FROM chatkit.attachments WHERE owner = $1 AND id = $2;

-- name: attachments_of_thread
SELECT id FROM chatkit.attachments WHERE owner = $1 AND thread_id = $2;

-- name: save_attachment
INSERT INTO chatkit.attachments (owner, id, thread_id, data, exact) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner, id) DO UPDATE
SET thread_id = excluded.thread_id, data = excluded.data, exact = excluded.exact;

-- name: lock_files
SELECT pg_advisory_xact_lock(hashtextextended($1, 1130908533));

-- name: files_of_owner
SELECT coalesce(sum(size), 0)::bigint, count(*) FILTER (WHERE thread_id IS NULL) FROM chatkit.attachments
WHERE owner = $1 AND id <> $2;

-- name: files_of_group
SELECT coalesce(sum(size), 0)::bigint, count(*) FILTER (WHERE thread_id IS NULL) FROM chatkit.attachments
WHERE group_id = $3 AND (owner <> $1 OR id <> $2);

-- name: size_of_attachment
SELECT size FROM chatkit.attachments WHERE owner = $1 AND id = $2;

-- name: set_size
UPDATE chatkit.attachments SET size = $3, group_id = $4 WHERE owner = $1 AND id = $2;

-- name: unclaimed_attachments
SELECT owner, id FROM chatkit.attachments
WHERE thread_id IS NULL AND created_at <= now() - make_interval(secs => $1::float8);

-- name: sweep_attachments
DELETE FROM chatkit.attachments
WHERE thread_id IS NULL AND created_at <= now() - make_interval(secs => $1::float8)
RETURNING id;

-- name: delete_attachment
DELETE FROM chatkit.attachments WHERE owner = $1 AND id = $2;

-- name: add_usage
INSERT INTO chatkit.usage (
    owner, created_at, turn_id, step, thread_id, group_id, model, input_tokens, cached_tokens, output_tokens,
    reasoning_tokens, cost
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT DO NOTHING RETURNING TRUE;

-- name: sum_usage
SELECT owner, group_id, model, (created_at AT TIME ZONE 'UTC')::date AS day, count(*), sum(input_tokens),
    sum(cached_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost), count(cost)
FROM chatkit.usage WHERE owner = $1 AND created_at >= $2 AND created_at < $3
GROUP BY day, owner, group_id, model ORDER BY day, owner, group_id NULLS FIRST, model;

-- name: survey_usage
SELECT owner, group_id, model, (created_at AT TIME ZONE 'UTC')::date AS day, count(*), sum(input_tokens),
    sum(cached_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost), count(cost)
FROM chatkit.usage WHERE created_at >= $1 AND created_at < $2
GROUP BY day, owner, group_id, model ORDER BY day, owner, group_id NULLS FIRST, model;

-- name: delete_usage
WITH gone AS (DELETE FROM chatkit.usage WHERE created_at < $1 RETURNING 1) SELECT count(*) FROM gone;

-- name: save_steps
-- None for a turn that is not the writer's any more. Locked, so that nobody takes it over before the commit.
INSERT INTO chatkit.turn_steps (owner, turn_id, position, kind, name, fingerprint, effect, status, result)
SELECT t.owner, t.id, s.*
FROM (SELECT owner, id FROM chatkit.turns WHERE owner = $1 AND id = $2 AND token = $3 FOR SHARE) AS t,
    unnest($4::INTEGER[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[]) AS s
ON CONFLICT (owner, turn_id, position) DO UPDATE
SET kind = excluded.kind, name = excluded.name, fingerprint = excluded.fingerprint, effect = excluded.effect,
    status = excluded.status, result = excluded.result
RETURNING position;

-- name: load_steps
SELECT position, kind, name, fingerprint, effect, status, result FROM chatkit.turn_steps
WHERE owner = $1 AND turn_id = $2 ORDER BY position;

-- name: check
SELECT number FROM chatkit.threads LIMIT 1;

-- name: survey_owners
-- Each part by its own index, as far as the page goes.
SELECT p.owner, t.threads, i.items, a.files, a.bytes, greatest(t.saved_at, (
    SELECT (n.data ->> 'created_at')::timestamptz FROM chatkit.items AS n WHERE n.thread = i.thread AND n.seq = i.newest
))
FROM (
    SELECT owner FROM (
        (SELECT DISTINCT owner FROM chatkit.threads WHERE owner > coalesce($1, '') ORDER BY owner LIMIT $2)
        UNION
        (SELECT DISTINCT owner FROM chatkit.attachments WHERE owner > coalesce($1, '') ORDER BY owner LIMIT $2)
    ) AS o
    ORDER BY owner LIMIT $2
) AS p
CROSS JOIN LATERAL (
    SELECT count(*) AS threads, max(updated_at) AS saved_at FROM chatkit.threads WHERE owner = p.owner
) AS t
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.items), 0)::bigint AS items, max(c.newest) AS newest,
        (array_agg(c.thread ORDER BY c.newest DESC))[1] AS thread
    FROM chatkit.threads AS h CROSS JOIN LATERAL (
        SELECT count(*) AS items, max(m.seq) AS newest, h.number AS thread FROM chatkit.items AS m
        WHERE m.thread = h.number HAVING count(*) > 0
    ) AS c
    WHERE h.owner = p.owner
) AS i
CROSS JOIN LATERAL (
    SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM chatkit.attachments WHERE owner = p.owner
) AS a
ORDER BY p.owner;

-- name: survey_place
SELECT seq FROM chatkit.threads WHERE owner = $1 AND id = $2;

-- name: survey_owner
SELECT
    t.id, t.created_at, greatest(t.updated_at, (
        SELECT (i.data ->> 'created_at')::timestamptz FROM chatkit.items AS i
        WHERE i.thread = t.number ORDER BY i.seq DESC LIMIT 1
    )),
    (SELECT count(*) FROM chatkit.items AS i WHERE i.thread = t.number),
    (SELECT count(*) FROM chatkit.attachments AS a WHERE a.owner = t.owner AND a.thread_id = t.id)
FROM chatkit.threads AS t
WHERE t.owner = $1 AND t.seq < coalesce($2::bigint, 9223372036854775807) ORDER BY t.seq DESC LIMIT $3;

-- name: owners_of_thread
SELECT owner FROM chatkit.threads WHERE id = $1 ORDER BY owner;

-- name: survey_turns
-- Of all turns, most of which have ended, few are open: looked up first, and then put in order.
WITH open AS MATERIALIZED (
    SELECT owner, id, thread_id, status, opened, claimed, lease_until FROM chatkit.accepted_turns
    WHERE status <> 'ended'
)
SELECT owner, id, thread_id, status, opened, claimed, lease_until FROM open
WHERE $1::text IS NULL OR (owner, id) > ($1, $2) ORDER BY owner, id LIMIT $3;

-- name: erased_owners
-- Whose data is being erased: few at any time.
SELECT owner FROM chatkit.erasures WHERE owner IS NOT NULL;

-- name: index_accepted
-- What chatkit.accept_turn has written; its rows are there, by the triggers.
WITH titled AS (
    UPDATE chatkit.search_titles AS s SET words = $6, vector = $7::text::tsvector
    FROM chatkit.threads AS t WHERE t.owner = $1 AND t.id = $2 AND s.thread = t.number AND $6::text IS NOT NULL
)
UPDATE chatkit.search_items AS s SET words = $4, vector = $5::text::tsvector
FROM chatkit.threads AS t JOIN chatkit.items AS i ON i.thread = t.number
WHERE t.owner = $1 AND t.id = $2 AND i.id = $3 AND s.thread = i.thread AND s.item = i.seq;

-- name: newest_search_items
SELECT coalesce(min(item), 0), count(*)
FROM (SELECT item FROM chatkit.search_items WHERE owner = $1 ORDER BY item DESC LIMIT $2) AS newest;

-- name: find_search
-- Sorted by an expression: in the order of an index the planner would read all that an owner has for a rare word.
SELECT f.thread, (SELECT t.id FROM chatkit.threads AS t WHERE t.number = f.thread AND t.owner = $1), f.item, f.words
FROM (
    (
        SELECT thread, item, words FROM chatkit.search_items
        WHERE owner = $1 AND item >= $4 AND vector @@ $2::text::tsquery ORDER BY item + 0 DESC LIMIT $3
    )
    UNION ALL
    (
        SELECT thread, 0, words FROM chatkit.search_titles
        WHERE owner = $1 AND vector @@ $2::text::tsquery ORDER BY thread + 0 DESC LIMIT $3
    )
) AS f;

-- name: load_found
SELECT TRUE, t.number, coalesce(t.exact, t.data::text) FROM chatkit.threads AS t
WHERE t.owner = $1 AND t.number = ANY($2::bigint[])
UNION ALL
SELECT FALSE, i.seq, coalesce(i.exact, i.data::text)
FROM chatkit.threads AS t JOIN chatkit.items AS i ON i.thread = t.number
WHERE t.owner = $1 AND (t.number, i.seq) IN (SELECT * FROM unnest($3::bigint[], $4::bigint[]));

-- name: is_search_waiting
SELECT EXISTS (SELECT FROM chatkit.search_items WHERE words IS NULL)
    OR EXISTS (SELECT FROM chatkit.search_titles WHERE words IS NULL);

-- name: waiting_search_items
-- Locked, so that nobody changes a text while it is indexed; what others hold is left for the next time.
SELECT s.thread, s.item, s.owner, coalesce(i.exact, i.data::text)
FROM chatkit.search_items AS s JOIN chatkit.items AS i ON i.thread = s.thread AND i.seq = s.item
WHERE s.words IS NULL ORDER BY s.item DESC LIMIT $1
FOR NO KEY UPDATE OF s SKIP LOCKED FOR SHARE OF i SKIP LOCKED;

-- name: index_items
UPDATE chatkit.search_items AS s SET words = u.words, vector = u.vector::tsvector
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS u (thread, item, words, vector)
WHERE s.thread = u.thread AND s.item = u.item;

-- name: waiting_search_titles
SELECT s.thread, s.owner, coalesce(t.exact, t.data::text)
FROM chatkit.search_titles AS s JOIN chatkit.threads AS t ON t.number = s.thread
WHERE s.words IS NULL ORDER BY s.thread DESC LIMIT $1
FOR NO KEY UPDATE OF s SKIP LOCKED FOR SHARE OF t SKIP LOCKED;

-- name: index_titles
UPDATE chatkit.search_titles AS s SET words = u.words, vector = u.vector::tsvector
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS u (thread, words, vector) WHERE s.thread = u.thread;
