CREATE INDEX builds_by_product_line ON builds (product_line, created_ms, id);
CREATE INDEX builds_by_line_and_state ON builds (product_line, state, created_ms, id);
CREATE INDEX builds_by_commit ON builds (commit_id, created_ms, id);
CREATE INDEX builds_by_revision ON builds (revision, created_ms, id);
ALTER TABLE builds ADD COLUMN steps TEXT NOT NULL DEFAULT '';
