"""Rules about everything but the numbers: version, horizons, title, keywords, filters, options."""

import math
from collections.abc import Iterator

from sybilion_mcp.contract.draft import Draft
from sybilion_mcp.contract.problem import Fix, Problem, counted
from sybilion_mcp.contract.request import MAX_HORIZON, PIPELINE_VERSION
from sybilion_mcp.contract.series_rules import longest_horizon

DEFAULT_RECENCY_FACTOR = 0.5
TITLE_BYTES = range(20, 512)
MAX_DESCRIPTION_BYTES = 2048
MAX_KEYWORDS = 20
MAX_KEYWORD_BYTES = 255
FILTER_IDS = range(1, 10_000)
DRIVER_LIMITS = range(1001)
OPTIMIZATION_BUDGETS = ("none", "low", "mid", "high")
TREND_CLASSES = (2, 3)


def pipeline_version(draft: Draft) -> Iterator[Problem]:
    if draft.readable("pipeline_version") and draft.request.pipeline_version != PIPELINE_VERSION:
        yield Problem(
            "unsupported_pipeline_version",
            "pipeline_version",
            f'Must be exactly "{PIPELINE_VERSION}".',
            Fix("pipeline_version", PIPELINE_VERSION),
        )


def frequency(draft: Draft) -> Iterator[Problem]:
    given = draft.request.frequency
    if not draft.readable("frequency") or given == "monthly":
        return
    why = "is not supported" if given in ("daily", "weekly") else "is an unknown frequency"
    message = f'"{shown(given)}" {why}; only "monthly" is.' if given else 'Missing; only "monthly" is supported.'
    yield Problem("unsupported_frequency", "frequency", message, Fix("frequency", "monthly"))


def horizon(draft: Draft) -> Iterator[Problem]:
    request = draft.request
    if request.top_horizon is None:
        if draft.readable("soft_horizon") and draft.readable("hard_horizon"):
            best = longest_horizon(len(request.timeseries or {})) or MAX_HORIZON
            message = "Neither soft_horizon nor hard_horizon is given: how many months to forecast, 1 to 12."
            yield Problem("horizon_missing", "soft_horizon", message, Fix("soft_horizon", best))
        return
    for name in ("soft_horizon", "hard_horizon"):
        months = draft.value(name)
        if isinstance(months, int) and not 1 <= months <= MAX_HORIZON:
            nearest = min(max(months, 1), MAX_HORIZON)
            message = f"{months} is outside 1 to {MAX_HORIZON} months."
            yield Problem("horizon_out_of_range", name, message, Fix(name, nearest))


def horizon_order(draft: Draft) -> Iterator[Problem]:
    soft, hard = draft.request.soft_horizon, draft.request.hard_horizon
    if soft is not None and hard is not None and hard > soft:
        message = f"hard_horizon ({hard}) must not exceed soft_horizon ({soft})."
        yield Problem("horizon_order", "hard_horizon", message, Fix("hard_horizon", soft))


def recency_factor(draft: Draft) -> Iterator[Problem]:
    given = draft.request.recency_factor
    if given is None:
        if draft.readable("recency_factor"):
            message = "Missing: a number from 0 to 1."
            yield Problem(
                "recency_factor_missing",
                "recency_factor",
                message,
                Fix("recency_factor", DEFAULT_RECENCY_FACTOR),
            )
    elif not 0 <= given <= 1:
        nearest = DEFAULT_RECENCY_FACTOR if math.isnan(given) else min(max(given, 0.0), 1.0)
        message = f"{given:g} is outside 0 to 1."
        yield Problem("recency_factor_out_of_range", "recency_factor", message, Fix("recency_factor", nearest))


def title(draft: Draft) -> Iterator[Problem]:
    field = "timeseries_metadata.title"
    metadata = draft.request.timeseries_metadata
    if not draft.readable("timeseries_metadata"):
        return
    given = metadata.title if metadata else None
    size = len((given or "").encode())
    needed = f"{TITLE_BYTES[0]} to {TITLE_BYTES[-1]} bytes are needed"
    if given is None:
        yield Problem("title_missing", field, f"No title; {needed}: what is measured, where, in which unit.")
    elif size < TITLE_BYTES[0]:
        message = f"The title has {size} bytes; {needed}: what is measured, where, in which unit."
        yield Problem("title_too_short", field, message)
    elif size > TITLE_BYTES[-1]:
        message = f"The title has {size} bytes; {needed}."
        yield Problem("title_too_long", field, message, Fix(field, cut(given, TITLE_BYTES[-1])))


