-- The search index: the words of messages and titles. Triggers note what workers of earlier versions write.
-- Usable by: 9

CREATE TABLE chatkit.search_items (
    thread BIGINT NOT NULL,
    item BIGINT NOT NULL, -- the seq of the item
    owner TEXT COLLATE "C" NOT NULL,
    words TEXT, -- NULL: waits to be indexed
    vector TSVECTOR -- the words, each behind a tag of the owner
);

CREATE TABLE chatkit.search_titles (
    thread BIGINT NOT NULL,
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

-- Some seconds for a million; the words themselves are indexed piece by piece.
INSERT INTO chatkit.search_items (thread, item, owner)
SELECT i.thread, i.seq, t.owner FROM chatkit.items AS i JOIN chatkit.threads AS t ON t.number = i.thread
WHERE i.type IN ('user_message', 'assistant_message');

INSERT INTO chatkit.search_titles (thread, owner)
SELECT t.number, t.owner FROM chatkit.threads AS t WHERE t.data ->> 'title' <> '';

ALTER TABLE chatkit.search_items ADD PRIMARY KEY (thread, item);
ALTER TABLE chatkit.search_items
    ADD FOREIGN KEY (thread, item) REFERENCES chatkit.items (thread, seq) ON DELETE CASCADE;
ALTER TABLE chatkit.search_titles ADD PRIMARY KEY (thread);
ALTER TABLE chatkit.search_titles
    ADD FOREIGN KEY (thread) REFERENCES chatkit.threads (number) ON DELETE CASCADE;

CREATE INDEX search_items_words ON chatkit.search_items USING gin (vector) WITH (gin_pending_list_limit = 256);
CREATE INDEX search_items_of_owner ON chatkit.search_items (owner, item);
CREATE INDEX search_items_waiting ON chatkit.search_items (item) WHERE words IS NULL;
CREATE INDEX search_titles_words ON chatkit.search_titles USING gin (vector) WITH (gin_pending_list_limit = 256);
CREATE INDEX search_titles_waiting ON chatkit.search_titles (thread) WHERE words IS NULL;
