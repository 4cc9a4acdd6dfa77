-- The statements of chatkit.counters.postgres.

-- name: begin
INSERT INTO chatkit.counts AS c (key, total, ends_at)
VALUES ($1, 0, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (key) DO UPDATE SET
    total = CASE WHEN c.ends_at <= clock_timestamp() THEN 0 ELSE c.total END,
    ends_at = CASE WHEN c.ends_at <= clock_timestamp() THEN excluded.ends_at ELSE c.ends_at END
RETURNING total, extract(epoch FROM ends_at - clock_timestamp())::float8;

-- name: add
UPDATE chatkit.counts SET total = total + $2 WHERE key = $1;

-- name: forget
DELETE FROM chatkit.counts WHERE key IN (
    SELECT key FROM chatkit.counts WHERE ends_at <= clock_timestamp()
    ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED
);

-- name: forget_reservations
DELETE FROM chatkit.reservations WHERE (key, id) IN (
    SELECT key, id FROM chatkit.reservations WHERE ends_at <= clock_timestamp()
    ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED
);

-- name: give_back
-- To this window alone: what was reserved in one before is none of its total.
WITH lapsed AS (
    DELETE FROM chatkit.reservations
    WHERE key = $1 AND (expires_at <= clock_timestamp() OR ends_at <= clock_timestamp())
    RETURNING amount, ends_at
)
UPDATE chatkit.counts AS c
SET total = c.total - coalesce((SELECT sum(l.amount) FROM lapsed AS l WHERE l.ends_at = c.ends_at), 0)
WHERE c.key = $1;

-- name: lock
SELECT total FROM chatkit.counts WHERE key = $1 FOR UPDATE;

-- name: reserved
SELECT r.amount FROM chatkit.reservations AS r
JOIN chatkit.counts AS c ON c.key = r.key AND c.ends_at = r.ends_at
WHERE r.key = $1 AND r.id = $2;

-- name: reserve
INSERT INTO chatkit.reservations AS r (key, id, amount, ends_at, expires_at)
SELECT key, $2, $3, ends_at, clock_timestamp() + make_interval(secs => $4) FROM chatkit.counts WHERE key = $1
ON CONFLICT (key, id) DO UPDATE
SET amount = excluded.amount, ends_at = excluded.ends_at, expires_at = excluded.expires_at;

-- name: renew
UPDATE chatkit.reservations SET expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE key = $1 AND id = $2;

-- name: drop
DELETE FROM chatkit.reservations WHERE key = $1 AND id = $2;
