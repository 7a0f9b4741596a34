"""How the embedded Eomer says no: a status, one of the service's own codes, and a sentence."""

from collections.abc import Mapping
from http import HTTPStatus


class WireError(Exception):
    """The answer to a request that fails. `field` is what of the request is wrong, where one thing is."""

    def __init__(self, status: HTTPStatus, code: str, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.field = field


JOB_CODES: Mapping[str, str] = {
    "worker_lost": "internal_error",
    "engine_stopped": "internal_error",
    "no_worker": "server_overloaded",
    "time_budget_exceeded": "timeout",
    "pipeline_failed": "pipeline_failed",
}
"""The engine's word for why a job failed → Eomer's."""
