-- The statements of chatkit.counters.sqlite.

-- name: begin
INSERT INTO counts (key, total, ends_at) VALUES (:key, 0, :now + :window)
ON CONFLICT (key) DO UPDATE SET total = 0, ends_at = excluded.ends_at WHERE ends_at <= :now;

-- name: load
SELECT total, ends_at - :now FROM counts WHERE key = :key;

-- name: add
UPDATE counts SET total = total + :amount WHERE key = :key;

-- name: forget
DELETE FROM counts WHERE key IN (SELECT key FROM counts WHERE ends_at <= :now ORDER BY ends_at LIMIT :count);
