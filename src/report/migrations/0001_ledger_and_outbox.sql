CREATE TABLE finished (
    id          TEXT    NOT NULL PRIMARY KEY,
    body_hash   TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    finished_ms INTEGER NOT NULL,
    report      TEXT    NOT NULL
) STRICT;

CREATE INDEX finished_by_time ON finished (finished_ms);

CREATE TABLE outbox (
    sequence       INTEGER PRIMARY KEY AUTOINCREMENT,
    build          TEXT    NOT NULL,
    exchange       TEXT    NOT NULL,
    routing_key    TEXT    NOT NULL,
    correlation_id TEXT,
    leased_ms      INTEGER NOT NULL DEFAULT 0,
    size           INTEGER NOT NULL,
    body           BLOB    NOT NULL,
    UNIQUE (build, exchange, routing_key)
) STRICT;
