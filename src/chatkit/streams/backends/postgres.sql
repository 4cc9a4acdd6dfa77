-- The statements of chatkit.streams.backends.postgres. A worker that writes names the holder of the turn, and locks its row: no other one
-- takes the turn over between that check and the commit. Times are the server's.

-- name: renew
INSERT INTO chatkit.stream_workers AS w (id, since, expires_at)
VALUES ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (id) DO UPDATE SET
    since = CASE WHEN w.expires_at < clock_timestamp() THEN clock_timestamp() ELSE w.since END,
    expires_at = clock_timestamp() + make_interval(secs => $2)
RETURNING clock_timestamp() - since >= make_interval(secs => $2);

-- name: open
WITH worker AS (
    INSERT INTO chatkit.stream_workers AS w (id, since, expires_at)
    VALUES ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
    ON CONFLICT (id) DO UPDATE SET
        since = CASE WHEN w.expires_at < clock_timestamp() THEN clock_timestamp() ELSE w.since END,
        expires_at = clock_timestamp() + make_interval(secs => $2)
)
INSERT INTO chatkit.stream_turns (id, thread_id, info, resumable, holder, owner) VALUES ($3, $4, $5, $6, $1, $7)
ON CONFLICT (id) DO NOTHING;

-- name: save
-- Without waiting for the disk, but for ends: a server that crashes loses a moment, which is then written again.
WITH given AS (
    SELECT *
    FROM unnest(
        $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bytea[], $8::bigint[], $9::text[]
    ) AS g (id, first_seq, last_seq, events, snapshot_seq, snapshot, keep_from, ended)
), mine AS (
    SELECT t.id, t.last_seq, t.stop, t.ended, t.resumable
    FROM chatkit.stream_turns t JOIN given g ON g.id = t.id
    WHERE t.holder = $1
    ORDER BY t.id
    FOR UPDATE OF t
), fitting AS (
    SELECT g.*, m.last_seq AS saved, m.resumable
    FROM given g JOIN mine m ON m.id = g.id
    WHERE m.ended IS NULL AND (g.first_seq <= m.last_seq + 1 OR g.snapshot_seq > 0)
), added AS (
    INSERT INTO chatkit.stream_chunks (turn_id, first_seq, last_seq, events)
    SELECT id, first_seq, last_seq, events FROM fitting WHERE last_seq > saved AND first_seq <= last_seq
), trimmed AS (
    DELETE FROM chatkit.stream_chunks c USING fitting f
    WHERE c.turn_id = f.id AND f.keep_from > 0 AND c.last_seq < f.keep_from
), ends AS (
    INSERT INTO chatkit.stream_ends (turn_id, ended, forget_at)
    SELECT id, ended, clock_timestamp() + make_interval(secs => $11) FROM fitting WHERE ended <> '' AND resumable
    ON CONFLICT (turn_id) DO NOTHING
), changed AS (
    UPDATE chatkit.stream_turns t SET
        last_seq = greatest(t.last_seq, f.last_seq),
        snapshot_seq = CASE WHEN f.snapshot_seq > 0 THEN f.snapshot_seq ELSE t.snapshot_seq END,
        snapshot = CASE WHEN f.snapshot_seq > 0 THEN f.snapshot ELSE t.snapshot END,
        ended = nullif(f.ended, ''),
        forget_at = CASE
            WHEN f.ended = '' THEN NULL
            ELSE clock_timestamp() + make_interval(secs => CASE WHEN f.resumable THEN $10 ELSE least($10, 10) END)
        END
    FROM fitting f
    WHERE t.id = f.id AND (f.last_seq > f.saved OR f.snapshot_seq > 0 OR f.ended <> '')
    RETURNING t.id
), told AS (
    -- A notification has room for 8000 bytes.
    SELECT pg_notify('chatkit_streams', string_agg(id, ' '))
    FROM (SELECT id, (row_number() OVER () - 1) / 100 AS part FROM changed) AS parts
    GROUP BY part
), lasting AS (
    SELECT set_config(
        'synchronous_commit',
        CASE WHEN EXISTS (SELECT FROM given WHERE ended <> '')
            THEN current_setting('synchronous_commit') ELSE 'off' END,
        TRUE
    )
), unusual AS (
    SELECT
        g.id,
        CASE
            WHEN m.id IS NULL OR (m.ended IS NOT NULL AND g.ended = '') THEN 1
            WHEN m.ended IS NULL AND f.id IS NULL THEN 3
            ELSE 0
        END AS status,
        coalesce(m.last_seq, 0) AS last_seq,
        coalesce(m.stop, FALSE) AS stop
    FROM given g
    LEFT JOIN mine m ON m.id = g.id
    LEFT JOIN fitting f ON f.id = g.id
    WHERE m.id IS NULL OR f.id IS NULL OR m.stop
)
-- Outermost stands what must happen: nothing of a part that only selects is carried out where no row asks for it, and
-- usually there is nothing unusual. Then one row comes back that says nothing.
SELECT u.id, u.status, u.last_seq, u.stop
FROM lasting
CROSS JOIN (SELECT count(*) FROM told) AS n
LEFT JOIN unusual u ON TRUE;

