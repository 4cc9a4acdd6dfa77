-- Which texts the search index lacks. The index itself, search_index, is made by the first store that can, for not every
-- build of SQLite has FTS5: see chatkit.store._sqlite_search. The triggers also see what earlier versions write; OR IGNORE would not
-- hold in them, for the statement that fires one has the say.
-- Usable by: 10

CREATE TABLE search_state (
    begun INTEGER PRIMARY KEY -- one row, 1, once there is an index
);

CREATE TABLE search_changes (
    late INTEGER NOT NULL, -- 0: written since there is an index; 1: before
    place INTEGER NOT NULL, -- the seq of an item; of a thread, for its title, that below zero
    PRIMARY KEY (late, place)
) WITHOUT ROWID;

CREATE TABLE search_texts (
    place INTEGER PRIMARY KEY, -- as of search_changes
    tag TEXT NOT NULL, -- what each word of the owner begins with in the index
    words TEXT NOT NULL -- as they are in the index, but for the tag
);

CREATE TRIGGER search_items_added AFTER INSERT ON items
WHEN new.type IN ('user_message', 'assistant_message') AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = new.seq);
END;

CREATE TRIGGER search_items_changed AFTER UPDATE ON items
WHEN (new.type IN ('user_message', 'assistant_message') OR old.type IN ('user_message', 'assistant_message'))
    AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = new.seq);
END;

CREATE TRIGGER search_items_deleted AFTER DELETE ON items
WHEN old.type IN ('user_message', 'assistant_message') AND EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, old.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = old.seq);
END;

CREATE TRIGGER search_threads_added AFTER INSERT ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -new.seq);
END;

CREATE TRIGGER search_threads_changed AFTER UPDATE ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -new.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -new.seq);
END;

CREATE TRIGGER search_threads_deleted AFTER DELETE ON threads
WHEN EXISTS (SELECT 1 FROM search_state)
BEGIN
    INSERT INTO search_changes (late, place)
    SELECT 0, -old.seq WHERE NOT EXISTS (SELECT 1 FROM search_changes WHERE late = 0 AND place = -old.seq);
END;
