"""Alerts as a model reads them: the largest moves first, grouped by direction, with some news and its sources."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sybilion_mcp.contract.recommendations import Alert, News
from sybilion_mcp.outside import clean, quoted

MOST_BYTES = 3000
"""Of the alerts in an answer, which has other lines too."""
_NAME, _TITLE, _SOURCE, _URL = 80, 110, 40, 160  # characters
_NEWS = 2  # of one alert
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]{1,100}(?:/[A-Za-z0-9._~/%-]*)?")


@dataclass(frozen=True, slots=True)
class Digest:
    """Some of the alerts. `next_offset`: where the rest begins."""

    lines: Sequence[str]
    data: Sequence[Mapping[str, object]]
    total: int
    next_offset: int | None


def digest(alerts: Sequence[Alert], offset: int) -> Digest:
    """As many alerts from `offset` on as fit into `MOST_BYTES`, one at least."""
    ordered = sorted(alerts, key=lambda one: (not one.trending, -abs(one.pct_change or 0.0)))
    told: set[str] = set()
    taken: list[tuple[Alert, list[str], Mapping[str, object]]] = []
    size = 0
    for one in ordered[offset:]:
        news = [new for new in _distinct(one.news) if (new.title or new.url) not in told][:_NEWS]
        lines = [_line(one), *map(_news_line, news)]
        size += sum(len(line.encode()) + 1 for line in lines)
        if taken and size > MOST_BYTES:
            break
        told |= {text for new in news if (text := new.title or new.url)}
        taken.append((one, lines, _data(one, news)))
    last = offset + len(taken)
    lines = list(_grouped([(one, lines) for one, lines, _ in taken]))
    return Digest(lines, [data for _, _, data in taken], len(alerts), last if last < len(alerts) else None)


def _grouped(taken: Sequence[tuple[Alert, list[str]]]) -> Iterable[str]:
    groups = {"Rising:": 1, "Falling:": -1, "Without a figure:": 0}
    for title, sign in groups.items():
        lines = [line for one, lines in taken if _sign(one.pct_change) == sign for line in lines]
        if lines:
            yield title
            yield from lines


def _sign(change: float | None) -> int:
    return 0 if not change else 1 if change > 0 else -1


def _line(alert: Alert) -> str:
    change = "" if alert.pct_change is None else f" {alert.pct_change:+.3g} %"
    return f"- {quoted(alert.name or 'unnamed', _NAME)}{change}{', trending' if alert.trending else ''}"


def _distinct(news: Sequence[News]) -> list[News]:
    return list({(one.title, one.url): one for one in news if one.title or one.description}.values())


def _news_line(news: News) -> str:
    source = [quoted(news.source_name, _SOURCE)] if news.source_name else []
    day = [news.published.date().isoformat()] if news.published else []
    address = [found] if (found := address_of(news.url)) else []
    said = quoted(news.title or news.description or "", _TITLE)
    return f"  {said} ({', '.join([*source, *day, *address]) or 'no source'})"


def _data(alert: Alert, news: Sequence[News]) -> Mapping[str, object]:
    return {
        "name": clean(alert.name or "unnamed", _NAME),
        "pct_change": alert.pct_change,
        "trending": alert.trending,
        "news": [
            {
                "title": clean(one.title or one.description or "", _TITLE),
                "source": clean(one.source_name or "", _SOURCE),
                "published": one.published.date().isoformat() if one.published else None,
                "url": address_of(one.url),
            }
            for one in news
        ],
    }


def address_of(url: str | None) -> str | None:
    """Where an article is, without what follows its path; None for what is no plain web address."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    plain = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return plain if len(plain) <= _URL and _ADDRESS.fullmatch(plain) else None
