"""The remembered jobs as a list shows them, without what is kept of each."""

from sqlalchemy import func, select

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store.calls import Begin
from sybilion_mcp.store.entries import ListedJob
from sybilion_mcp.store.records import StoredJob
from sybilion_mcp.store.remembered import OF_JOB
from sybilion_mcp.store.tables import jobs, submissions


class JobList:
    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    async def newest(self, limit: int) -> list[ListedJob]:
        """Those that were seen last first. Raises what the store raises."""
        title = func.json_extract(submissions.c.request, "$.timeseries_metadata.title").label("title")
        query = select(jobs, title).select_from(jobs.outerjoin(submissions, OF_JOB))
        async with self._begin() as connection:
            rows = (await connection.execute(query.order_by(jobs.c.first_seen_at.desc()).limit(limit))).all()
            return [
                ListedJob(StoredJob(Job.model_validate(row.snapshot), row.backend), row.first_seen_at, row.title)
                for row in rows
            ]
