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

panels = Table(
    "panels",
    metadata,
    Column("series_id", String, primary_key=True),
    Column("frequency", String, nullable=False),  # as pandas writes it
    Column("series", LargeBinary, nullable=False),  # JSON, compressed: item → timestamp → number
    Column("details", JSON, nullable=False),  # title, description as last given
    Column("created_at", String, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission_id", String, primary_key=True),
    Column("request_hash", String, nullable=False),
    Column("current", Boolean, nullable=False),  # the one that answers this question now
    Column("state", String, nullable=False),  # sending, accepted, unknown, rejected, fallen, forgotten
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
    Column("missed_at", String),  # when its job was looked for first and nothing was found
    Column("request_id", String),  # under which it was sent, where the service makes one job of one id
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
    Column("snapshot", JSON, nullable=False),  # the job as last described, when it was (`seen_at`), `gone_at`
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

calls = Table(
    "calls",
    metadata,
    Column("request_id", String, primary_key=True),  # X-Request-ID: under it the call is charged once
    Column("request_hash", String, nullable=False),
    Column("current", Boolean, nullable=False),  # the one that answers this question now
    Column("state", String, nullable=False),  # open, refused, answered
    Column("operation", String, nullable=False),  # drivers, alerts
    Column("backend", String, nullable=False),
    Column("account", String, nullable=False),  # whose question it is, as a hash
    Column("expected_eur_cents", Integer, nullable=False),
    Column("created_at", String, nullable=False),  # when it was agreed to
    Column("answer", JSON),
    Column("answered_at", String),
    Column("units", Integer),  # what came, each of which is billed
    Column("eur_cents", Integer),  # what it cost: as the service's usage says, or what that many usually cost
    Column("usage_id", String),  # the charge among the service's usage events; none while the cost is only expected
)

Index(
    "one_current_call_per_question",
    calls.c.request_hash,
    unique=True,
    sqlite_where=text("current"),
    postgresql_where=text("current"),
)
Index(
    "one_call_per_charge",
    calls.c.account,
    calls.c.usage_id,
    unique=True,
    sqlite_where=text("usage_id IS NOT NULL"),
    postgresql_where=text("usage_id IS NOT NULL"),
)

catalogues = Table(
    "catalogues",
    metadata,
    Column("source", String, primary_key=True),  # the service's address
    Column("kind", String, primary_key=True),  # region, category
    Column("names", JSON, nullable=False),  # [id, name], …
    Column("fetched_at", String, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("token", String, primary_key=True),  # its hash, with the service's address
    Column("user", String, nullable=False),  # whose it is, hashed in the same way
    Column("name", String, nullable=False),  # of the account: the first of its tokens that was seen
    Column("service", String, nullable=False),  # the address, hashed
)

Index(
    "one_name_per_account",
    accounts.c.user,
    unique=True,
    sqlite_where=text("token = name"),
    postgresql_where=text("token = name"),
)
