"""The tables of the store, version by version.

Each migration is SQL; ``{BYTES}`` and the like become the words of the database. A migration that was released is never
changed: what comes later is a further one.

Version 1, the ledger of openings:

- ``openings`` has a line for each look, chained by hashes within its vault;
- ``best`` has the predictions of each model that became the best one shown, to compare the next one with;
- ``vaults`` has the head of each chain, so that a missing last line is noticed, and is the row on which openings of one
  vault wait for each other.

Lines of the first two are never changed or deleted; triggers refuse it.

Version 2, the index of runs:

- ``runs`` has what a list knows of each run of a home (``home`` is empty where the store lies in the home), and ``stamp``,
  the state of its folder when that was read; it can be made again from the folders;
- ``pins`` has who needs a run to stay, and why; a run that is pinned is not deleted.

Version 3, the registry of models:

- ``versions`` has a line for each version, never deleted, and only its tags change; ``aliases`` has what points to which;
- ``decisions`` has a line for each change, chained by hashes, never changed or deleted; ``decision_chains`` has the head of
  the chain and is the row on which deciders wait for each other.

Version 4, what serving writes:

- ``predictions`` has a line for each answer that was logged, with all its rows;
- ``labels`` has what was told of a prediction later, with every correction: the highest revision holds;
- ``tokens`` has the hashes of the tokens of the server.

Version 5, what watches and who is told:

- ``schedulers`` has a line for each process that watches policies, with its last sign of life;
- ``alert_events`` has what happened, by rule, to count it; ``alerts`` has each message to each channel until it is delivered
  or given up, and afterwards.

Version 6, what monitoring found:

- ``windows`` has a line for each window that was checked; it is written anew when labels come for its rows.

Version 7, retrainings under way:

- ``retrainings`` has a line for each one that was asked for, and at most one for a model that has not ended;
- ``retraining_steps`` has what each step of it made, so that none is done again;
- ``policies`` has when the schedule of a model began;
- ``processes`` has who works, serves and schedules, and when each was seen last.

Version 8, releases:

- ``releases`` has a line for each challenger on its way to become champion, and at most one for a model that has not ended;
- ``served`` counts answered and failed requests of each version by minute, as the writers of the prediction log add them up.

Version 9 names the home in ``predictions``, ``labels``, ``windows`` and ``served``.

Version 10 changes no table: features in ``predictions`` are MessagePack from here on, which programs before it cannot read.
"""

from __future__ import annotations

import re
from typing import Literal

from modelwright.store import production_tables as tables

_LEDGER = """
CREATE TABLE vaults (
    vault VARCHAR(64) PRIMARY KEY,
    data VARCHAR(200) NOT NULL,
    target TEXT NOT NULL,
    part VARCHAR(10) NOT NULL,
    n_rows BIGINT NOT NULL,
    opens_after VARCHAR(64) NOT NULL,
    openings INTEGER NOT NULL,
    head VARCHAR(64) NOT NULL
);
CREATE INDEX vaults_of_data ON vaults (data, target);
CREATE TABLE openings (
    vault VARCHAR(64) NOT NULL,
    count INTEGER NOT NULL,
    data VARCHAR(200) NOT NULL,
    part VARCHAR(10) NOT NULL,
    run TEXT NOT NULL,
    purpose TEXT NOT NULL,
    at TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    metric VARCHAR(40) NOT NULL,
    score {REAL},
    low {REAL},
    high {REAL},
    level_corrected {REAL} NOT NULL,
    corrected_low {REAL},
    corrected_high {REAL},
    shown {REAL},
    better_than_shown INTEGER,
    beats_baseline INTEGER,
    best_run TEXT NOT NULL,
    best_count INTEGER NOT NULL,
    predictions VARCHAR(64) NOT NULL,
    previous VARCHAR(64) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (vault, count)
);
CREATE TABLE best (
    vault VARCHAR(64) NOT NULL,
    count INTEGER NOT NULL,
    kind TEXT NOT NULL,
    metric VARCHAR(40) NOT NULL,
    run TEXT NOT NULL,
    score {REAL},
    low {REAL},
    high {REAL},
    level_corrected {REAL} NOT NULL,
    corrected_low {REAL},
    corrected_high {REAL},
    threshold {REAL},
    shape VARCHAR(40) NOT NULL,
    predictions {BYTES} NOT NULL,
    PRIMARY KEY (vault, count)
);
"""

