"""Figures for people: absent ones are absent, nothing is wider than its place, limits are named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.engine.protocol import Prefill, Progress
from magistral_mlx.events import ContextSegments
from magistral_mlx.machine.telemetry import MemoryPressure, Telemetry, ThermalState
from magistral_mlx.storage import units
from magistral_mlx_tui.conversation.turns import Question, Turn
from magistral_mlx_tui.text import format as figures
from magistral_mlx_tui.text import gauges

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
        (1536, "1.5 KiB"),
        (34 * 1024, "34 KiB"),
        (412 * 2**20, "412 MiB"),
        (24 * _GB, "24.0 GiB"),
    ],
)
def test_bytes(count: int, shown: str) -> None:
    assert units.format_memory(count) == shown


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
    bar, details, _machine = text_of(gauges.memory_rows(Progress(_MAC), 46))
    assert bar.endswith(" 58%")
    assert details == "active 14.0 GiB  cache 1.0 GiB  peak 16.0 GiB"
    assert gauges.memory_title(_MAC, 40) == "Memory · limit 24.0 GiB"


def test_units_are_left_out_only_where_they_are_the_same() -> None:
    assert text_of(gauges.memory_rows(Progress(_MAC), 32))[1] == "active 14.0 cache 1.0 peak 16.0"
    mixed = Telemetry(active_bytes=4 * 2**20, cache_bytes=73 * 2**10, peak_bytes=5 * 2**20, total_bytes=_GB)
    assert text_of(gauges.memory_rows(Progress(mixed), 32))[1] == "active 4.0 MiB  cache 73 KiB"


def test_memory_without_a_recommendation_is_measured_against_all_of_it_and_says_so() -> None:
    telemetry = Telemetry(active_bytes=2 * _GB, total_bytes=16 * _GB)
    assert gauges.memory_title(telemetry, 40) == "Memory · RAM 16.0 GiB"
    assert text_of(gauges.memory_rows(Progress(telemetry), 30))[1] == "active 2.0 GiB"


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    everything = [
        *text_of(gauges.memory_rows(Progress(), 40)),
        *text_of(gauges.speed_rows(Progress(), None, [], 40)),
        *text_of(gauges.context_rows(Progress(), None, 40)),
        gauges.memory_title(Telemetry(), 40),
    ]
    assert not any(character.isdigit() for row in everything for character in row)


def test_reading_shows_how_far_it_is() -> None:
    assert text_of(gauges.speed_rows(Progress(), Prefill(512, 1024), [], 40))[0].endswith(
        " prompt 512 / 1,024"
    )


@pytest.mark.parametrize(("used", "word"), [(100, "900 left"), (800, "getting full"), (950, "almost full")])
def test_the_context_warns_in_words(used: int, word: str) -> None:
    progress = Progress(context_used=used, context_length=1000)
    assert text_of(gauges.context_rows(progress, None, 50))[1].endswith(word)


def test_the_machine_says_what_worries_first_and_only_what_it_knows() -> None:
    calm = Telemetry(
        active_bytes=1, footprint_bytes=_GB, gpu_busy=0.87, thermal=ThermalState.FAIR, system_watts=31.6
    )
    assert (
        text_of(gauges.memory_rows(Progress(calm), 60))[2]
        == "process 1.0 GiB  GPU 87%  32 W  temperature fair"
    )
    worried = replace(
        calm,
        pressure=MemoryPressure.CRITICAL,
        thermal=ThermalState.SERIOUS,
        swap_bytes=3 * _GB,
        swap_grown_bytes=2 * _GB,
    )
    assert text_of(gauges.memory_rows(Progress(worried), 70))[2].startswith(
        "pressure critical  swap +2.0 GiB  temperature high  process 1.0 GiB"
    )
    assert text_of(gauges.memory_rows(Progress(Telemetry(active_bytes=1)), 60))[2] == ""


def test_the_kv_cache_has_its_share() -> None:
    progress = Progress(replace(_MAC, peak_bytes=None), kv_bytes=2 * _GB)
    assert text_of(gauges.memory_rows(progress, 60))[1] == "active 14.0 GiB  KV 2.0 GiB  cache 1.0 GiB"


def test_thought_and_answer_have_tokens_and_seconds_apart() -> None:
    activity = gauges.Activity(1200, 48.2, 90, 3.0)
    assert text_of(gauges.speed_rows(Progress(), None, [], 60, activity=activity))[2] == (
        "thinking 1,200 in 48.2 s  answer 90 in 3.0 s"
    )
    assert text_of(gauges.speed_rows(Progress(), None, [], 26, activity=activity))[2] == (
        "thinking 1,200  answer 90"
    )
    assert text_of(gauges.speed_rows(Progress(), None, [], 60, activity=gauges.Activity()))[2] == ""


def test_the_context_shows_its_parts() -> None:
    segments = ContextSegments(system=100, images=400, history=0, reasoning=250, answer=50)
    progress = Progress(context_used=800, context_length=1000, segments=segments)
    bar, figures, legend = gauges.context_rows(progress, None, 65)
    assert [(len(text), style) for text, style in bar] == [
        (7, "$segment-system"),
        (24, "$segment-images"),
        (15, "$secondary"),
        (3, "$primary"),
        (12, "$foreground 30%"),
        (4, "bold $warning"),
    ]
    assert text_of([figures, legend]) == [
        "800 / 1,000 tokens  getting full",
        "■ system 100  ■ images 400  ■ reasoning 250  ■ answer 50",
    ]
    assert text_of(gauges.context_rows(progress, None, 40))[2] == "■ images 400  ■ reasoning 250"


def test_reading_speed_is_that_of_this_turn() -> None:
    seconds = iter([0.0, 1.0, 3.0])
    turn = Turn(Question("?"), clock=lambda: next(seconds))
    for done in (500, 1000, 2000):
        turn.add_reading(done)
    assert turn.reading_speed == 500


_COUNTS = st.integers(0, 10**5)


@given(
    st.builds(
        Telemetry,
        active_bytes=_SIZES,
        cache_bytes=_SIZES,
        peak_bytes=_SIZES,
        footprint_bytes=_SIZES,
        swap_bytes=_SIZES,
        swap_grown_bytes=_SIZES,
        pressure=st.sampled_from([None, *MemoryPressure]),
        thermal=st.sampled_from([None, *ThermalState]),
        gpu_busy=st.one_of(st.none(), st.floats(0, 1)),
        recommended_bytes=_SIZES,
        total_bytes=_SIZES,
    ),
    _SPEED,
    _SPEED,
    _SPEED,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(12, 120),
    st.one_of(st.none(), st.builds(ContextSegments, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS)),
    st.builds(gauges.Activity, _COUNTS, st.floats(0, 1e5), _COUNTS, st.floats(0, 1e5)),
)
def test_no_row_is_wider_than_its_place(
    telemetry: Telemetry,
    speed: float | None,
    average: float | None,
    first: float | None,
    used: int,
    length: int,
    width: int,
    segments: ContextSegments | None,
    activity: gauges.Activity,
) -> None:
    progress = Progress(telemetry, speed, average, first, used, length, kv_bytes=used, segments=segments)
    for prefill in (None, Prefill(used, length)):
        for rows in (
            gauges.memory_rows(progress, width + 5),
            gauges.speed_rows(
                progress, prefill, [speed or 0.0], width + 20, reading_speed=speed, activity=activity
            ),
            gauges.context_rows(progress, length, width),
        ):
            assert len(rows) == 3
            assert all(len(row) <= width + 20 for row in text_of(rows))
    assert len(gauges.memory_title(telemetry, width)) <= max(width, len("Memory"))


@pytest.mark.parametrize("width", [-5, 0, 1, 3])
def test_no_width_breaks_anything(width: int) -> None:
    progress = Progress(_MAC, 30.0, 30.0, 0.8, 2000, 4000)
    for prefill in (None, Prefill(1, 2)):
        gauges.memory_rows(Progress(_MAC), width)
        gauges.speed_rows(progress, prefill, [1.0], width)
        gauges.context_rows(progress, None, width)
        gauges.narrow_rows(progress, prefill, [1.0], None, width)
