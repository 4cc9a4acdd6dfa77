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
