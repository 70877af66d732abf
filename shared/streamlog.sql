-- The table of the records, and how a row gets into it; streamlog.py runs each part by its name.

-- part: schema
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;

CREATE TABLE IF NOT EXISTS answers (
    at             TEXT    NOT NULL, -- of the start: RFC 3339, UTC
    request_id     TEXT    NOT NULL, -- not unique: a client may choose it, and choose it twice
    stack          TEXT    NOT NULL,
    user           TEXT    NOT NULL,
    model          TEXT    NOT NULL,
    kind           TEXT    NOT NULL, -- batch, stream
    outcome        TEXT    NOT NULL,
    code           TEXT,             -- of the error
    tokens         INTEGER NOT NULL,
    first_token_ms REAL,
    duration_ms    REAL    NOT NULL,
    bytes          INTEGER NOT NULL
);

-- part: insert
INSERT INTO answers (
    at, request_id, stack, user, model, kind, outcome, code, tokens, first_token_ms, duration_ms, bytes
) VALUES (
    :at, :request_id, :stack, :user, :model, :kind, :outcome, :code, :tokens, :first_token_ms, :duration_ms, :bytes
);
