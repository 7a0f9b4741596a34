"""Files of former versions of desk.db, as their programs made them."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

_VERSION_0 = """
CREATE TABLE artifacts (job_id VARCHAR NOT NULL, name VARCHAR NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (job_id, name));
CREATE TABLE jobs (job_id VARCHAR NOT NULL, backend VARCHAR NOT NULL, snapshot JSON NOT NULL,
  first_seen_at VARCHAR NOT NULL, PRIMARY KEY (job_id));
CREATE TABLE series (series_id VARCHAR NOT NULL, points JSON NOT NULL, details JSON NOT NULL,
  created_at VARCHAR NOT NULL, PRIMARY KEY (series_id));
CREATE TABLE submissions (submission_id VARCHAR NOT NULL, request_hash VARCHAR NOT NULL, current BOOLEAN NOT NULL,
  state VARCHAR NOT NULL, backend VARCHAR NOT NULL, account VARCHAR NOT NULL, series_id VARCHAR NOT NULL,
  request JSON NOT NULL, aux_series_ids JSON NOT NULL, driver_names JSON NOT NULL, job_id VARCHAR, replaces VARCHAR,
  expected_eur_cents INTEGER NOT NULL, created_at VARCHAR NOT NULL, PRIMARY KEY (submission_id));
CREATE UNIQUE INDEX one_submission_per_job ON submissions (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX submissions_of_series ON submissions (series_id);
CREATE UNIQUE INDEX one_current_submission_per_question ON submissions (request_hash) WHERE current;
"""
_JOB = {
    "job_id": "j1",
    "status": "completed",
    "settled": True,
    "eur_cents_final": 61,
    "artifacts": [{"name": "a.json"}],
}
_AT = "2026-08-01T12:00:00.000+00:00"


def version_0(path: Path, artifacts: Mapping[str, bytes]) -> None:
    """One series, one submission, its completed job `j1`, and the artifacts of that."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA journal_mode=WAL")
        file.executescript(_VERSION_0)
        file.execute("INSERT INTO series VALUES ('s_1', ?, '{}', ?)", (json.dumps({"2026-01-01": 1.5}), _AT))
        file.execute("INSERT INTO jobs VALUES ('j1', 'sybilion', ?, ?)", (json.dumps(_JOB), _AT))
        submission = ("u1", "hash", True, "accepted", "sybilion", "us", "s_1", '{"soft_horizon": 3}', "[]", "{}")
        file.execute(
            "INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'j1', NULL, 392, ?)", (*submission, _AT)
        )
        file.executemany("INSERT INTO artifacts VALUES ('j1', ?, ?)", artifacts.items())


def guess(path: Path) -> None:
    """Version 0 took `j1` for the answer of a submit that was lost, without a look at what it was asked."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE submissions SET state = 'adopted' WHERE submission_id = 'u1'")