_NEVER_CHANGED: dict[str, str] = {
    "sqlite": """
CREATE TRIGGER openings_not_changed BEFORE UPDATE ON openings BEGIN SELECT RAISE(ABORT, 'lines are never changed'); END;
CREATE TRIGGER openings_not_deleted BEFORE DELETE ON openings BEGIN SELECT RAISE(ABORT, 'lines are never deleted'); END;
CREATE TRIGGER best_not_changed BEFORE UPDATE ON best BEGIN SELECT RAISE(ABORT, 'lines are never changed'); END;
CREATE TRIGGER best_not_deleted BEFORE DELETE ON best BEGIN SELECT RAISE(ABORT, 'lines are never deleted'); END;
""",
    "postgresql": """
CREATE FUNCTION lines_stay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''lines are never changed or deleted''; END';
CREATE TRIGGER openings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON openings EXECUTE FUNCTION lines_stay();
CREATE TRIGGER best_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON best EXECUTE FUNCTION lines_stay();
""",
}

_RUNS = """
CREATE TABLE runs (
    home VARCHAR(500) NOT NULL,
    run VARCHAR(300) NOT NULL,
    name TEXT NOT NULL,
    kind VARCHAR(20) NOT NULL,
    state VARCHAR(20) NOT NULL,
    created VARCHAR(40) NOT NULL,
    stamp VARCHAR(40) NOT NULL,
    entry {BYTES} NOT NULL,
    PRIMARY KEY (home, run)
);
CREATE INDEX runs_by_created ON runs (home, created);
CREATE INDEX runs_by_name ON runs (home, name);
CREATE TABLE pins (
    home VARCHAR(500) NOT NULL,
    run VARCHAR(300) NOT NULL,
    holder VARCHAR(300) NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (home, run, holder)
);
"""

_REGISTRY = """
CREATE TABLE versions (
    home VARCHAR(500) NOT NULL,
    name VARCHAR(100) NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR(64) NOT NULL,
    run VARCHAR(300) NOT NULL,
    data VARCHAR(200) NOT NULL,
    created VARCHAR(40) NOT NULL,
    by_whom TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (home, name, number)
);
CREATE TABLE aliases (
    home VARCHAR(500) NOT NULL,
    name VARCHAR(100) NOT NULL,
    alias VARCHAR(100) NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (home, name, alias)
);
CREATE TABLE decisions (
    home VARCHAR(500) NOT NULL,
    count INTEGER NOT NULL,
    at VARCHAR(40) NOT NULL,
    by_whom TEXT NOT NULL,
    kind VARCHAR(20) NOT NULL,
    name VARCHAR(100) NOT NULL,
    number INTEGER NOT NULL,
    alias VARCHAR(100) NOT NULL,
    was INTEGER NOT NULL,
    why TEXT NOT NULL,
    evidence TEXT NOT NULL,
    key VARCHAR(300) NOT NULL,
    previous VARCHAR(64) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (home, count)
);
CREATE INDEX decisions_by_name ON decisions (home, name, count);
CREATE TABLE decision_chains (
    home VARCHAR(500) PRIMARY KEY,
    count INTEGER NOT NULL,
    head VARCHAR(64) NOT NULL
);
"""

_DECISIONS_STAY: dict[str, str] = {
    "sqlite": """
CREATE TRIGGER decisions_not_changed BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'lines are never changed'); END;
CREATE TRIGGER decisions_not_deleted BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'lines are never deleted'); END;
CREATE TRIGGER versions_not_deleted BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'lines are never deleted'); END;
""",
    "postgresql": """
CREATE TRIGGER decisions_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions EXECUTE FUNCTION lines_stay();
CREATE TRIGGER versions_stay BEFORE DELETE OR TRUNCATE ON versions EXECUTE FUNCTION lines_stay();
""",
}

Dialect = Literal["sqlite", "postgresql"]
#: SQL of a migration, or one for each database.
MIGRATIONS: list[list[str | dict[str, str]]] = [
    [_LEDGER, _NEVER_CHANGED],
    [_RUNS],
    [_REGISTRY, _DECISIONS_STAY],
    [tables.SERVING],
    [tables.WATCHING],
    [tables.MONITORING],
    [tables.RETRAINING],
    [tables.RELEASES],
    tables.ANSWERS_OF_HOMES,
    [],
]

_WORDS = {
    "sqlite": {"REAL": "REAL", "BYTES": "BLOB"},
    "postgresql": {"REAL": "DOUBLE PRECISION", "BYTES": "BYTEA"},
}


def statements(migration: list[str | dict[str, str]], dialect: str) -> list[str]:
    """The single statements of a migration.

    Parameters
    ----------
    migration : list of str or dict
    dialect : {"sqlite", "postgresql"}
    """
    found = []
    for text in migration:
        sql = text if isinstance(text, str) else text[dialect]
        # A statement ends with a semicolon at the end of a line; within trigger bodies none stands there.
        for statement in re.split(r";\s*\n", sql):
            if statement.strip():
                found.append(re.sub(r"\{(\w+)\}", lambda match: _WORDS[dialect][match[1]], statement.strip()))
    return found
