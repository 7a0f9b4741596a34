"""The tables of engine.db: jobs with their artifacts, and what accounts have, hold and paid."""

import sqlalchemy as sa

METADATA = sa.MetaData()

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("settled_at", sa.Text),
    sa.Column("eur_cents_final", sa.Integer),
    sa.Column("pipeline_error", sa.Text),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),  # seconds since the epoch; 0 = free to take
    sa.Column("attempts", sa.Integer, nullable=False),  # always 0; files of the former version demand a value
)
ARTIFACTS = sa.Table(
    "artifacts",
    METADATA,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
sa.Index("jobs_by_account", JOBS.c.account, JOBS.c.created_at)
sa.Index("jobs_by_status", JOBS.c.status, JOBS.c.lease_until)

# Money in EUR cents, times as text in RFC 3339. Without terms nothing is written here: the engine is free.
CREDITS = sa.Table(
    "credits",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("eur_cents", sa.Integer, nullable=False),
    sa.Column("granted_at", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text, nullable=False),
)
HOLDS = sa.Table(  # of unfinished jobs
    "holds",
    METADATA,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("eur_cents", sa.Integer, nullable=False),
)
CHARGES = sa.Table(
    "charges",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("units", sa.Integer, nullable=False),
    sa.Column("eur_cents", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text, unique=True),
)
ANSWERS = sa.Table(  # to billed calls that named themselves in X-Request-ID
    "answers",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("endpoint", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("asked", sa.Text, nullable=False),  # a hash of the body
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
)
sa.Index("holds_by_account", HOLDS.c.account)
sa.Index("charges_by_account", CHARGES.c.account)
sa.Index("answers_by_age", ANSWERS.c.created_at)
