CREATE TABLE heads (
    product_line TEXT   NOT NULL,
    application  TEXT   NOT NULL,
    reference    TEXT   NOT NULL,
    commit_id    TEXT   NOT NULL,
    settled      BIGINT NOT NULL,
    PRIMARY KEY (product_line, application, reference)
);
