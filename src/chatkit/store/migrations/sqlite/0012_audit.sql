-- What operators do, what is refused and what is deleted; and the keys of the pseudonyms in it.
-- Usable by: 10

CREATE TABLE audit (
    number INTEGER PRIMARY KEY, -- from 1 without a gap
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL, -- ISO 8601 in UTC, to the microsecond
    kind TEXT NOT NULL,
    owner TEXT, -- a pseudonym
    actor TEXT NOT NULL,
    through INTEGER, -- of an entry that says so: entries up to this number are deleted because of their age
    data TEXT NOT NULL, -- the entry as JSON, with all of the above
    hash TEXT NOT NULL -- SHA-256 of data
);
CREATE INDEX audit_of_kind ON audit (kind, number);
CREATE INDEX audit_of_owner ON audit (owner, number) WHERE owner IS NOT NULL;
CREATE INDEX audit_trimmed ON audit (through) WHERE through IS NOT NULL;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'entries of the audit log are not changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit WHERE through >= OLD.number)
BEGIN
    SELECT raise(ABORT, 'entries of the audit log are deleted by chatkit audit trim only');
END;

CREATE TABLE audit_keys (
    owner TEXT PRIMARY KEY,
    key BLOB NOT NULL -- random; destroyed when the owner's data is erased
) WITHOUT ROWID;
