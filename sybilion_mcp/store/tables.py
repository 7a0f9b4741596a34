"""The tables of the store. JSON columns hold what is only ever read whole."""

from sqlalchemy import JSON, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, text

metadata = MetaData()

series = Table(
    "series",
    metadata,
    Column("series_id", String, primary_key=True),
    Column("points", JSON, nullable=False),
    Column("details", JSON, nullable=False),  # title, description, keywords, strictly_positive as last given
    Column("created_at", String, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission_id", String, primary_key=True),
    Column("request_hash", String, nullable=False),
    Column("current", Boolean, nullable=False),  # the one that answers this question now
    Column("state", String, nullable=False),  # sending, accepted, unknown, rejected, forgotten
    Column("backend", String, nullable=False),
    Column("account", String, nullable=False),  # whose question it is, as a hash
    Column("series_id", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("aux_series_ids", JSON, nullable=False),
    Column("driver_names", JSON, nullable=False),  # aux_0 → the title under which the caller knows it
    Column("job_id", String),
    Column("replaces", String),  # the submission that answers again if this one makes no job
    Column("expected_eur_cents", Integer, nullable=False),
    Column("created_at", String, nullable=False),
)

Index(
    "one_current_submission_per_question",
    submissions.c.request_hash,
    unique=True,
    sqlite_where=text("current"),
    postgresql_where=text("current"),
)
Index(
    "one_submission_per_job",
    submissions.c.job_id,
    unique=True,
    sqlite_where=text("job_id IS NOT NULL"),
    postgresql_where=text("job_id IS NOT NULL"),
)
Index("submissions_of_series", submissions.c.series_id)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("backend", String, nullable=False),
    Column("snapshot", JSON, nullable=False),  # the job as the backend last described it
    Column("first_seen_at", String, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("size", Integer, nullable=False),  # bytes, as it was sent
    Column("sha256", String, nullable=False),  # of these bytes, in hexadecimal
)

pieces = Table(
    "pieces",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),  # of an artifact: so many bytes of it, compressed by themselves
)
