"""Two charts as SVG text: learning curves over label fractions, and paired differences with their intervals."""

import math
from collections.abc import Sequence
from html import escape

from napari_mmssl.workflows.comparison.tables import ArmRow

#: Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 60, 150, 16, 44


def learning_curves(rows: Sequence[ArmRow], label: str) -> str:
    """Return mean over draws against the share of the labels, a line per arm and a dot per draw."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    fractions = sorted({row.fraction for row in rows})
    values = [value for row in rows for value in row.draw_means.values() if not math.isnan(value)]
    if not values:
        return ""
    low, high = _round_range(min(values), max(values))

    def at(fraction: float, value: float) -> tuple[float, float]:
        # Logarithmic: 10, 20 and 100 % would otherwise crowd at the left.
        share = (
            0.5 if len(fractions) == 1 else math.log(fraction / fractions[0]) / math.log(fractions[-1] / fractions[0])
        )
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT), _y(value, low, high)

    parts = [_grid(low, high, label)]
    for fraction in fractions:
        x, _ = at(fraction, low)
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 22}" text-anchor="middle">{fraction:.0%}</text>')
    parts.append(
        f'<text x="{(_WIDTH - _RIGHT + _LEFT) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">labelled people</text>'
    )
    for number, arm in enumerate(arms):
        colour = COLOURS[number % len(COLOURS)]
        own = sorted((row for row in rows if row.arm == arm), key=lambda row: row.fraction)
        points = [at(row.fraction, row.mean) for row in own if not math.isnan(row.mean)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for row in own:
            for value in row.draw_means.values():
                if not math.isnan(value):
                    x, y = at(row.fraction, value)
                    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="0.45"/>')
        y = _TOP + 14 + 18 * number
        parts.append(f'<rect x="{_WIDTH - _RIGHT + 16}" y="{y - 9}" width="12" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 34}" y="{y}">{escape(arm)}</text>')
    return _svg(_HEIGHT, parts)


def differences(rows: Sequence[ArmRow], label: str) -> str:
    """Return each row's paired difference as a dot on its 95 % interval, zero marked."""
    shown = [row for row in rows if row.difference is not None and not math.isnan(row.difference.low)]
    if not shown:
        return ""
    ends = [end for row in shown if row.difference for end in (row.difference.low, row.difference.high)]
    low, high = _round_range(min(0.0, *ends), max(0.0, *ends))
    left, right, step = 190, 20, 24

    def x_of(value: float) -> float:
        return left + (value - low) / (high - low) * (_WIDTH - left - right)

    height = _TOP + step * len(shown) + 40
    zero = x_of(0.0)
    parts = [
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="{_TOP - 6}" y2="{height - 34}" stroke="#888"'
        ' stroke-dasharray="4 3"/>'
    ]
    for number, row in enumerate(shown):
        one = row.difference
        if one is None:
            continue
        y = _TOP + step * number + 10
        colour = "#888888" if one.verdict == "no difference shown" else "#0072B2" if one.mean > 0 else "#D55E00"
        parts.append(
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(row.arm)}, {row.fraction:.0%}</text>'
        )
        parts.append(
            f'<line x1="{x_of(one.low):.1f}" x2="{x_of(one.high):.1f}" y1="{y}" y2="{y}"'
            f' stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<circle cx="{x_of(one.mean):.1f}" cy="{y}" r="5" fill="{colour}"/>')
    for tick in _ticks(low, high):
        parts.append(f'<text x="{x_of(tick):.1f}" y="{height - 20}" text-anchor="middle">{tick:+.3g}</text>')
    parts.append(
        f'<text x="{(left + _WIDTH - right) / 2:.0f}" y="{height - 4}" text-anchor="middle">{escape(label)}</text>'
    )
    return _svg(height, parts)


def _svg(height: float, parts: list[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#222">{body}</svg>'
    )


def _grid(low: float, high: float, label: str) -> str:
    parts = []
    for tick in _ticks(low, high):
        y = _y(tick, low, high)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(label)}</text>'
    )
    return "".join(parts)


def _y(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)


def _step(low: float, high: float) -> float:
    rough = max(high - low, 1e-6) / 5
    power = 10 ** math.floor(math.log10(rough))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))


def _round_range(low: float, high: float) -> tuple[float, float]:
    step = _step(low, high)
    return math.floor(low / step) * step, (math.floor(high / step) + 1) * step


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
