CREATE TABLE registry_events (
    id           TEXT   NOT NULL PRIMARY KEY,
    at_ms        BIGINT NOT NULL,
    product_line TEXT   NOT NULL,
    application  TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    image        TEXT   NOT NULL,
    words        TEXT   NOT NULL
);
CREATE INDEX registry_events_by_application ON registry_events (product_line, application, at_ms);
CREATE INDEX registry_events_by_time ON registry_events (at_ms);
