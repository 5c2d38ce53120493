CREATE INDEX statuses_untold ON statuses (next_ms) WHERE told < wanted;
CREATE INDEX notes_untold ON notes (next_ms) WHERE told < wanted;
