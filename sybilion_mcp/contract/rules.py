"""The submit rules of the API, each a named check, in the order in which the API reports them.

`check_request` tells all problems at once; `first_problem` tells the one that the fail-fast API would name.
Both run the same checks. After a problem with a fix the checks go on with the fix applied, so that all the
offered fixes together leave none of the problems they belong to.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sybilion_mcp.contract import option_rules, series_rules
from sybilion_mcp.contract.draft import Draft
from sybilion_mcp.contract.problem import Fix, Problem
from sybilion_mcp.contract.request import MAX_BODY_BYTES, ForecastRequest, encode

Rule = Callable[[Draft], Iterator[Problem]]
Request = TypeVar("Request", bound=BaseModel)

RULES: tuple[Rule, ...] = (
    option_rules.pipeline_version,
    option_rules.frequency,
    option_rules.horizon,
    option_rules.horizon_order,
    option_rules.recency_factor,
    option_rules.title,
    option_rules.description,
    option_rules.keywords,
    series_rules.dates,
    series_rules.finite,
    series_rules.no_gap,
    series_rules.length,
    series_rules.recency,
    series_rules.intermittent,
    series_rules.positive,
    option_rules.filters,
    series_rules.aux,
    option_rules.max_num_features,
    option_rules.optimization_budget,
    option_rules.trend_num_classes,
)

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_unicode": "valid Unicode text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object of date to number",
    "model_type": "an object",
}


def check_request(body: Mapping[str, object], today: date) -> list[Problem]:
    """Every problem of a decoded body, in the API's order; `today` is the current date in UTC."""
    draft = Draft(ForecastRequest(), today)
    return settled(list(_problems(body, draft)), draft)


def first_problem(body: Mapping[str, object], today: date) -> Problem | None:
    """The problem that the API names, or None when it accepts the body."""
    return next(_problems(body, Draft(ForecastRequest(), today)), None)


def _problems(body: Mapping[str, object], draft: Draft) -> Iterator[Problem]:
    yield from size(body)
    type_problems, draft.request = decode(body, ForecastRequest)
    yield from type_problems
    draft.unreadable = frozenset(problem.field for problem in type_problems)
    yield from apply_rules(RULES, draft)


def apply_rules(rules: Iterable[Rule], draft: Draft) -> Iterator[Problem]:
    """What the rules say, one after the other, each on the draft as the fixes before it leave it."""
    for rule in rules:
        for problem in rule(draft):
            yield problem
            if problem.fix:
                draft.apply(problem.fix)


def settled(problems: Iterable[Problem], draft: Draft) -> list[Problem]:
    """Two problems may change one argument; what both offer is the value that holds in the end."""
    return [replace(one, fix=Fix(one.fix.field, draft.value(one.fix.field))) if one.fix else one for one in problems]


def size(body: Mapping[str, object]) -> Iterator[Problem]:
    try:
        length = len(encode(body))
    except (TypeError, ValueError, RecursionError):
        return  # not JSON, or nested too deeply to be written: the type checks say where
    if length > MAX_BODY_BYTES:
        yield Problem(
            "body_too_large",
            "body",
            f"The request has {length:,} bytes; at most {MAX_BODY_BYTES:,} (2 MiB) are accepted.",
            status=413,
        )


def decode(body: Mapping[str, object], model: type[Request]) -> tuple[list[Problem], Request]:
    """The request as far as its types are right, and one problem for each value whose type is wrong."""
    try:
        return [], model.model_validate(dict(body))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = {detail["loc"][0] for detail in details}
        readable = {name: value for name, value in body.items() if name not in wrong}
        problems = [_wrong_type(detail["loc"], detail["type"]) for detail in details]
        return problems, model.model_validate(readable)


def _wrong_type(loc: tuple[int | str, ...], kind: str) -> Problem:
    return Problem("wrong_type", field_name(loc), f"Must be {_EXPECTED.get(kind, 'of another type')}.", status=400)


def field_name(loc: tuple[int | str, ...]) -> str:
    """A path as the API writes it: `filters.regions[0]`, `timeseries["2021-03-01"]`."""
    name = ""
    for step, part in enumerate(loc):
        if isinstance(part, int):
            name += f"[{part}]"
        elif step and (loc[0] == "timeseries" or loc[:1] == ("aux_timeseries",)):
            name += f'["{part}"]'
        else:
            name += f".{part}" if name else part
    return name