-- name: follow
SELECT t.id, t.info, t.ended, t.last_seq, c.first_seq, c.last_seq, c.events, c.jumps
FROM unnest($1::text[], $2::bigint[]) AS f (id, after)
JOIN chatkit.stream_turns t ON t.id = f.id AND (t.forget_at IS NULL OR t.forget_at > clock_timestamp())
LEFT JOIN LATERAL (
    SELECT * FROM chatkit.stream_chunks c
    WHERE c.turn_id = t.id AND c.last_seq > f.after
    ORDER BY c.last_seq
    LIMIT $3
) AS c ON TRUE
ORDER BY t.id, c.last_seq;

-- name: snapshot
SELECT snapshot_seq, snapshot FROM chatkit.stream_turns WHERE id = $1 AND snapshot_seq IS NOT NULL;

-- name: standings
SELECT t.id, CASE
    WHEN t.ended IS NOT NULL THEN 2
    WHEN coalesce(t.claimed_until, w.expires_at, '-infinity') < clock_timestamp() THEN 3
    WHEN t.claimed_until IS NOT NULL THEN 4
    ELSE 1
END
FROM chatkit.stream_turns t LEFT JOIN chatkit.stream_workers w ON w.id = t.holder
WHERE t.id = ANY ($1::text[]);

-- name: stop
WITH asked AS (
    UPDATE chatkit.stream_turns SET stop = TRUE WHERE id = $1 AND ended IS NULL RETURNING id
)
SELECT pg_notify('chatkit_streams', '!' || id) FROM asked;

-- name: turns
-- A worker of the version before names no owner: whose its turns are is in the info.
SELECT info, ended FROM chatkit.stream_turns
WHERE thread_id = $1 AND (owner = $2 OR owner IS NULL) AND (ended IS NULL OR (resumable AND forget_at > clock_timestamp()))
ORDER BY number;

-- name: claim
UPDATE chatkit.stream_turns SET
    holder = $1, claimed_until = clock_timestamp() + make_interval(secs => $2)
WHERE id IN (
    SELECT t.id
    FROM chatkit.stream_turns t LEFT JOIN chatkit.stream_workers w ON w.id = t.holder
    WHERE t.ended IS NULL AND coalesce(t.claimed_until, w.expires_at, '-infinity') < clock_timestamp()
    FOR UPDATE OF t SKIP LOCKED
)
RETURNING info, stop;

-- name: held
SELECT id FROM chatkit.stream_turns WHERE holder = $1 AND ended IS NULL;

-- name: adopt
UPDATE chatkit.stream_turns SET holder = $3, claimed_until = NULL, info = $4, last_seq = greatest(last_seq, $5)
WHERE id = $1 AND (holder = $2 OR holder = $3) AND ended IS NULL
RETURNING id;

-- name: release
UPDATE chatkit.stream_turns SET holder = $2 || '/released', claimed_until = '-infinity'
WHERE id = $1 AND (holder = $2 OR holder = $2 || '/released') AND ended IS NULL
RETURNING id;

-- name: settle
WITH mine AS (
    SELECT id, last_seq, resumable FROM chatkit.stream_turns
    WHERE id = $1 AND holder = $2 AND ended IS NULL
    FOR UPDATE
), added AS (
    INSERT INTO chatkit.stream_chunks (turn_id, first_seq, last_seq, events, jumps)
    SELECT id, last_seq + $3 + 1, last_seq + $3 + $4, $5, TRUE FROM mine WHERE $4 > 0
), ends AS (
    INSERT INTO chatkit.stream_ends (turn_id, ended, forget_at)
    SELECT id, 'interrupted', clock_timestamp() + make_interval(secs => $7) FROM mine WHERE resumable
    ON CONFLICT (turn_id) DO NOTHING
), changed AS (
    UPDATE chatkit.stream_turns t SET
        last_seq = m.last_seq + CASE WHEN $4 > 0 THEN $3 + $4 ELSE 0 END,
        ended = 'interrupted',
        forget_at = clock_timestamp() + make_interval(secs => CASE WHEN m.resumable THEN $6 ELSE least($6, 10) END)
    FROM mine m
    WHERE t.id = m.id
    RETURNING t.id
)
SELECT pg_notify('chatkit_streams', id) FROM changed;

