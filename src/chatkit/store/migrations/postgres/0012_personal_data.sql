-- Erasures of what is kept of a person, a lease for work that one worker at a time does, and the age of threads.
-- Usable by: 9

CREATE TABLE chatkit.erasures (
    id TEXT COLLATE "C" PRIMARY KEY,
    owner TEXT COLLATE "C" UNIQUE, -- NULL once nothing of the owner is left
    state TEXT NOT NULL, -- running, cleaning or ended
    begun_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    counts TEXT NOT NULL -- what was erased so far, JSON
);

CREATE TABLE chatkit.leases (
    name TEXT COLLATE "C" PRIMARY KEY, -- what one worker at a time does
    holder TEXT COLLATE "C" NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX threads_by_age ON chatkit.threads (updated_at, number);

-- While an owner is being erased nothing of theirs is added, by workers of any version. The lock makes what is being
-- added at the moment come before the erasure, or find it.
CREATE FUNCTION chatkit.refuse_erased(in_owner TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(in_owner, 1130908534));
    IF EXISTS (SELECT FROM chatkit.erasures WHERE owner = in_owner) THEN
        RAISE EXCEPTION 'chatkit: the owner is being erased' USING ERRCODE = 'CK409';
    END IF;
END;
$$;

CREATE FUNCTION chatkit.refuse_row_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- As above, without a call: it is done for each thread and attachment.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(NEW.owner, 1130908534));
    IF EXISTS (SELECT FROM chatkit.erasures WHERE owner = NEW.owner) THEN
        PERFORM chatkit.refuse_erased(NEW.owner);
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER threads_of_erased BEFORE INSERT ON chatkit.threads
FOR EACH ROW EXECUTE FUNCTION chatkit.refuse_row_of_erased();

CREATE TRIGGER attachments_of_erased BEFORE INSERT ON chatkit.attachments
FOR EACH ROW EXECUTE FUNCTION chatkit.refuse_row_of_erased();

-- A turn that is there may be taken over, and end.
CREATE FUNCTION chatkit.refuse_turn_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(NEW.owner, 1130908534));
    IF EXISTS (SELECT FROM chatkit.erasures WHERE owner = NEW.owner)
        AND NOT EXISTS (SELECT FROM chatkit.accepted_turns WHERE owner = NEW.owner AND id = NEW.id)
    THEN
        PERFORM chatkit.refuse_erased(NEW.owner);
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER accepted_turns_of_erased BEFORE INSERT ON chatkit.accepted_turns
FOR EACH ROW EXECUTE FUNCTION chatkit.refuse_turn_of_erased();

CREATE FUNCTION chatkit.refuse_key_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- No text is made of JSON with a NUL character anywhere.
    PERFORM chatkit.refuse_erased(replace(NEW.key, '\u0000', '\ufffd')::json ->> 0);
    RETURN NEW;
END;
$$;

CREATE TRIGGER stream_keys_of_erased BEFORE INSERT ON chatkit.stream_keys
FOR EACH ROW EXECUTE FUNCTION chatkit.refuse_key_of_erased();

CREATE FUNCTION chatkit.refuse_count_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM chatkit.refuse_erased(regexp_replace(NEW.key, '^(quota:[^:]*:[^:]*|running):owner:', ''));
    RETURN NEW;
END;
$$;

CREATE TRIGGER counts_of_erased BEFORE INSERT ON chatkit.counts
FOR EACH ROW WHEN (NEW.key LIKE '%:owner:%') EXECUTE FUNCTION chatkit.refuse_count_of_erased();

-- The owner that a session of hosted ChatKit is for. No text is made of JSON with a NUL character anywhere.
CREATE FUNCTION chatkit.owner_of_session(data TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(s.d ->> 'tenant', '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(s.d ->> 'user', '%', '%25'), '/', '%2F') || '/' ||
        replace(replace(s.d -> 'workflow' ->> 'id', '%', '%25'), '/', '%2F')
    FROM (SELECT replace(data, '\u0000', '\ufffd')::json AS d) AS s
$$;

CREATE FUNCTION chatkit.refuse_session_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM chatkit.refuse_erased(chatkit.owner_of_session(NEW.data));
    RETURN NEW;
END;
$$;

CREATE TRIGGER hosted_sessions_of_erased BEFORE INSERT ON chatkit.hosted_sessions
FOR EACH ROW EXECUTE FUNCTION chatkit.refuse_session_of_erased();

-- A call of a model that was under way: what it used is not recorded.
CREATE FUNCTION chatkit.leave_out_usage_of_erased() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(NEW.owner, 1130908534));
    IF EXISTS (SELECT FROM chatkit.erasures WHERE owner = NEW.owner) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER usage_of_erased BEFORE INSERT ON chatkit.usage
FOR EACH ROW EXECUTE FUNCTION chatkit.leave_out_usage_of_erased();
