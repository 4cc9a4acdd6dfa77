-- What all migrations together result in. A test compares it with replayed migrations; nothing executes it.

CREATE SCHEMA chatkit;

CREATE TABLE chatkit.schema_version (
    version INTEGER NOT NULL,
    usable_since INTEGER -- the earliest version whose workers can use the schema; NULL: the present one
);

CREATE TABLE chatkit.threads (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Order of creation: drawn under a lock on the owner. Of no index of its own, or the planner may take that one and
    -- go through the threads of others.
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    data JSONB NOT NULL, -- the thread
    exact TEXT, -- the thread as JSON, where JSONB would not give it back as it was
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (owner, id)
);

CREATE INDEX threads_of_owner ON chatkit.threads (owner, seq);

CREATE TABLE chatkit.items (
    thread BIGINT NOT NULL REFERENCES chatkit.threads (number) ON DELETE CASCADE,
    seq BIGINT GENERATED ALWAYS AS IDENTITY, -- order of adding: drawn under a lock on the thread
    id TEXT COLLATE "C" NOT NULL,
    type TEXT NOT NULL,
    data JSONB NOT NULL, -- the item
    exact TEXT, -- the item as JSON, where JSONB would not give it back as it was
    PRIMARY KEY (thread, seq),
    UNIQUE (thread, id)
);

CREATE TABLE chatkit.attachments (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C", -- once a message uses the attachment
    data JSONB NOT NULL, -- the attachment
    exact TEXT, -- the attachment as JSON, where JSONB would not give it back as it was
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    size BIGINT NOT NULL DEFAULT 0, -- bytes of the file; 0: saved by an earlier version
    group_id TEXT COLLATE "C",
    PRIMARY KEY (owner, id)
);