def description(draft: Draft) -> Iterator[Problem]:
    field = "timeseries_metadata.description"
    metadata = draft.request.timeseries_metadata
    given = metadata.description if metadata else None
    if given and (size := len(given.encode())) > MAX_DESCRIPTION_BYTES:
        message = f"The description has {size} bytes; at most {MAX_DESCRIPTION_BYTES} are accepted."
        yield Problem("description_too_long", field, message, Fix(field, cut(given, MAX_DESCRIPTION_BYTES)))


def keywords(draft: Draft) -> Iterator[Problem]:
    field = "timeseries_metadata.keywords"
    metadata = draft.request.timeseries_metadata
    given = (metadata.keywords if metadata else None) or []
    usable = [cut(word, MAX_KEYWORD_BYTES) for word in given if word][:MAX_KEYWORDS]
    fix = Fix(field, usable)
    if len(given) > MAX_KEYWORDS:
        message = f"{len(given)} keywords; at most {MAX_KEYWORDS} are accepted."
        yield Problem("too_many_keywords", field, message, fix)
    empty = [at for at, word in enumerate(given) if not word]
    long = [at for at, word in enumerate(given) if len(word.encode()) > MAX_KEYWORD_BYTES]
    wrong = {
        "keyword_empty": (empty, "A keyword is empty."),
        "keyword_too_long": (long, f"A keyword has more than {MAX_KEYWORD_BYTES} bytes."),
    }
    for code, (places, message) in sorted(wrong.items(), key=lambda one: one[1][0]):
        if places:
            yield Problem(code, f"{field}[{places[0]}]", counted(message, len(places)), fix)


def filters(draft: Draft) -> Iterator[Problem]:
    given = draft.request.filters
    if given is None:
        return
    for name, ids in (("regions", given.regions), ("categories", given.categories)):
        field = f"filters.{name}"
        usable = [one for one in ids or () if one in FILTER_IDS]
        wrong = [at for at, one in enumerate(ids or ()) if one not in FILTER_IDS]
        if ids and wrong:
            message = counted(f"{ids[wrong[0]]} is outside {FILTER_IDS[0]} to {FILTER_IDS[-1]}.", len(wrong))
            yield Problem("filter_id_out_of_range", f"{field}[{wrong[0]}]", message, Fix(field, usable))
    if given.limit is not None and given.limit not in DRIVER_LIMITS:
        below = given.limit < DRIVER_LIMITS[0]  # the nearest would turn drivers off, which is another question
        fix = None if below else Fix("filters.limit", DRIVER_LIMITS[-1])
        means = "; 0 asks for no drivers at all, leaving it out for the usual number" if below else ""
        message = f"{given.limit} is outside {DRIVER_LIMITS[0]} to {DRIVER_LIMITS[-1]}{means}."
        yield Problem("driver_limit_out_of_range", "filters.limit", message, fix)


def max_num_features(draft: Draft) -> Iterator[Problem]:
    given = draft.request.max_num_features
    if given is not None and given < 1:
        yield Problem(
            "max_num_features_too_small",
            "max_num_features",
            f"{given} is below 1.",
            Fix("max_num_features", 1),
        )


def optimization_budget(draft: Draft) -> Iterator[Problem]:
    given = draft.request.optimization_budget
    if given is not None and given not in OPTIMIZATION_BUDGETS:
        message = f'"{shown(given)}" is none of {", ".join(OPTIMIZATION_BUDGETS)}.'
        yield Problem("unknown_optimization_budget", "optimization_budget", message, Fix("optimization_budget", "none"))


def trend_num_classes(draft: Draft) -> Iterator[Problem]:
    given = draft.request.trend_num_classes
    if given is not None and given not in TREND_CLASSES:
        yield Problem(
            "trend_num_classes_out_of_range",
            "trend_num_classes",
            f"{given} is neither 2 nor 3.",
            Fix("trend_num_classes", 2),
        )


def cut(text: str, size: int) -> str:
    """The longest beginning of a text that fits into `size` bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def shown(text: str | None, length: int = 40) -> str:
    """A caller's text inside a sentence of ours: short, on one line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text or "")
    return plain if len(plain) <= length else f"{plain[:length]}…"
