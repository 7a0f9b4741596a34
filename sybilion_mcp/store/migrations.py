"""From each version of desk.db to the next. What stands here stays as it is: it speaks of the tables of its time."""

import hashlib
import zlib
from typing import Any

from sqlalchemy import Connection

_PIECE_BYTES = 2**20


def _artifacts_in_pieces(connection: Connection) -> None:
    """Version 1: artifacts with their size and hash, their content compressed in pieces."""
    run = connection.exec_driver_sql
    run("ALTER TABLE artifacts RENAME TO artifacts_of_version_0")
    run(
        "CREATE TABLE artifacts (job_id VARCHAR NOT NULL, name VARCHAR NOT NULL, size INTEGER NOT NULL, "
        "sha256 VARCHAR NOT NULL, PRIMARY KEY (job_id, name))"
    )
    run(
        "CREATE TABLE pieces (job_id VARCHAR NOT NULL, name VARCHAR NOT NULL, position INTEGER NOT NULL, "
        "content BLOB NOT NULL, PRIMARY KEY (job_id, name, position))"
    )
    for row, job_id, name in run("SELECT rowid, job_id, name FROM artifacts_of_version_0").all():
        _split(connection, row, job_id, name)
    run("DROP TABLE artifacts_of_version_0")
    # Version 0 took a job for the answer of a lost submit on a guess; only what the job was asked proves it.
    run(
        "UPDATE submissions SET state = 'unknown', job_id = NULL WHERE state = 'adopted' AND job_id NOT IN "
        "(SELECT job_id FROM jobs WHERE json_extract(snapshot, '$.status') = 'completed')"
    )


def _split(connection: Connection, row: int, job_id: str, name: str) -> None:
    raw: Any = connection.connection.driver_connection
    digest = hashlib.sha256()
    with raw.blobopen("artifacts_of_version_0", "content", row, readonly=True) as content:
        size = len(content)
        for position in range(-(-size // _PIECE_BYTES)):
            piece = content.read(_PIECE_BYTES)
            digest.update(piece)
            values = (job_id, name, position, zlib.compress(piece))
            connection.exec_driver_sql("INSERT INTO pieces VALUES (?, ?, ?, ?)", values)
    values_of_artifact = (job_id, name, size, digest.hexdigest())
    connection.exec_driver_sql("INSERT INTO artifacts VALUES (?, ?, ?, ?)", values_of_artifact)


def _accounts(connection: Connection) -> None:
    """Version 2: whose the tokens are."""
    run = connection.exec_driver_sql
    run(
        "CREATE TABLE accounts (token VARCHAR NOT NULL, user VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        "service VARCHAR NOT NULL, PRIMARY KEY (token))"
    )
    run("CREATE UNIQUE INDEX one_name_per_account ON accounts (user) WHERE token = name")


def _misses(connection: Connection) -> None:
    """Version 3: when the job of a lost submit was first looked for in vain."""
    connection.exec_driver_sql("ALTER TABLE submissions ADD COLUMN missed_at VARCHAR")


def _panels(connection: Connection) -> None:
    """Version 4: many series under one id, and the id under which a submit was sent."""
    connection.exec_driver_sql("ALTER TABLE submissions ADD COLUMN request_id VARCHAR")
    connection.exec_driver_sql(
        "CREATE TABLE panels (series_id VARCHAR NOT NULL, frequency VARCHAR NOT NULL, series BLOB NOT NULL, "
        "details JSON NOT NULL, created_at VARCHAR NOT NULL, PRIMARY KEY (series_id))"
    )


MIGRATIONS = (_artifacts_in_pieces, _accounts, _misses, _panels)
