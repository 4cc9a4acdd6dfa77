-- The statements of chatkit.audit.sqlite.

-- name: add
INSERT INTO audit (number, id, at, kind, owner, actor, through, data, hash)
VALUES (:number, :id, :at, :kind, :owner, :actor, :through, :data, :hash);

-- name: head
SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1;

-- name: last_of_kind
SELECT data FROM audit WHERE kind = :kind ORDER BY number DESC LIMIT 1;

-- name: load_asc
SELECT number, id, at, kind, owner, actor, through, data, hash FROM audit
WHERE number > coalesce(:after, 0)
    AND (:kind IS NULL OR kind = :kind) AND (:owner IS NULL OR owner = :owner) AND (:actor IS NULL OR actor = :actor)
    AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- name: load_desc
SELECT number, id, at, kind, owner, actor, through, data, hash FROM audit
WHERE number < coalesce(:after, 9223372036854775807)
    AND (:kind IS NULL OR kind = :kind) AND (:owner IS NULL OR owner = :owner) AND (:actor IS NULL OR actor = :actor)
    AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number DESC LIMIT :limit;

-- name: last_before
SELECT number, hash FROM audit
WHERE number < coalesce((SELECT number FROM audit WHERE at >= :before ORDER BY number LIMIT 1), 9223372036854775807)
ORDER BY number DESC LIMIT 1;

-- name: delete_trimmed
DELETE FROM audit WHERE number IN (
    SELECT number FROM audit WHERE number <= (SELECT max(through) FROM audit) ORDER BY number LIMIT :limit
);

-- name: load_key
SELECT key FROM audit_keys WHERE owner = :owner;

-- name: add_key
INSERT INTO audit_keys (owner, key) VALUES (:owner, :key);

-- name: destroy_key
DELETE FROM audit_keys WHERE owner = :owner;
