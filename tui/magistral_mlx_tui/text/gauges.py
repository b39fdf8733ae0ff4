"""The gauges as styled pieces of text for a given width; unknown figures are left out.

Each gauge is three rows: a bar or a sparkline, figures, details.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magistral_mlx.engine.protocol import Prefill, Progress
from magistral_mlx.events import ContextSegments
from magistral_mlx.machine.telemetry import MemoryPressure, Telemetry, ThermalState
from magistral_mlx.storage.units import format_memory
from magistral_mlx_tui.text.format import bar, format_seconds, format_speed, sparkline

Piece = tuple[str, str]
"""Text and its style, in Textual's words with theme variables."""
Rows = list[list[Piece]]

_QUIET = "$foreground 60%"
_TRACK = "on $panel"
_WARNING, _ALARM = "bold $warning", "bold $error"
_CONTEXT_WARNING, _CONTEXT_ALARM = 0.80, 0.95
_MEMORY_WARNING = 0.90
_HOT = (ThermalState.SERIOUS, ThermalState.CRITICAL)
_SWAP_WORTH_SAYING = 64 * 2**20
"""Bytes; less growth of swap since the start is other programs' normal use."""


@dataclass(frozen=True)
class Activity:
    """Work of the running or last answer; counts in tokens, times in seconds."""

    thinking_tokens: int = 0
    thinking_seconds: float = 0.0
    answer_tokens: int = 0
    answer_seconds: float = 0.0


@dataclass(frozen=True)
class _Limit:
    """The limit of memory and its name."""

    size: int
    name: str


def _limit(telemetry: Telemetry) -> _Limit | None:
    """Metal's recommended limit if there is one, else all of the machine's memory."""
    if telemetry.recommended_bytes:
        return _Limit(telemetry.recommended_bytes, "limit")
    if telemetry.total_bytes:
        return _Limit(telemetry.total_bytes, "RAM")
    return None


def memory_title(telemetry: Telemetry, width: int) -> str:
    """The noun and the limit of memory, on `width` cells."""
    limit = _limit(telemetry)
    title = f"Memory · {limit.name} {format_memory(limit.size)}" if limit else "Memory"
    return title if len(title) <= width else "Memory"


def memory_rows(progress: Progress, width: int) -> Rows:
    """A bar of active and cached memory; MLX's figures; the process and the machine."""
    telemetry = progress.telemetry
    machine = _machine(telemetry, width)
    limit, active = _limit(telemetry), telemetry.active_bytes
    known = [
        (name, size)
        for name, size in (
            ("active", active),
            ("KV", progress.kv_bytes),
            ("cache", telemetry.cache_bytes),
            ("peak", telemetry.peak_bytes),
        )
        if size is not None
    ]
    if not known:
        return [[("not measured yet", _QUIET)], [], machine]
    figures = [(f"{name} ", format_memory(size)) for name, size in known]
    details = _spread(figures, width)
    one_unit = len({figure.partition(" ")[2] for _name, figure in figures}) == 1
    if len(details) < 2 * len(known) and one_unit:  # the title has the unit
        details = _spread([(name, figure.partition(" ")[0]) for name, figure in figures], width, gap=1)
    if limit is None or active is None:
        return [details, [], machine]
    share = active / limit.size
    tail = f" {share:.0%}"
    bars = _memory_bar(
        active,
        telemetry.cache_bytes or 0,
        telemetry.peak_bytes or 0,
        limit.size,
        max(0, width - len(tail)),
    )
    return [[*bars, (tail, _ALARM if share >= _MEMORY_WARNING else "bold")], details, machine]


def _machine(telemetry: Telemetry, width: int) -> list[Piece]:
    """One row: warnings first, then the process, then this machine's sensors."""
    parts: list[tuple[str, str, str]] = []
    pressure, thermal = telemetry.pressure, telemetry.thermal
    if pressure is not None and pressure is not MemoryPressure.NORMAL:
        style = _ALARM if pressure is MemoryPressure.CRITICAL else _WARNING
        parts.append(("pressure ", pressure.value, style))
    if (telemetry.swap_grown_bytes or 0) >= _SWAP_WORTH_SAYING:
        parts.append(("swap ", f"+{format_memory(telemetry.swap_grown_bytes or 0)}", _WARNING))
    if thermal is not None and thermal in _HOT:
        parts.append(("temperature ", "critical" if thermal is ThermalState.CRITICAL else "high", _WARNING))
    if telemetry.footprint_bytes is not None:
        parts.append(("process ", format_memory(telemetry.footprint_bytes), ""))
    if telemetry.gpu_busy is not None:
        parts.append(("GPU ", f"{telemetry.gpu_busy:.0%}", ""))
    if telemetry.system_watts is not None:
        parts.append(("", f"{telemetry.system_watts:.0f} W", ""))
    elif telemetry.gpu_watts is not None:
        parts.append(("GPU power ", f"{telemetry.gpu_watts:.0f} W", ""))
    if thermal is not None and thermal not in _HOT:
        parts.append(("temperature ", thermal.value, ""))
    if pressure is MemoryPressure.NORMAL:
        parts.append(("pressure ", "normal", ""))
    if telemetry.swap_bytes is not None:
        parts.append(("swap ", format_memory(telemetry.swap_bytes), ""))
    once: dict[str, tuple[str, str, str]] = {}
    for part in parts:
        once.setdefault(part[0], part)  # shown as a warning already
    return _spread_styled(list(once.values()), width)


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


