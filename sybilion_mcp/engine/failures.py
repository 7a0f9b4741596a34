"""Why a job failed, as its `pipeline_error` says it: one sentence on what happened and what to do, ≤ 300 characters."""

from collections.abc import Mapping


class JobFailure(Exception):
    """A job ends `failed`. `ends_worker`: what ran it is dead, or still busy with it."""

    def __init__(self, code: str, detail: str, *, ends_worker: bool = False) -> None:
        super().__init__(code)
        self.error: Mapping[str, str] = {"code": code, "detail": detail}
        self.ends_worker = ends_worker


def worker_lost() -> JobFailure:
    detail = "The process that computed this job was lost, perhaps for want of memory; submit the same request again."
    return JobFailure("worker_lost", detail, ends_worker=True)


def no_worker(failure: Exception) -> JobFailure:
    detail = f"No process took the job ({_said(failure)}); restart the engine, then submit the same request again."
    return JobFailure("no_worker", detail, ends_worker=True)


def engine_stopped() -> JobFailure:
    detail = "The engine that ran this job ended, or could not store the outcome; submit the same request again."
    return JobFailure("engine_stopped", detail)


def over_budget(seconds: float) -> JobFailure:
    detail = (
        f"The job ran for longer than the {seconds:g} s that one may take and was stopped; submit a smaller request, "
        "with fewer drivers or a shorter horizon."
    )
    return JobFailure("time_budget_exceeded", detail, ends_worker=True)


def drivers_unreadable(failure: Exception) -> JobFailure:
    detail = f"The driver folder could not be read ({_said(failure)}); repair it, then submit the same request again."
    return JobFailure("drivers_unreadable", detail)


def pipeline_failed(failure: BaseException) -> JobFailure:
    detail = (
        f"The forecast could not be computed ({_said(failure)}); the same request will most likely fail the same way: "
        "change the series or the options."
    )
    return JobFailure("pipeline_failed", detail)


def _said(failure: BaseException) -> str:
    told = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)  # without paths
    first = told.partition("\n")[0]  # a database's failures go on with the statement and links
    return f"{type(failure).__name__}: {first}"[:150]
