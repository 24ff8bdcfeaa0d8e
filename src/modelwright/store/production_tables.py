"""Tables of models in production, as SQL: answers, labels, windows, alerts, retrainings, releases; see `migrations`."""

from __future__ import annotations

SERVING = """
CREATE TABLE predictions (
    id VARCHAR(100) PRIMARY KEY,
    n_rows INTEGER NOT NULL,
    model VARCHAR(100) NOT NULL,
    version VARCHAR(100) NOT NULL,
    part VARCHAR(10) NOT NULL,
    at VARCHAR(40) NOT NULL,
    entities TEXT,
    features {BYTES} NOT NULL,
    predictions TEXT NOT NULL,
    proba TEXT,
    latency_ms {REAL} NOT NULL,
    trace VARCHAR(32)
);
CREATE INDEX predictions_by_time ON predictions (model, at);
CREATE TABLE labels (
    prediction VARCHAR(100) NOT NULL,
    revision INTEGER NOT NULL,
    model VARCHAR(100) NOT NULL,
    value TEXT NOT NULL,
    at VARCHAR(40),
    received VARCHAR(40) NOT NULL,
    by_whom VARCHAR(100) NOT NULL,
    PRIMARY KEY (prediction, revision)
);
CREATE INDEX labels_by_time ON labels (model, received);
CREATE TABLE tokens (
    id VARCHAR(20) PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    scopes VARCHAR(100) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    created VARCHAR(40) NOT NULL,
    revoked VARCHAR(40)
);
"""

WATCHING = """
CREATE TABLE schedulers (
    home VARCHAR(500) NOT NULL,
    host VARCHAR(200) NOT NULL,
    pid BIGINT NOT NULL,
    beat_at VARCHAR(40) NOT NULL,
    every_s {REAL} NOT NULL,
    models TEXT NOT NULL,
    PRIMARY KEY (home, host, pid)
);
CREATE TABLE alert_events (
    home VARCHAR(500) NOT NULL,
    rule VARCHAR(100) NOT NULL,
    kind VARCHAR(40) NOT NULL,
    model VARCHAR(100) NOT NULL,
    event VARCHAR(500) NOT NULL,
    at VARCHAR(40) NOT NULL,
    told INTEGER NOT NULL,
    PRIMARY KEY (home, rule, kind, model, event)
);
CREATE TABLE alerts (
    id VARCHAR(40) PRIMARY KEY,
    home VARCHAR(500) NOT NULL,
    rule VARCHAR(100) NOT NULL,
    channel VARCHAR(20) NOT NULL,
    kind VARCHAR(40) NOT NULL,
    model VARCHAR(100) NOT NULL,
    at VARCHAR(40) NOT NULL,
    n_events INTEGER NOT NULL,
    event TEXT NOT NULL,
    state VARCHAR(20) NOT NULL,
    attempts INTEGER NOT NULL,
    next_at VARCHAR(40) NOT NULL,
    delivered_at VARCHAR(40),
    last_error TEXT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (home, at);
CREATE INDEX alerts_waiting ON alerts (home, state, next_at);
"""

MONITORING = """
CREATE TABLE windows (
    model VARCHAR(100) NOT NULL,
    version VARCHAR(100) NOT NULL,
    part VARCHAR(10) NOT NULL,
    span VARCHAR(20) NOT NULL,
    starts VARCHAR(40) NOT NULL,
    ends VARCHAR(40) NOT NULL,
    n_rows BIGINT NOT NULL,
    n_labels BIGINT NOT NULL,
    state VARCHAR(20) NOT NULL,
    checked_at VARCHAR(40) NOT NULL,
    findings {BYTES} NOT NULL,
    PRIMARY KEY (model, version, part, span, starts)
);
CREATE INDEX windows_by_time ON windows (model, ends);
"""

