-- Records of attachments that no message comes for are deleted in time.

ALTER TABLE attachments ADD COLUMN created_at INTEGER; -- seconds since 1970; NULL: saved by an earlier version

UPDATE attachments SET created_at = CAST(strftime('%s', 'now') AS INTEGER) WHERE thread_id IS NULL;

CREATE INDEX attachments_unclaimed ON attachments (created_at) WHERE thread_id IS NULL;