CREATE INDEX attachments_of_group ON chatkit.attachments (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX attachments_of_thread ON chatkit.attachments (owner, thread_id);
CREATE INDEX attachments_unclaimed ON chatkit.attachments (created_at) WHERE thread_id IS NULL;

CREATE SEQUENCE chatkit.turn_tokens;

CREATE TABLE chatkit.turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL, -- may name a thread that is not saved yet
    token BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX turns_of_thread ON chatkit.turns (owner, thread_id);

CREATE TABLE chatkit.completed_turns (
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX completed_turns_old ON chatkit.completed_turns (forget_at);

CREATE TABLE chatkit.accepted_turns (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of acceptance: drawn under a lock on the thread
    owner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL,
    status TEXT NOT NULL, -- waiting, begun or ended
    opened BOOLEAN NOT NULL DEFAULT FALSE, -- once its worker has opened it in the stream log
    claimed BOOLEAN NOT NULL DEFAULT FALSE, -- once another worker than the first has taken it over
    lease_until TIMESTAMPTZ NOT NULL, -- of an opened turn the lease is that of the log
    look_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity', -- no sweep looks at it before
    user_item_id TEXT COLLATE "C",
    key TEXT COLLATE "C", -- the idempotency key of its request
    fingerprint TEXT NOT NULL DEFAULT '',
    info TEXT NOT NULL DEFAULT '', -- what another worker needs to begin it
    message TEXT, -- the message of a turn that waits, as JSON
    ended TEXT, -- how it ended
    forget_at TIMESTAMPTZ, -- once it has ended
    UNIQUE (owner, id)
);

CREATE UNIQUE INDEX accepted_turns_by_key ON chatkit.accepted_turns (owner, key) WHERE key IS NOT NULL;
CREATE INDEX accepted_turns_of_thread ON chatkit.accepted_turns (owner, thread_id, number);
CREATE INDEX accepted_turns_running ON chatkit.accepted_turns (lease_until) WHERE status <> 'ended';
CREATE INDEX accepted_turns_old ON chatkit.accepted_turns (forget_at) WHERE forget_at IS NOT NULL;

-- Accepts a turn and returns how that went: accepted or waits, busy, known (by its key), taken (by its id), no_thread,
-- thread_exists, no_item or item_exists. Only the first two have written anything. The thread's row is locked first.
CREATE FUNCTION chatkit.accept_turn(
    in_owner TEXT, in_turn TEXT, in_thread TEXT, in_lease FLOAT8, in_user_item TEXT, in_key TEXT, in_fingerprint TEXT,
    in_info TEXT, in_policy TEXT, in_thread_data JSONB, in_thread_exact TEXT, in_created_at TIMESTAMPTZ,
    in_message TEXT, in_item_data JSONB, in_item_exact TEXT, in_delete_after TEXT,
    in_attachments TEXT[], in_attachment_data TEXT[], in_attachment_exact TEXT[], in_replaces TEXT,
    OUT outcome TEXT, OUT token BIGINT, OUT turn TEXT, OUT others TEXT[]
)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    thread_number BIGINT;
    last_item BIGINT;
    waits BOOLEAN := FALSE;
BEGIN
    others := '{}';
    IF in_thread_data IS NULL THEN
        SELECT t.number INTO thread_number FROM chatkit.threads AS t
        WHERE t.owner = in_owner AND t.id = in_thread FOR NO KEY UPDATE;
    END IF;
    IF in_key IS NOT NULL THEN
        DELETE FROM chatkit.accepted_turns AS a WHERE a.owner = in_owner AND a.key = in_key AND (
            a.forget_at < now() OR (a.id = in_replaces AND a.status = 'ended' AND NOT a.opened)
        );
        SELECT a.id INTO turn FROM chatkit.accepted_turns AS a WHERE a.owner = in_owner AND a.key = in_key;
        IF FOUND THEN
            outcome := 'known';
            RETURN;
        END IF;
    END IF;
    IF in_thread_data IS NULL AND thread_number IS NULL AND in_thread <> '' THEN
        outcome := 'no_thread';
        RETURN;
    END IF;
    IF in_policy <> 'allow' AND in_thread_data IS NULL THEN
        SELECT coalesce(array_agg(a.id ORDER BY a.number), '{}') INTO others FROM chatkit.accepted_turns AS a
        WHERE a.owner = in_owner AND a.thread_id = in_thread AND a.status <> 'ended';
        IF in_policy = 'reject' AND others <> '{}' THEN
            outcome := 'busy';
            RETURN;
        END IF;
        waits := others <> '{}';
    END IF;
    IF EXISTS (SELECT FROM chatkit.accepted_turns AS a WHERE a.owner = in_owner AND a.id = in_turn) THEN
        outcome := 'taken';
        RETURN;
    END IF;
    IF in_thread_data IS NOT NULL AND EXISTS (
        SELECT FROM chatkit.threads AS t WHERE t.owner = in_owner AND t.id = in_thread
    ) THEN
        outcome := 'thread_exists';
        RETURN;
    END IF;
    IF in_item_data IS NOT NULL AND EXISTS (
        SELECT FROM chatkit.items AS i WHERE i.thread = thread_number AND i.id = in_user_item
    ) THEN
        outcome := 'item_exists';
        RETURN;
    END IF;
    IF in_delete_after IS NOT NULL THEN
        SELECT i.seq INTO last_item FROM chatkit.items AS i WHERE i.thread = thread_number AND i.id = in_delete_after;
        IF NOT FOUND THEN
            outcome := 'no_item';
            RETURN;
        END IF;
    END IF;
    -- Waits for another transaction that accepts a turn with the same key in another thread.
    INSERT INTO chatkit.accepted_turns
        (owner, id, thread_id, status, lease_until, user_item_id, key, fingerprint, info, message)
    VALUES (
        in_owner, in_turn, in_thread, CASE WHEN waits THEN 'waiting' ELSE 'begun' END,
        now() + make_interval(secs => in_lease), in_user_item, in_key, in_fingerprint, in_info,
        CASE WHEN waits THEN in_message END
    )
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT a.id INTO turn FROM chatkit.accepted_turns AS a WHERE a.owner = in_owner AND a.key = in_key;
        outcome := CASE WHEN FOUND THEN 'known' ELSE 'taken' END;
        RETURN;
    END IF;
    IF in_thread_data IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(in_owner, 1130908532));
        INSERT INTO chatkit.threads (owner, id, data, exact, created_at, updated_at)
        VALUES (in_owner, in_thread, in_thread_data, in_thread_exact, in_created_at, now())
        RETURNING number INTO thread_number;
    END IF;
    IF last_item IS NOT NULL THEN
        DELETE FROM chatkit.items AS i WHERE i.thread = thread_number AND i.seq > last_item;
    END IF;
    IF in_item_data IS NOT NULL AND NOT waits THEN
        INSERT INTO chatkit.items (thread, id, type, data, exact)
        VALUES (thread_number, in_user_item, 'user_message', in_item_data, in_item_exact);
    END IF;
    INSERT INTO chatkit.attachments (owner, id, thread_id, data, exact)
    SELECT in_owner, a.id, in_thread, a.data::jsonb, a.exact
    FROM unnest(in_attachments, in_attachment_data, in_attachment_exact) AS a (id, data, exact)
    ON CONFLICT (owner, id) DO UPDATE
    SET thread_id = excluded.thread_id, data = excluded.data, exact = excluded.exact;
    INSERT INTO chatkit.turns AS t (owner, id, thread_id, token)
    VALUES (in_owner, in_turn, in_thread, nextval('chatkit.turn_tokens'))
    RETURNING t.token INTO token;
    turn := in_turn;
    outcome := CASE WHEN waits THEN 'waits' ELSE 'accepted' END;
END;
$$;

CREATE TABLE chatkit.stream_workers (
    id TEXT COLLATE "C" PRIMARY KEY,
    since TIMESTAMPTZ NOT NULL, -- it has held its lease without a break since then
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE chatkit.stream_turns (
    id TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT GENERATED ALWAYS AS IDENTITY, -- order of beginning
    thread_id TEXT COLLATE "C" NOT NULL,
    info TEXT NOT NULL, -- the turn as JSON
    resumable BOOLEAN NOT NULL,
    holder TEXT COLLATE "C" NOT NULL, -- the worker, or the claim, that may write
    claimed_until TIMESTAMPTZ, -- of a claim; a worker's lease is in stream_workers
    last_seq BIGINT NOT NULL DEFAULT 0,
    stop BOOLEAN NOT NULL DEFAULT FALSE,
    snapshot_seq BIGINT,
    snapshot BYTEA,
    ended TEXT,
    forget_at TIMESTAMPTZ,
    owner TEXT COLLATE "C" -- as JSON; NULL for turns of workers of an earlier version, whose owner is only in info
) WITH (fillfactor = 50); -- most updates change numbers only, in the same page

CREATE INDEX stream_turns_of_owner ON chatkit.stream_turns (thread_id, owner, number);
CREATE INDEX stream_turns_running ON chatkit.stream_turns (holder) WHERE ended IS NULL;
CREATE INDEX stream_turns_ended ON chatkit.stream_turns (forget_at) WHERE ended IS NOT NULL;

CREATE TABLE chatkit.stream_chunks (
    turn_id TEXT COLLATE "C" NOT NULL REFERENCES chatkit.stream_turns (id) ON DELETE CASCADE,
    last_seq BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    jumps BOOLEAN NOT NULL DEFAULT FALSE,
    events BYTEA NOT NULL, -- JSON texts, joined by the byte 0x1e
    PRIMARY KEY (turn_id, last_seq)
);

CREATE TABLE chatkit.stream_ends (
    turn_id TEXT COLLATE "C" PRIMARY KEY,
    ended TEXT NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX stream_ends_old ON chatkit.stream_ends (forget_at);

CREATE TABLE chatkit.stream_keys (
    key TEXT COLLATE "C" PRIMARY KEY, -- owner and idempotency key as JSON
    claim TEXT NOT NULL,
    forget_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX stream_keys_old ON chatkit.stream_keys (forget_at);

CREATE TABLE chatkit.hosted_sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    data TEXT NOT NULL, -- the session as JSON
    cancelled BOOLEAN NOT NULL DEFAULT FALSE,
    forget_at TIMESTAMPTZ NOT NULL -- some time after its end
);

CREATE INDEX hosted_sessions_old ON chatkit.hosted_sessions (forget_at);

CREATE TABLE chatkit.counts (
    key TEXT COLLATE "C" PRIMARY KEY,
    total BIGINT NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL -- the end of the window
);

CREATE INDEX counts_old ON chatkit.counts (ends_at);

CREATE TABLE chatkit.usage (
    owner TEXT COLLATE "C" NOT NULL,
    turn_id TEXT COLLATE "C" NOT NULL,
    step TEXT COLLATE "C" NOT NULL, -- of the turn; it counts once
    thread_id TEXT COLLATE "C" NOT NULL,
    group_id TEXT COLLATE "C",
    model TEXT COLLATE "C" NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost BIGINT, -- in billionths; NULL: the model had no price
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, turn_id, step)
);

CREATE INDEX usage_of_owner ON chatkit.usage (owner, created_at);
CREATE INDEX usage_by_age ON chatkit.usage (created_at);

CREATE TABLE chatkit.reservations (
    key TEXT COLLATE "C" NOT NULL, -- of counts
    id TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL, -- contained in the total of its window
    ends_at TIMESTAMPTZ NOT NULL, -- of that window
    expires_at TIMESTAMPTZ NOT NULL, -- given back then
    PRIMARY KEY (key, id)
);

CREATE INDEX reservations_old ON chatkit.reservations (ends_at);

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

CREATE TABLE chatkit.turn_steps (
    owner TEXT COLLATE "C" NOT NULL,
    turn_id TEXT COLLATE "C" NOT NULL,
    position INTEGER NOT NULL, -- in the order in which the steps were begun
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL, -- of kind, name and arguments
    effect TEXT NOT NULL, -- repeatable, keyed or once
    status TEXT NOT NULL, -- started, ended, failed, unkept or left
    result TEXT NOT NULL, -- JSON; empty where there is none
    PRIMARY KEY (owner, turn_id, position),
    FOREIGN KEY (owner, turn_id) REFERENCES chatkit.turns (owner, id) ON DELETE CASCADE -- gone as the turn ends
);

CREATE TABLE chatkit.search_items (
    thread BIGINT NOT NULL,
    item BIGINT NOT NULL, -- the seq of the item
    owner TEXT COLLATE "C" NOT NULL,
    words TEXT, -- NULL: waits to be indexed
    vector TSVECTOR, -- the words, each behind a tag of the owner
    PRIMARY KEY (thread, item),
    FOREIGN KEY (thread, item) REFERENCES chatkit.items (thread, seq) ON DELETE CASCADE
);

CREATE TABLE chatkit.search_titles (
    thread BIGINT PRIMARY KEY REFERENCES chatkit.threads (number) ON DELETE CASCADE,
    owner TEXT COLLATE "C" NOT NULL,
    words TEXT, -- NULL: waits to be indexed
    vector TSVECTOR -- the words, each behind a tag of the owner
);

-- What this transaction has indexed itself stays: its rows are of this transaction.
CREATE FUNCTION chatkit.note_search_item() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM chatkit.search_items AS s
        WHERE s.thread = NEW.thread AND s.item = NEW.seq AND s.xmin = pg_current_xact_id()::xid
    ) THEN
        INSERT INTO chatkit.search_items (thread, item, owner)
        SELECT t.number, NEW.seq, t.owner FROM chatkit.threads AS t WHERE t.number = NEW.thread
        ON CONFLICT (thread, item) DO UPDATE SET words = NULL, vector = NULL;
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION chatkit.note_search_title() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM chatkit.search_titles AS s
        WHERE s.thread = NEW.number AND s.xmin = pg_current_xact_id()::xid
    ) THEN
        INSERT INTO chatkit.search_titles (thread, owner) VALUES (NEW.number, NEW.owner)
        ON CONFLICT (thread) DO UPDATE SET words = NULL, vector = NULL;
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER search_item_saved AFTER INSERT OR UPDATE OF type, data ON chatkit.items
FOR EACH ROW WHEN (NEW.type IN ('user_message', 'assistant_message')) EXECUTE FUNCTION chatkit.note_search_item();

CREATE TRIGGER search_title_added AFTER INSERT ON chatkit.threads
FOR EACH ROW WHEN (NEW.data ->> 'title' <> '') EXECUTE FUNCTION chatkit.note_search_title();

CREATE TRIGGER search_title_changed AFTER UPDATE OF data ON chatkit.threads
FOR EACH ROW WHEN (OLD.data ->> 'title' IS DISTINCT FROM NEW.data ->> 'title')
EXECUTE FUNCTION chatkit.note_search_title();

CREATE INDEX search_items_words ON chatkit.search_items USING gin (vector) WITH (gin_pending_list_limit = 256);
CREATE INDEX search_items_of_owner ON chatkit.search_items (owner, item);
CREATE INDEX search_items_waiting ON chatkit.search_items (item) WHERE words IS NULL;
CREATE INDEX search_titles_words ON chatkit.search_titles USING gin (vector) WITH (gin_pending_list_limit = 256);
CREATE INDEX search_titles_waiting ON chatkit.search_titles (thread) WHERE words IS NULL;