-- name: claim_key
-- The row's own claim comes back, unless the one that was bound is too old.
INSERT INTO chatkit.stream_keys AS k (key, claim, forget_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (key) DO UPDATE SET
    claim = CASE WHEN k.forget_at < clock_timestamp() THEN excluded.claim ELSE k.claim END,
    forget_at = CASE WHEN k.forget_at < clock_timestamp() THEN excluded.forget_at ELSE k.forget_at END
RETURNING claim;

-- name: find_key
SELECT claim FROM chatkit.stream_keys WHERE key = $1 AND forget_at >= clock_timestamp();

-- name: release_key
DELETE FROM chatkit.stream_keys WHERE key = $1 AND ($2::text IS NULL OR starts_with(claim::json ->> 1, $2));

-- name: ended
SELECT ended FROM chatkit.stream_ends WHERE turn_id = $1 AND forget_at > clock_timestamp();

-- name: forget_thread
-- A turn that still runs is over: whoever has it finds its end, and no row to write to.
WITH forgotten AS (
    DELETE FROM chatkit.stream_turns WHERE thread_id = $1 AND owner = $2
    RETURNING id, ended
), ends AS (
    INSERT INTO chatkit.stream_ends (turn_id, ended, forget_at)
    SELECT id, 'interrupted', clock_timestamp() + make_interval(secs => $3) FROM forgotten WHERE ended IS NULL
    ON CONFLICT (turn_id) DO NOTHING
)
SELECT pg_notify('chatkit_streams', id) FROM forgotten;

-- name: forget_old
-- As many of each kind as given, and whether there may be more. Workers that sweep at once do not wait for one another.
-- now() and not clock_timestamp(), with which no index is used.
WITH turns AS (
    DELETE FROM chatkit.stream_turns WHERE id = ANY (ARRAY(
        SELECT id FROM chatkit.stream_turns
        WHERE ended IS NOT NULL AND forget_at < now()
        ORDER BY forget_at LIMIT $1
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
), ends AS (
    DELETE FROM chatkit.stream_ends WHERE turn_id = ANY (ARRAY(
        SELECT turn_id FROM chatkit.stream_ends
        WHERE forget_at < now()
        ORDER BY forget_at LIMIT $1
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
), keys AS (
    DELETE FROM chatkit.stream_keys WHERE key = ANY (ARRAY(
        SELECT key FROM chatkit.stream_keys
        WHERE forget_at < now()
        ORDER BY forget_at LIMIT $1
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
), workers AS (
    DELETE FROM chatkit.stream_workers WHERE id = ANY (ARRAY(
        SELECT id FROM chatkit.stream_workers
        WHERE expires_at < now() - interval '1 day'
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT $1 IN (
    (SELECT count(*) FROM turns), (SELECT count(*) FROM ends),
    (SELECT count(*) FROM keys), (SELECT count(*) FROM workers)
);

-- name: survey_turns
-- What was released has a claim that never was.
SELECT
    t.info, t.holder, t.claimed_until IS NOT NULL, t.stop,
    coalesce(t.claimed_until, w.expires_at, '-infinity') < clock_timestamp(),
    extract(epoch FROM nullif(coalesce(t.claimed_until, w.expires_at), '-infinity') - clock_timestamp())::float8
FROM chatkit.stream_turns t LEFT JOIN chatkit.stream_workers w ON w.id = t.holder
WHERE t.ended IS NULL AND t.id > $1
ORDER BY t.id LIMIT $2;

-- name: survey_workers
SELECT
    w.id, (SELECT count(*) FROM chatkit.stream_turns t WHERE t.holder = w.id AND t.ended IS NULL),
    extract(epoch FROM w.expires_at - clock_timestamp())::float8, w.expires_at < clock_timestamp()
FROM chatkit.stream_workers w
ORDER BY w.expires_at DESC LIMIT $1;