RETRAINING = """
CREATE TABLE retrainings (
    id VARCHAR(120) PRIMARY KEY,
    home VARCHAR(500) NOT NULL,
    model VARCHAR(100) NOT NULL,
    kind VARCHAR(10) NOT NULL,
    cause VARCHAR(30) NOT NULL,
    reason TEXT NOT NULL,
    asked TEXT NOT NULL,
    key VARCHAR(300),
    at VARCHAR(40) NOT NULL,
    by_whom TEXT NOT NULL,
    state VARCHAR(20) NOT NULL,
    step VARCHAR(30) NOT NULL,
    since VARCHAR(40) NOT NULL,
    worker VARCHAR(200) NOT NULL,
    version INTEGER NOT NULL,
    approval VARCHAR(10) NOT NULL,
    approved_by TEXT NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    told TEXT NOT NULL,
    ended VARCHAR(40)
);
CREATE UNIQUE INDEX one_retraining_of_a_model ON retrainings (home, model) WHERE ended IS NULL;
CREATE UNIQUE INDEX retrainings_by_key ON retrainings (home, model, key) WHERE key IS NOT NULL;
CREATE INDEX retrainings_by_time ON retrainings (home, model, at);
CREATE TABLE retraining_steps (
    retraining VARCHAR(120) NOT NULL,
    step VARCHAR(30) NOT NULL,
    began VARCHAR(40) NOT NULL,
    attempts INTEGER NOT NULL,
    ended VARCHAR(40),
    made TEXT,
    PRIMARY KEY (retraining, step)
);
CREATE TABLE policies (
    home VARCHAR(500) NOT NULL,
    model VARCHAR(100) NOT NULL,
    schedule VARCHAR(200) NOT NULL,
    began VARCHAR(40) NOT NULL,
    PRIMARY KEY (home, model)
);
CREATE TABLE processes (
    id VARCHAR(200) PRIMARY KEY,
    home VARCHAR(500) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    host VARCHAR(200) NOT NULL,
    pid INTEGER NOT NULL,
    started VARCHAR(40) NOT NULL,
    seen VARCHAR(40) NOT NULL,
    told TEXT NOT NULL
);
"""

RELEASES = """
CREATE TABLE releases (
    home VARCHAR(500) NOT NULL,
    id VARCHAR(300) NOT NULL,
    name VARCHAR(100) NOT NULL,
    was INTEGER NOT NULL,
    number INTEGER NOT NULL,
    stage VARCHAR(20) NOT NULL,
    begun VARCHAR(40) NOT NULL,
    since VARCHAR(40) NOT NULL,
    share {REAL} NOT NULL,
    rules TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    why TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (home, id)
);
CREATE UNIQUE INDEX releases_in_flight ON releases (home, name) WHERE stage IN ('shadow', 'canary', 'watch');
CREATE TABLE served (
    model VARCHAR(100) NOT NULL,
    version VARCHAR(100) NOT NULL,
    part VARCHAR(10) NOT NULL,
    minute VARCHAR(20) NOT NULL,
    answered BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (model, version, part, minute)
);
"""

#: Homes that share a database may have models of the same name. In a home's own SQLite its name is empty.
ANSWERS_OF_HOMES: list[str | dict[str, str]] = [
    """
ALTER TABLE predictions ADD COLUMN home VARCHAR(500) NOT NULL DEFAULT '';
ALTER TABLE labels ADD COLUMN home VARCHAR(500) NOT NULL DEFAULT '';
DROP INDEX predictions_by_time;
DROP INDEX labels_by_time;
CREATE INDEX predictions_by_time ON predictions (home, model, at);
CREATE INDEX labels_by_time ON labels (home, model, received);
CREATE TABLE windows_of_homes (
    home VARCHAR(500) NOT NULL DEFAULT '',
    model VARCHAR(100) NOT NULL,
    version VARCHAR(100) NOT NULL,
    part VARCHAR(10) NOT NULL,
    span VARCHAR(20) NOT NULL,
    starts VARCHAR(40) NOT NULL,
    ends VARCHAR(40) NOT NULL,
    n_rows BIGINT NOT NULL,
    n_labels BIGINT NOT NULL,
    state VARCHAR(20) NOT NULL,
    checked_at VARCHAR(40) NOT NULL,
    findings {BYTES} NOT NULL,
    PRIMARY KEY (home, model, version, part, span, starts)
);
INSERT INTO windows_of_homes (model, version, part, span, starts, ends, n_rows, n_labels, state, checked_at, findings)
    SELECT model, version, part, span, starts, ends, n_rows, n_labels, state, checked_at, findings FROM windows;
DROP TABLE windows;
ALTER TABLE windows_of_homes RENAME TO windows;
CREATE INDEX windows_by_time ON windows (home, model, ends);
CREATE TABLE served_of_homes (
    home VARCHAR(500) NOT NULL DEFAULT '',
    model VARCHAR(100) NOT NULL,
    version VARCHAR(100) NOT NULL,
    part VARCHAR(10) NOT NULL,
    minute VARCHAR(20) NOT NULL,
    answered BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (home, model, version, part, minute)
);
INSERT INTO served_of_homes (model, version, part, minute, answered, failed)
    SELECT model, version, part, minute, answered, failed FROM served;
DROP TABLE served;
ALTER TABLE served_of_homes RENAME TO served;
""",
]
