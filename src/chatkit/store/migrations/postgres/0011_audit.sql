-- What operators do, what is refused and what is deleted; and the keys of the pseudonyms in it.
-- Usable by: 9

CREATE TABLE chatkit.audit (
    number BIGINT PRIMARY KEY, -- from 1 without a gap
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C", -- a pseudonym
    actor TEXT COLLATE "C" NOT NULL,
    through BIGINT, -- of an entry that says so: entries up to this number are deleted because of their age
    data TEXT COLLATE "C" NOT NULL, -- the entry as JSON, with all of the above
    hash TEXT COLLATE "C" NOT NULL -- SHA-256 of data
);

CREATE INDEX audit_of_kind ON chatkit.audit (kind, number);
CREATE INDEX audit_of_owner ON chatkit.audit (owner, number) WHERE owner IS NOT NULL;
CREATE INDEX audit_trimmed ON chatkit.audit (through) WHERE through IS NOT NULL;

CREATE FUNCTION chatkit.keep_audit() RETURNS TRIGGER LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM chatkit.audit AS a WHERE a.through >= OLD.number) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'entries of the audit log are deleted by chatkit audit trim only';
    END IF;
    RAISE EXCEPTION 'entries of the audit log are not changed';
END;
$$;

CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON chatkit.audit
FOR EACH ROW EXECUTE FUNCTION chatkit.keep_audit();

CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON chatkit.audit
FOR EACH STATEMENT EXECUTE FUNCTION chatkit.keep_audit();

CREATE TABLE chatkit.audit_keys (
    owner TEXT COLLATE "C" PRIMARY KEY,
    key BYTEA NOT NULL -- random; destroyed when the owner's data is erased
);
