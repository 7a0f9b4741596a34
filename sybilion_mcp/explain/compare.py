"""Jobs on one series beside each other: how they differ, and which one hindcasts better."""

from collections.abc import Sequence
from dataclasses import dataclass

from sybilion_mcp.explain.facts import JSON
from sybilion_mcp.explain.results import Results


@dataclass(frozen=True, slots=True)
class Comparison:
    """One other job beside the reported one."""

    job_id: str


def compare(this: Results, others: Sequence[Results]) -> tuple[Comparison, ...]:
    """The others, each against this one."""
    return tuple(Comparison(other.facts.job_id) for other in others)


def lines(comparisons: Sequence[Comparison]) -> list[str]:
    """One line each."""
    return [comparison.job_id for comparison in comparisons]


def data(comparisons: Sequence[Comparison]) -> list[JSON]:
    """The same as structured content."""
    return [{"job_id": comparison.job_id} for comparison in comparisons]
