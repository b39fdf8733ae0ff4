"""Figures for people: absent ones are absent, nothing is wider than its place, limits are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.engine.protocol import Prefill, Progress
from magistral_mlx.telemetry import Telemetry
from magistral_mlx_tui.text import figures, gauges

_GB = 2**30
_MAC = Telemetry(
    active_bytes=14 * _GB,
    cache_bytes=_GB,
    peak_bytes=16 * _GB,
    recommended_bytes=24 * _GB,
    total_bytes=32 * _GB,
)
_SIZES = st.one_of(st.none(), st.integers(0, 200 * _GB))
_SPEED = st.one_of(st.none(), st.floats(0, 5000))


def text_of(rows: gauges.Rows) -> list[str]:
    return ["".join(text for text, _style in row) for row in rows]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 kB"),
        (34 * 1024, "34 kB"),
        (412 * 2**20, "412 MB"),
        (24 * _GB, "24.0 GB"),
    ],
)
def test_bytes(count: int, shown: str) -> None:
    assert figures.format_bytes(count) == shown


def test_seconds_and_speeds() -> None:
    assert [figures.format_seconds(value) for value in (0.424, 12.34, 185.2)] == [
        "0.42 s",
        "12.3 s",
        "3 min 05 s",
    ]
    assert [figures.format_speed(value) for value in (0.0, 31.24, 241.7)] == ["0.0", "31.2", "242"]


def test_bar_and_sparkline() -> None:
    assert figures.bar(0.5, 4) == "██  "
    assert figures.bar(0.3125, 4) == "█▎  "
    assert figures.bar(7, 3) == "███"
    assert figures.sparkline([0, 4, 8], 4) == " ▁▄█"
    assert figures.sparkline([1, 2, 3, 4], 2) == "▆█"
    assert figures.sparkline([], 3) == "   "


def test_memory_against_what_the_machine_recommends() -> None:
    bar, details = text_of(gauges.memory_rows(_MAC, 44))
    assert bar.endswith(" 58%")
    assert details == "active 14.0 GB  cache 1.0 GB  peak 16.0 GB"
    assert gauges.memory_title(_MAC, 40) == "Memory of 24.0 GB recommended"


def test_units_are_left_out_only_where_they_are_the_same() -> None:
    assert text_of(gauges.memory_rows(_MAC, 32))[1] == "active 14.0 cache 1.0 peak 16.0"
    mixed = Telemetry(active_bytes=4 * 2**20, cache_bytes=73 * 2**10, peak_bytes=5 * 2**20, total_bytes=_GB)
    assert text_of(gauges.memory_rows(mixed, 32))[1] == "active 4.0 MB  cache 73 kB"


def test_memory_without_a_recommendation_is_measured_against_all_of_it_and_says_so() -> None:
    telemetry = Telemetry(active_bytes=2 * _GB, total_bytes=16 * _GB)
    assert gauges.memory_title(telemetry, 40) == "Memory of 16.0 GB RAM"
    assert text_of(gauges.memory_rows(telemetry, 30))[1] == "active 2.0 GB"


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    everything = [
        *text_of(gauges.memory_rows(Telemetry(), 40)),
        *text_of(gauges.speed_rows(Progress(), None, [], 40)),
        *text_of(gauges.context_rows(Progress(), None, 40)),
        gauges.memory_title(Telemetry(), 40),
    ]
    assert not any(character.isdigit() for row in everything for character in row)


def test_reading_shows_how_far_it_is() -> None:
    assert text_of(gauges.speed_rows(Progress(), Prefill(512, 1024), [], 40))[0].endswith(" read 512 / 1,024")


@pytest.mark.parametrize(("used", "word"), [(100, "900 left"), (800, "getting full"), (950, "almost full")])
def test_the_context_warns_in_words(used: int, word: str) -> None:
    progress = Progress(context_used=used, context_length=1000)
    assert text_of(gauges.context_rows(progress, None, 50))[1].endswith(word)


@given(
    st.builds(
        Telemetry,
        active_bytes=_SIZES,
        cache_bytes=_SIZES,
        peak_bytes=_SIZES,
        recommended_bytes=_SIZES,
        total_bytes=_SIZES,
    ),
    _SPEED,
    _SPEED,
    _SPEED,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(12, 120),
)
def test_no_row_is_wider_than_its_place(
    telemetry: Telemetry,
    speed: float | None,
    average: float | None,
    first: float | None,
    used: int,
    length: int,
    width: int,
) -> None:
    progress = Progress(telemetry, speed, average, first, used, length)
    for prefill in (None, Prefill(used, length)):
        for rows in (
            gauges.memory_rows(telemetry, width + 5),
            gauges.speed_rows(progress, prefill, [speed or 0.0], width + 20),
            gauges.context_rows(progress, length, width),
        ):
            assert len(rows) == 2
            assert all(len(row) <= width + 20 for row in text_of(rows))
    assert len(gauges.memory_title(telemetry, width)) <= max(width, len("Memory"))


@pytest.mark.parametrize("width", [-5, 0, 1, 3])
def test_no_width_breaks_anything(width: int) -> None:
    progress = Progress(_MAC, 30.0, 30.0, 0.8, 2000, 4000)
    for prefill in (None, Prefill(1, 2)):
        gauges.memory_rows(_MAC, width)
        gauges.speed_rows(progress, prefill, [1.0], width)
        gauges.context_rows(progress, None, width)
        gauges.narrow_rows(progress, prefill, [1.0], None, width)
