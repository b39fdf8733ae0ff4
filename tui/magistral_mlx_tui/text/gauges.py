"""What the gauges say, as styled pieces of text for a given width; what is not known is not shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from magistral_mlx.engine.protocol import Prefill, Progress
from magistral_mlx.telemetry import Telemetry
from magistral_mlx_tui.text.figures import bar, format_bytes, format_seconds, format_speed, sparkline

Piece = tuple[str, str]
"""Text and its style, in Textual's words with theme variables."""
Rows = list[list[Piece]]

_QUIET = "$foreground 60%"
_TRACK = "on $panel"
_CONTEXT_WARNING, _CONTEXT_ALARM = 0.80, 0.95
_MEMORY_WARNING = 0.90


@dataclass(frozen=True)
class _Limit:
    """What memory is measured against, and how that is called."""

    size: int
    name: str


def _limit(telemetry: Telemetry) -> _Limit | None:
    """Metal's recommendation if there is one, else all of the machine's memory, said so."""
    if telemetry.recommended_bytes:
        return _Limit(telemetry.recommended_bytes, "recommended")
    if telemetry.total_bytes:
        return _Limit(telemetry.total_bytes, "RAM")
    return None


def memory_title(telemetry: Telemetry, width: int) -> str:
    """What memory is measured against, on `width` cells."""
    limit = _limit(telemetry)
    of = f"of {format_bytes(limit.size)} {limit.name}" if limit else ""
    return next((title for title in (f"Memory {of}", of) if len(title) <= width), "Memory").strip()


def memory_rows(telemetry: Telemetry, width: int) -> Rows:
    """Two rows: a bar of active and cached memory against its limit, and the figures."""
    limit = _limit(telemetry)
    active, cache, peak = telemetry.active_bytes, telemetry.cache_bytes, telemetry.peak_bytes
    known = [
        (name, size)
        for name, size in (("active", active), ("cache", cache), ("peak", peak))
        if size is not None
    ]
    if not known:
        return [[("not measured yet", _QUIET)], []]
    figures = [(f"{name} ", format_bytes(size)) for name, size in known]
    details = _spread(figures, width)
    one_unit = len({figure.partition(" ")[2] for _name, figure in figures}) == 1
    if len(details) < 2 * len(known) and one_unit:  # the title has the unit
        details = _spread([(name, figure.partition(" ")[0]) for name, figure in figures], width, gap=1)
    if limit is None or active is None:
        return [details, []]
    share = active / limit.size
    tail = f" {share:.0%}"
    bars = _memory_bar(active, cache or 0, peak or 0, limit.size, max(0, width - len(tail)))
    return [[*bars, (tail, "bold $error" if share >= _MEMORY_WARNING else "bold")], details]


def _memory_bar(active: int, cache: int, peak: int, limit: int, width: int) -> list[Piece]:
    """Active, then cache in a lighter shade; a mark stands at the peak."""
    cells = [round(min(1.0, value / limit) * width) for value in (active, active + cache, peak)]
    filled, cached, mark = cells[0], cells[1], min(cells[2], width - 1)
    drawn: list[Piece] = []
    for cell in range(width):
        if cell == mark and peak and cell >= filled:
            piece = ("┃", "$secondary")
        elif cell < filled:
            piece = ("█", "$primary")
        else:
            piece = ("▒", "$primary 60%") if cell < cached else ("─", "$foreground 30%")
        drawn.append(piece)
    return _merge(drawn)


def speed_rows(progress: Progress, prefill: Prefill | None, speeds: Sequence[float], width: int) -> Rows:
    """Two rows: tokens per second with their course, or how far reading is; average and first token."""
    first: list[Piece] = []
    if prefill is not None and prefill.done < prefill.total:
        figure = f" read {prefill.done:,} / {prefill.total:,}"
        first = [
            (bar(prefill.done / prefill.total, max(0, width - len(figure))), f"$secondary {_TRACK}"),
            (figure, "bold"),
        ]
    elif progress.tokens_per_second is not None or speeds:
        now = progress.tokens_per_second
        figure = f" {format_speed(now)} tok/s" if now is not None else " idle"
        first = [
            (sparkline(speeds, max(0, width - len(figure))), "$primary"),
            (figure, "bold" if now is not None else _QUIET),
        ]
    else:
        first = [("no answer yet", _QUIET)]
    known: list[tuple[str, str]] = []
    if progress.average is not None:
        known.append(("avg ", f"{format_speed(progress.average)}"))
    if progress.time_to_first_token is not None:
        known.append(("first token ", format_seconds(progress.time_to_first_token)))
    return [first, _spread(known, width)]


def context_rows(progress: Progress, context_length: int | None, width: int) -> Rows:
    """Two rows: how full the context is, with a word when it is nearly full, and the figures."""
    length = progress.context_length or context_length
    if not length:
        return [[("no model yet", _QUIET)], []]
    share = progress.context_used / length
    colour, word = "$success", f"{length - progress.context_used:,} left"
    if share >= _CONTEXT_ALARM:
        colour, word = "$error", "almost full"
    elif share >= _CONTEXT_WARNING:
        colour, word = "$warning", "getting full"
    figure = f" {share:.0%}"
    drawn: list[Piece] = [(bar(share, max(0, width - len(figure))), f"{colour} {_TRACK}"), (figure, "bold")]
    return [drawn, _spread([("", f"{progress.context_used:,} / {length:,} tokens"), ("", word)], width)]


def narrow_rows(
    progress: Progress,
    prefill: Prefill | None,
    speeds: Sequence[float],
    context_length: int | None,
    width: int,
) -> Rows:
    """Everything in two rows for a narrow screen."""
    telemetry, limit = progress.telemetry, _limit(progress.telemetry)
    memory = format_bytes(telemetry.active_bytes) if telemetry.active_bytes is not None else "–"
    of = f" of {format_bytes(limit.size)} {limit.name}" if limit else ""
    length = progress.context_length or context_length
    context = f"context {progress.context_used / length:.0%}" if length else ""
    left = f"memory {memory}{of}"
    rows: Rows = [[(left, ""), (context.rjust(max(0, width - len(left))), "")]]
    return [speed_rows(progress, prefill, speeds, width)[0], *rows]


def _spread(pairs: Sequence[tuple[str, str]], width: int, *, gap: int = 2) -> list[Piece]:
    """Names and values in one row, `gap` cells apart, as many as fit."""
    row: list[Piece] = []
    used = 0
    for name, value in pairs:
        between = " " * gap if row else ""
        used += len(between) + len(name) + len(value)
        if used > width:
            break
        row += [(between + name, _QUIET), (value, "")]
    return row


def _merge(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of the same style become one piece."""
    merged: list[Piece] = []
    for text, style in pieces:
        if merged and merged[-1][1] == style:
            merged[-1] = (merged[-1][0] + text, style)
        else:
            merged.append((text, style))
    return merged
