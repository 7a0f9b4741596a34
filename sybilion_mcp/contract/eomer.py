"""Jobs and explanations as the Eomer API answers them. Read leniently: what is unknown is kept."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sybilion_mcp.contract.eomer_files import DOCUMENT, EXPLANATION, FORECAST, PLOT, REPORT
from sybilion_mcp.contract.jobs import ArtifactRef, Job, JobId, More, PipelineError, instant
from sybilion_mcp.contract.lenient import Flag, Size, Text
from sybilion_mcp.contract.media import MEDIA_TYPES
from sybilion_mcp.contract.numbers import sane_number
from sybilion_mcp.outside import clean, identifier, sendable

STATUSES: Mapping[str, str] = {
    "pending": "queued",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
}
"""Eomer's word for a state → the common one. A word that is not here stands for itself."""

Read = TypeVar("Read", bound=BaseModel)

MOST_ARTIFACTS = 200
_MOST_TEXTS = 200

Seconds = Annotated[
    float | None,
    BeforeValidator(lambda given: number if (number := sane_number(given)) is not None and number >= 0 else None),
]
Object = Annotated[
    dict[str, Any], BeforeValidator(lambda given: given if isinstance(given, dict) else {}), Field(default_factory=dict)
]
Order = Annotated[float | None, BeforeValidator(sane_number)]


def _texts(given: object) -> list[str]:
    """The texts of a list; one text alone counts as a list of it."""
    listed = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    return [one for one in listed if isinstance(one, str)][:_MOST_TEXTS]


def _reasons(given: object) -> dict[str, str]:
    """Name → reason, from an object or from a list of names."""
    if isinstance(given, dict):
        return {name: reason if isinstance(reason, str) else "" for name, reason in list(given.items())[:_MOST_TEXTS]}
    return dict.fromkeys(_texts(given), "")


Texts = Annotated[list[str], BeforeValidator(_texts), Field(default_factory=list)]
Reasons = Annotated[dict[str, str], BeforeValidator(_reasons), Field(default_factory=dict)]


