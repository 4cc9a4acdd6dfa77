-- Erasures of what is kept of a person, a lease for work that one worker at a time does, and the age of threads.
-- Usable by: 10

CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    owner TEXT UNIQUE, -- NULL once nothing of the owner is left
    state TEXT NOT NULL, -- running, cleaning or ended
    begun_at REAL NOT NULL, -- seconds since 1970
    ended_at REAL,
    counts TEXT NOT NULL -- what was erased so far, JSON
);

CREATE TABLE leases (
    name TEXT PRIMARY KEY, -- what one worker at a time does
    holder TEXT NOT NULL,
    expires_at REAL NOT NULL -- seconds since 1970
) WITHOUT ROWID;

CREATE INDEX threads_by_age ON threads (updated_at);

-- While an owner is being erased nothing of theirs is added, by workers of any version.

CREATE TRIGGER threads_of_erased BEFORE INSERT ON threads
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER attachments_of_erased BEFORE INSERT ON attachments
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

-- A turn that is there may be taken over, and end.
CREATE TRIGGER accepted_turns_of_erased BEFORE INSERT ON accepted_turns
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
    AND NOT EXISTS (SELECT 1 FROM accepted_turns WHERE owner = NEW.owner AND id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER stream_keys_of_erased BEFORE INSERT ON stream_keys
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER counts_of_erased BEFORE INSERT ON counts
WHEN EXISTS (
    -- As bytes, for the length of a text ends where it has a NUL character. The parts before have no colon in them, so
    -- that an owner's count is not taken for that of another one, whose name ends with the same.
    SELECT 1 FROM (
        SELECT owner, CAST(NEW.key AS BLOB) AS key, CAST(':owner:' || owner AS BLOB) AS suffix FROM erasures
        WHERE owner IS NOT NULL
    )
    WHERE NEW.key = 'running:owner:' || owner OR (
        NEW.key LIKE 'quota:%' AND substr(key, -length(suffix)) = suffix
        AND length(replace(CAST(substr(key, 1, length(key) - length(suffix)) AS TEXT), ':', ''))
            = length(key) - length(suffix) - 2
    )
)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

CREATE TRIGGER hosted_sessions_of_erased BEFORE INSERT ON hosted_sessions
WHEN EXISTS (
    SELECT 1 FROM erasures WHERE owner IS NOT NULL AND owner =
        replace(replace(json_extract(NEW.data, '$.tenant'), '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(json_extract(NEW.data, '$.user'), '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(json_extract(NEW.data, '$.workflow.id'), '%', '%25'), '/', '%2F')
)
BEGIN
    SELECT RAISE(ABORT, 'chatkit: the owner is being erased');
END;

-- A call of a model that was under way: what it used is not recorded.
CREATE TRIGGER usage_of_erased BEFORE INSERT ON usage
WHEN EXISTS (SELECT 1 FROM erasures WHERE owner = NEW.owner)
BEGIN
    SELECT RAISE(IGNORE);
END;
