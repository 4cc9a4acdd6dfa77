-- The statements about search_index, which exists only where SQLite has FTS5. Each word in it begins with a tag of its
-- owner, and each search compares the owner too. Its rowid is a place of search_changes.

-- name: create
CREATE VIRTUAL TABLE IF NOT EXISTS search_index USING fts5 (words, content = '', tokenize = 'ascii', columnsize = 0);

-- name: delete_securely
INSERT INTO search_index (search_index, rank) VALUES ('secure-delete', 1);

-- name: deletes_securely
SELECT 1 FROM search_index_config WHERE k = 'secure-delete' AND v = 1;

-- name: format
SELECT v FROM search_index_config WHERE k = 'version';

-- name: add
INSERT INTO search_index (rowid, words) VALUES (:place, :words);

-- name: delete
INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', :place, :words);

-- name: merge
INSERT INTO search_index (search_index, rank) VALUES ('merge', :pages);

-- name: find_items
-- A CROSS JOIN is carried out as it is written: from the index, the newest first, until there are enough.
SELECT threads.seq, threads.id, items.seq, search_texts.words
FROM search_index CROSS JOIN items ON items.seq = search_index.rowid CROSS JOIN threads ON threads.seq = items.thread
    CROSS JOIN search_texts ON search_texts.place = search_index.rowid
WHERE search_index MATCH :match AND search_index.rowid > 0 AND threads.owner = :owner
ORDER BY search_index.rowid DESC LIMIT :count;

-- name: find_titles
SELECT threads.seq, threads.id, 0, search_texts.words
FROM search_index CROSS JOIN threads ON threads.seq = -search_index.rowid
    CROSS JOIN search_texts ON search_texts.place = search_index.rowid
WHERE search_index MATCH :match AND search_index.rowid < 0 AND threads.owner = :owner
ORDER BY search_index.rowid LIMIT :count;
