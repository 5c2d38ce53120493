CREATE TABLE builds (
    id            TEXT   NOT NULL PRIMARY KEY,
    created_ms    BIGINT NOT NULL,
    product_line  TEXT   NOT NULL,
    application   TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    lane          TEXT   NOT NULL,
    message       TEXT   NOT NULL,
    body_hash     TEXT   NOT NULL,
    revision      TEXT   NOT NULL,
    commit_id     TEXT   NOT NULL,
    cause         TEXT   NOT NULL,
    who           TEXT   NOT NULL,
    title         TEXT   NOT NULL,
    gitlab        TEXT   NOT NULL,
    attempt       BIGINT NOT NULL,
    deaths        BIGINT NOT NULL,
    not_before_ms BIGINT NOT NULL,
    sent          BIGINT NOT NULL,
    step          TEXT   NOT NULL,
    worker        TEXT   NOT NULL,
    started_ms    BIGINT NOT NULL,
    finished_ms   BIGINT NOT NULL,
    size          BIGINT NOT NULL,
    failure       TEXT   NOT NULL,
    cancel        TEXT
);
CREATE INDEX builds_by_time ON builds (created_ms, id);
CREATE INDEX builds_by_application ON builds (product_line, application, created_ms, id);
CREATE INDEX builds_by_state ON builds (state, created_ms, id);

CREATE TABLE reports (
    build TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
);

CREATE TABLE applications (
    product_line TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    repository   TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    changed_ms   BIGINT NOT NULL,
    who          TEXT   NOT NULL,
    PRIMARY KEY (product_line, name)
);
CREATE INDEX applications_by_repository ON applications (repository);

CREATE TABLE application_versions (
    product_line TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    changed_ms   BIGINT NOT NULL,
    who          TEXT   NOT NULL,
    PRIMARY KEY (product_line, name, version)
);

CREATE TABLE tokens (
    id           TEXT   NOT NULL PRIMARY KEY,
    hash         TEXT   NOT NULL UNIQUE,
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    product_line TEXT   NOT NULL,
    created_ms   BIGINT NOT NULL,
    expires_ms   BIGINT NOT NULL
);

CREATE TABLE sessions (
    hash       TEXT   NOT NULL PRIMARY KEY,
    token      TEXT   NOT NULL,
    csrf       TEXT   NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE TABLE deliveries (
    id     TEXT   NOT NULL PRIMARY KEY,
    at_ms  BIGINT NOT NULL,
    body_hash TEXT NOT NULL,
    status BIGINT NOT NULL,
    answer TEXT   NOT NULL
);
CREATE INDEX deliveries_by_time ON deliveries (at_ms);

CREATE TABLE statuses (
    build   TEXT   NOT NULL PRIMARY KEY,
    wanted  BIGINT NOT NULL,
    told    BIGINT NOT NULL,
    body    TEXT   NOT NULL,
    tries   BIGINT NOT NULL,
    next_ms BIGINT NOT NULL
);

CREATE TABLE notes (
    place   TEXT   NOT NULL PRIMARY KEY,
    note    BIGINT NOT NULL,
    wanted  BIGINT NOT NULL,
    told    BIGINT NOT NULL,
    body    TEXT   NOT NULL,
    tries   BIGINT NOT NULL,
    next_ms BIGINT NOT NULL
);

CREATE TABLE audit (
    id     TEXT   NOT NULL PRIMARY KEY,
    at_ms  BIGINT NOT NULL,
    who    TEXT   NOT NULL,
    action TEXT   NOT NULL,
    object TEXT   NOT NULL,
    detail TEXT   NOT NULL
);
CREATE INDEX audit_by_time ON audit (at_ms);
