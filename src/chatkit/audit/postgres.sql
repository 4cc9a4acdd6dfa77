-- The statements of chatkit.audit.postgres.

-- name: lock
-- One process appends at a time: what the next statement reads is the end of the chain until the commit.
SELECT pg_advisory_xact_lock(1130908532, 1);

-- name: add
INSERT INTO chatkit.audit (number, id, at, kind, owner, actor, through, data, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: end
-- The end of the chain, and the key of an owner.
SELECT e.number, e.hash, (SELECT key FROM chatkit.audit_keys WHERE owner = $1)
FROM (SELECT 1) AS one LEFT JOIN (
    SELECT number, hash FROM chatkit.audit ORDER BY number DESC LIMIT 1
) AS e ON TRUE;

-- name: find
SELECT number, id, at, kind, owner, actor, through, data, hash FROM chatkit.audit WHERE id = $1;

-- name: last_of_kind
SELECT data FROM chatkit.audit WHERE kind = $1 ORDER BY number DESC LIMIT 1;

-- name: load_asc
SELECT number, id, at, kind, owner, actor, through, data, hash FROM chatkit.audit
WHERE number > coalesce($1::bigint, 0)
    AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR owner = $3) AND ($4::text IS NULL OR actor = $4)
    AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
ORDER BY number LIMIT $7;

-- name: load_desc
SELECT number, id, at, kind, owner, actor, through, data, hash FROM chatkit.audit
WHERE number < coalesce($1::bigint, 9223372036854775807)
    AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR owner = $3) AND ($4::text IS NULL OR actor = $4)
    AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
ORDER BY number DESC LIMIT $7;

-- name: last_before
SELECT number, hash FROM chatkit.audit
WHERE number < coalesce(
    (SELECT number FROM chatkit.audit WHERE at >= $1 ORDER BY number LIMIT 1), 9223372036854775807
)
ORDER BY number DESC LIMIT 1;

-- name: delete_trimmed
WITH gone AS (
    DELETE FROM chatkit.audit WHERE number IN (
        SELECT number FROM chatkit.audit
        WHERE number <= (SELECT max(through) FROM chatkit.audit) ORDER BY number LIMIT $1
    )
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: add_key
INSERT INTO chatkit.audit_keys (owner, key) VALUES ($1, $2);

-- name: destroy_key
DELETE FROM chatkit.audit_keys WHERE owner = $1 RETURNING TRUE;