class _Kept(BaseModel):
    """What is not known by name is in `extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def extra(self) -> Mapping[str, object]:
        return self.model_extra or {}


class ExplanationArtifact(_Kept):
    """One table, text or picture of an explanation. All texts come from outside."""

    artifact_id: Annotated[str, BeforeValidator(lambda given: str(given) if type(given) in (str, int) else "")] = ""
    analysis: Text = None
    label: Text = None
    format: Text = None
    output_path: Text = None
    download_url: Text = None
    embed_url: Text = None
    description: Text = None
    render_inline: Flag = False
    preview_markdown: Text = None
    highlights: Texts
    display_order: Order = None
    is_primary_visual: Flag = False
    is_thumbnail: Flag = False


def _in_display_order(given: object) -> list[ExplanationArtifact]:
    """The artifacts that can be read, by `display_order`; those without one come last, as they were sent."""
    found = []
    for one in given[:MOST_ARTIFACTS] if isinstance(given, list) else ():
        with suppress(ValidationError):
            found.append(ExplanationArtifact.model_validate(one))
    return sorted(found, key=lambda one: (one.display_order is None, one.display_order or 0.0))


class Explainability(_Kept):
    """Why the forecast is as it is; `overview_markdown` and all texts of the artifacts come from outside."""

    enabled: Flag = False
    overview_markdown: Text = None
    selected_analyses: Texts
    completed_analyses: Texts
    skipped_analyses: Reasons
    warnings: Texts
    artifacts: Annotated[list[ExplanationArtifact], BeforeValidator(_in_display_order), Field(default_factory=list)]
    summary_path: Text = None


def _maybe(model: type[BaseModel]) -> Callable[[object], object]:
    return lambda given: given if isinstance(given, dict | model) else None


class EomerJob(_Kept):
    """A job of Eomer: `job_id`, `status` and `created_at` are always there, everything else may be absent."""

    job_id: JobId
    status: Annotated[str, AfterValidator(lambda given: clean(given, 32))]
    created_at: Text = None
    completed_at: Text = None
    elapsed_seconds: Seconds = None
    num_items: Size = None
    prediction_length: Size = None
    error: Text = None
    error_code: Text = None
    download_url: Text = None
    report_url: Text = None
    external_covariate_metadata: Object
    explainability: Annotated[Explainability | None, BeforeValidator(_maybe(Explainability))] = None
    explainability_url: Text = None
    forecast_plot_url: Text = None
    request_id: Text = None
    config_hash: Text = None
    dataset_hash: Text = None
    model_version: Text = None
    delivery_status: Text = None
    delivery_connection_id: Text = None
    delivery_uri: Text = None
    delivery_error: Text = None

    @property
    def common_status(self) -> str:
        return STATUSES.get(self.status, self.status)

    @property
    def finished(self) -> bool:
        return self.common_status in ("completed", "failed")

    @property
    def created(self) -> datetime | None:
        return instant(self.created_at)

    @property
    def ended(self) -> datetime | None:
        return instant(self.completed_at)

    @property
    def common(self) -> Job:
        """The job in the words that all backends share. Finished is settled: Eomer tells no price."""
        failed = self.common_status == "failed"
        error = PipelineError(code=self.error_code, detail=self.error) if failed else None
        return Job(
            job_id=self.job_id,
            status=self.common_status,
            settled=self.finished,
            created_at=self.created_at,
            settled_at=self.completed_at,
            pipeline_error=error,
            artifacts=[ArtifactRef(name=one.name) for one in self.files],
            more=More(
                num_items=self.num_items,
                elapsed_seconds=self.elapsed_seconds,
                delivery_status=self.delivery_status,
                delivery_error=self.delivery_error,
            ),
        )

    @property
    def files(self) -> tuple["JobFile", ...]:
        """What can be downloaded of a completed job, each by a name of its own: the forecast comes first."""
        if self.common_status != "completed":
            return ()
        found = [JobFile(FORECAST, None, "text/csv"), JobFile(DOCUMENT, None, "application/json")]
        if self.explainability_url:
            found.append(JobFile(EXPLANATION, self.explainability_url, "application/json"))
        for name, url in ((REPORT, self.report_url), (PLOT, self.forecast_plot_url)):
            if url:
                found.append(JobFile(name, url, None))
        return tuple(_named_apart([*found, *_explaining(self.explainability)]))


class EomerAccepted(_Kept):
    """The answer to a submit."""

    job_id: JobId
    status: Text = None
    created_at: Text = None
    prediction_length: Size = None


def decoded(model: type[Read], content: bytes) -> Read:
    """One of these from its JSON; half a surrogate pair in a text becomes a question mark. Raises `ValueError`."""
    try:
        return model.model_validate_json(content)
    except ValidationError:
        if b"\\ud" not in content.lower():
            raise
    try:
        return model.model_validate(sendable(json.loads(content)))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job. `url` as the service wrote it, None where the path follows from the job's id.

    `media_type` is None where only the answer tells; `artifact` is the explanation's artifact that it belongs to.
    """

    name: str
    url: str | None
    media_type: str | None
    artifact: ExplanationArtifact | None = None


def _explaining(explainability: Explainability | None) -> Iterable[JobFile]:
    for one in explainability.artifacts if explainability else ():
        url = one.download_url or one.embed_url
        if url:
            ending = identifier((one.format or "").lower())
            stem = identifier(one.artifact_id or one.analysis or "")[:60].lstrip(".") or "artifact"
            name = stem if not ending or stem.lower().endswith(f".{ending}") else f"{stem}.{ending}"
            yield JobFile(name, url, MEDIA_TYPES.get(ending), one)


def _named_apart(files: Iterable[JobFile]) -> Iterable[JobFile]:
    """No two files have one name: a name that was given before gets a number."""
    taken: set[str] = set()
    for one in files:
        name, number = one.name, 2
        while name in taken:
            stem, dot, ending = one.name.rpartition(".")
            name, number = f"{stem}-{number}.{ending}" if dot else f"{one.name}-{number}", number + 1
        taken.add(name)
        yield JobFile(name, one.url, one.media_type, one.artifact)
