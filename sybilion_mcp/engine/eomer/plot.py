"""The forecast as a picture: an SVG of our own, one panel for each of the first series."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PANELS = 6
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 170, 70, 28, 22
TAIL = 3  # times the forecast's length of history that is shown, at most
MOST_HISTORY = 400


@dataclass(frozen=True, slots=True)
class Panel:
    """One series: its history, what follows, and the 80 % band around that."""

    title: str
    history: Sequence[float]
    forecast: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    first: str
    last: str


def svg(panels: Sequence[Panel]) -> bytes:
    """A picture without scripts, links or fonts from elsewhere; every text in it is escaped."""
    height = HEIGHT * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11" role="img">',
        "<title>Forecast with its 80 % band</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate(0 {number * HEIGHT})">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]).encode()


def _panel(panel: Panel) -> list[str]:
    shown = list(panel.history[-min(max(TAIL * len(panel.forecast), 24), MOST_HISTORY) :])
    values = [*shown, *panel.forecast, *panel.lower, *panel.upper]
    low, high = min(values), max(values)
    total = len(shown) + len(panel.forecast)

    def place(position: int, value: float) -> str:
        across = LEFT + (WIDTH - LEFT - 12) * position / max(total - 1, 1)
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{across:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (1 - share):.1f}"

    ahead = range(len(shown), total)
    past = " ".join(place(position, value) for position, value in enumerate(shown))
    future = [place(len(shown) - 1, shown[-1]), *map(place, ahead, panel.forecast)]
    band = [*map(place, ahead, panel.upper), *reversed([*map(place, ahead, panel.lower)])]
    return [
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(panel.title[:60])}</text>',
        f'<text x="{LEFT - 6}" y="{TOP + 6}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{escape(panel.first)}</text>',
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 6}" text-anchor="end">{escape(panel.last)}</text>',
        f'<polygon points="{" ".join(band)}" fill="#9ecae1" fill-opacity="0.6"/>',
        f'<polyline points="{past}" fill="none" stroke="#333333" stroke-width="1.2"/>',
        f'<polyline points="{" ".join(future)}" fill="none" stroke="#08519c" stroke-width="1.6"/>',
    ]
