-- Records of attachments that no message comes for are deleted in time.

ALTER TABLE chatkit.attachments ADD COLUMN created_at TIMESTAMPTZ NOT NULL DEFAULT now();

CREATE INDEX attachments_unclaimed ON chatkit.attachments (created_at) WHERE thread_id IS NULL;
