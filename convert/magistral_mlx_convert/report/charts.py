"""Charts as SVG, for reports: bars side by side, and lines over layers. No library, no script, no font file.

Every mark has a `<title>`, which browsers show on hover.
"""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 64, 16, 56, 44
_INK, _GRID, _PAPER = "#475569", "#94a3b8", "#ffffff"
_MARKS = ("#2563eb", "#ea580c")


def line_chart(title: str, series: Mapping[str, Sequence[float]], *, unit: str, across: str) -> str:
    """Lines from 0 up, one value per place; `unit` stands at the left axis, `across` under the lower one."""
    height = 320
    places = max(map(len, series.values()), default=0)
    scale = _Scale(max((max(values, default=0.0) for values in series.values()), default=0.0), height)
    step = (_WIDTH - _LEFT - _RIGHT) / max(places - 1, 1)
    every = max(1, -(-places // 20))
    parts = scale.grid(unit)
    for (name, values), colour in zip(series.items(), _MARKS, strict=False):
        points = [(_LEFT + index * step, scale.y(value)) for index, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
            f"<title>{escape(name)}, {escape(across)} {index}: {value:.4g} {escape(unit)}</title></circle>"
            for index, ((x, y), value) in enumerate(zip(points, values, strict=True), start=1)
        ]
    parts += [
        _text(_LEFT + index * step, height - _BOTTOM + 16, str(index + 1), anchor="middle")
        for index in range(0, places, every)
    ]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, height - 8, across, anchor="middle"))
    return _page(title, height, [*parts, *_legend(list(series))])


def _legend(names: Sequence[str]) -> list[str]:
    """Names in their colours, from the right edge, above the lines."""
    parts: list[str] = []
    x = float(_WIDTH - _RIGHT)
    for name, colour in reversed(list(zip(names, _MARKS, strict=False))):
        parts.append(_text(x, _TOP - 12, name, anchor="end"))
        x -= 6.6 * len(name) + 10
        parts.append(f'<circle cx="{x:.1f}" cy="{_TOP - 16}" r="4" fill="{colour}"/>')
        x -= 18
    return parts


def bar_chart(title: str, values: Mapping[str, float], *, unit: str) -> str:
    """One horizontal bar per name, in the order given."""
    row, left = 22, 110
    height = _TOP + row * len(values) + 12
    largest = max(values.values(), default=0.0) or 1.0
    room = _WIDTH - left - 90
    parts: list[str] = []
    for index, (name, value) in enumerate(values.items()):
        y = _TOP + index * row
        length = room * value / largest
        parts += [
            _text(left - 8, y + 12, name, anchor="end"),
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{row - 7}" rx="2" fill="{_MARKS[0]}">'
            f"<title>{escape(name)}: {value:.4g} {escape(unit)}</title></rect>",
            _text(left + length + 6, y + 12, f"{value:.3g}"),
        ]
    return _page(f"{title} ({unit})", height, parts)


class _Scale:
    """The left axis: 0 at the bottom, a round number at or above the largest value at the top."""

    def __init__(self, largest: float, height: int) -> None:
        self._height = height
        self._step = _round_step(largest / 4 if largest > 0 else 0.25)
        self._steps = max(1, -int(-largest // self._step))
        self._top = self._step * self._steps

    def y(self, value: float) -> float:
        room = self._height - _TOP - _BOTTOM
        return self._height - _BOTTOM - room * value / self._top

    def grid(self, unit: str) -> list[str]:
        lines: list[str] = [_text(_LEFT, _TOP - 12, unit)]
        for index in range(self._steps + 1):
            y = self.y(index * self._step)
            lines += [
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{_GRID}" stroke-opacity="0.4"/>',
                _text(_LEFT - 8, y + 4, f"{index * self._step:.4g}", anchor="end"),
            ]
        return lines


def _round_step(wanted: float) -> float:
    """1, 2 or 5 times a power of ten, at or above `wanted`."""
    power = 10.0 ** _floor_log10(wanted)
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _page(title: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" fill="{_INK}" role="img">'
    )
    paper = f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>'
    heading = f'<text x="16" y="26" font-size="15" font-weight="600">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title>", paper, heading, *parts, "</svg>", ""])