def speed_rows(
    progress: Progress,
    prefill: Prefill | None,
    speeds: Sequence[float],
    width: int,
    *,
    reading_speed: float | None = None,
    activity: Activity | None = None,
) -> Rows:
    """Tokens per second with their sparkline, or prefill progress; averages; counts.

    Args:
        reading_speed: prompt tokens per second of the running or last prefill.
    """
    first: list[Piece] = []
    if prefill is not None and prefill.done < prefill.total:
        figure = f" prompt {prefill.done:,} / {prefill.total:,}"
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
        first = [("–", _QUIET)]
    known: list[tuple[str, str]] = []
    if progress.average is not None:
        known.append(("average ", f"{format_speed(progress.average)} tok/s"))
    if progress.time_to_first_token is not None:
        known.append(("first token ", format_seconds(progress.time_to_first_token)))
    if reading_speed:
        known.append(("prompt ", f"{format_speed(reading_speed)} tok/s"))
    row = _spread(known, width)
    if len(row) < 2 * len(known):  # the units give way
        row = _spread([(name, value.removesuffix(" tok/s")) for name, value in known], width)
    return [first, row, _activity_row(activity, width)]


def _activity_row(activity: Activity | None, width: int) -> list[Piece]:
    if activity is None:
        return []
    parts = [
        (name, f"{tokens:,} in {format_seconds(seconds)}" if seconds else f"{tokens:,}")
        for name, tokens, seconds in (
            ("thinking ", activity.thinking_tokens, activity.thinking_seconds),
            ("answer ", activity.answer_tokens, activity.answer_seconds),
        )
        if tokens
    ]
    row = _spread(parts, width)
    if len(row) < 2 * len(parts):  # the seconds give way
        row = _spread([(name, value.partition(" in ")[0]) for name, value in parts], width)
    return row


_SEGMENTS: tuple[tuple[str, str], ...] = (
    ("system", "$segment-system"),
    ("images", "$segment-images"),
    ("history", "$segment-history"),
    ("reasoning", "$secondary"),
    ("answer", "$primary"),
)
"""Fields of ContextSegments in the order in which they fill the context, with their colours."""


def context_rows(progress: Progress, context_length: int | None, width: int) -> Rows:
    """A bar of the context in parts; figures with a warning; the parts by name."""
    length = progress.context_length or context_length
    if not length:
        return [[("no model yet", _QUIET)], [], []]
    share = progress.context_used / length
    style, word = "", f"{max(0, length - progress.context_used):,} left"
    if share >= _CONTEXT_ALARM:
        style, word = _ALARM, "almost full"
    elif share >= _CONTEXT_WARNING:
        style, word = _WARNING, "getting full"
    figure = f" {share:.0%}"
    drawn = [*_context_bar(progress, length, max(0, width - len(figure))), (figure, style or "bold")]
    figures = [("", f"{progress.context_used:,} / {length:,} tokens", ""), ("", word, style)]
    return [drawn, _spread_styled(figures, width), _legend(progress.segments, width)]


def _context_bar(progress: Progress, length: int, width: int) -> list[Piece]:
    """A bar of the parts; each part gets at least a sliver of colour."""
    parts = _parts(progress.segments)
    if not parts:
        return [(bar(progress.context_used / length, width), f"$success {_TRACK}")]
    drawn: list[Piece] = []
    used = reached = 0
    for _name, colour, tokens in parts:
        reached += tokens
        end = min(width, -(-reached * width // length))
        drawn += [("█" * (end - used), colour)] if end > used else []
        used = max(used, end)
    return [*drawn, ("─" * (width - used), "$foreground 30%")]


def _legend(segments: ContextSegments | None, width: int) -> list[Piece]:
    """The parts by name, with their colours; the largest ones where not all fit."""
    parts = _parts(segments)
    while parts:
        row: list[Piece] = []
        for name, colour, tokens in parts:
            row += [("  " if row else "", ""), ("■ ", colour), (f"{name} ", _QUIET), (f"{tokens:,}", "")]
        if sum(len(text) for text, _style in row) <= width:
            return row
        parts.remove(min(parts, key=lambda part: part[2]))
    return []


def _parts(segments: ContextSegments | None) -> list[tuple[str, str, int]]:
    if segments is None:
        return []
    parts = [(name, colour, int(getattr(segments, name))) for name, colour in _SEGMENTS]
    return [part for part in parts if part[2] > 0]


def narrow_rows(
    progress: Progress,
    prefill: Prefill | None,
    speeds: Sequence[float],
    context_length: int | None,
    width: int,
) -> Rows:
    """Everything in two rows for a narrow screen."""
    telemetry, limit = progress.telemetry, _limit(progress.telemetry)
    memory = format_memory(telemetry.active_bytes) if telemetry.active_bytes is not None else "–"
    of = f" · {limit.name} {format_memory(limit.size)}" if limit else ""
    length = progress.context_length or context_length
    context = f"context {progress.context_used / length:.0%}" if length else ""
    left = f"memory {memory}{of}"
    rows: Rows = [[(left, ""), (context.rjust(max(0, width - len(left))), "")]]
    return [speed_rows(progress, prefill, speeds, width)[0], *rows]


def _spread(pairs: Sequence[tuple[str, str]], width: int, *, gap: int = 2) -> list[Piece]:
    """Names and values in one row, `gap` cells apart, as many as fit."""
    return _spread_styled([(name, value, "") for name, value in pairs], width, gap=gap)


def _spread_styled(parts: Sequence[tuple[str, str, str]], width: int, *, gap: int = 2) -> list[Piece]:
    """The same with a style for each value."""
    row: list[Piece] = []
    used = 0
    for name, value, style in parts:
        between = " " * gap if row else ""
        used += len(between) + len(name) + len(value)
        if used > width:
            break
        row += [(between + name, _QUIET), (value, style)]
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
