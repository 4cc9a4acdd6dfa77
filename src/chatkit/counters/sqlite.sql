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

-- name: forget_reservations
DELETE FROM reservations WHERE (key, id) IN (
    SELECT key, id FROM reservations WHERE ends_at <= :now ORDER BY ends_at LIMIT :count
);

-- name: give_back
-- Of this window alone: what was reserved in one before is none of its total.
UPDATE counts SET total = total - coalesce((
    SELECT sum(r.amount) FROM reservations AS r
    WHERE r.key = counts.key AND r.ends_at = counts.ends_at AND r.expires_at <= :now
), 0)
WHERE key = :key;

-- name: drop_lapsed
DELETE FROM reservations WHERE key = :key AND (expires_at <= :now OR ends_at <= :now);

-- name: reserved
SELECT r.amount FROM reservations AS r JOIN counts AS c ON c.key = r.key AND c.ends_at = r.ends_at
WHERE r.key = :key AND r.id = :name;

-- name: reserve
INSERT INTO reservations (key, id, amount, ends_at, expires_at)
SELECT :key, :name, :amount, ends_at, :expires_at FROM counts WHERE key = :key
ON CONFLICT (key, id) DO UPDATE
SET amount = excluded.amount, ends_at = excluded.ends_at, expires_at = excluded.expires_at;

-- name: renew
UPDATE reservations SET expires_at = :expires_at WHERE key = :key AND id = :name;

-- name: drop
DELETE FROM reservations WHERE key = :key AND id = :name;
