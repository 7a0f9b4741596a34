"""What the tools for billed calls say alike: what it cost, whether it was asked before, and what more would cost."""

from collections.abc import Mapping

from sybilion_mcp.service.calls import SHOWN, Answered
from sybilion_mcp.service.tariffs import Tariff


def cost_line(answered: Answered, tariff: Tariff, units: int) -> str:
    """What was paid, in a sentence."""
    cost = answered.cost
    if cost is None:
        return "Free: from your own driver folder." if not answered.reused else ""
    euros = f"{'' if cost.told else 'about '}{cost.eur_cents / 100:.2f} EUR"
    if answered.reused:
        at = answered.asked_at[:16].replace("T", " ")
        return f"Reused: this very question was answered on {at} UTC for {euros}. Nothing was charged now."
    if cost.eur_cents == 0:
        return f"Nothing was charged. {answered.earlier}".rstrip()
    if cost.told:
        charged = f"Charged: {euros} for {units} {tariff.unit}{'' if units == 1 else 's'}."
    else:
        charged = (
            f"Charged: {euros} ({units} at {cost.basis}); get_account(include_usage=true) tells the charge itself."
        )
    return f"{charged} {answered.earlier}".rstrip()


def beyond(count: str, rows: int, offset: int) -> str:
    """In place of rows, where `offset` is larger than there are."""
    return f"There {'is' if rows == 1 else 'are'} {count}: offset={offset} is beyond the last. Free: offset=0."


def warning(answered: Answered, tariff: Tariff, limit: int | None) -> str | None:
    """About a call that may cost more than what it shows is worth; None for the others."""
    if answered.cost is None or answered.reused or (limit is not None and limit <= SHOWN):
        return None
    asked = "no limit was said" if limit is None else f"limit was {limit}"
    most = answered.most_eur_cents / 100
    return (
        f"Each {tariff.unit} that comes is billed, and {asked}: such a call may cost up to {most:.2f} EUR. "
        f"Say limit={SHOWN} or less."
    )


def cost_data(answered: Answered) -> Mapping[str, object]:
    """What was paid now."""
    paid = None if answered.reused else answered.cost
    return {
        "reused": answered.reused,
        "eur_cents": 0 if paid is None else paid.eur_cents,
        "eur_cents_told": None if paid is None else paid.told,
    }
