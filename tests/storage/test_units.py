"""Sizes are written in one place: disk in decimal units, memory in binary ones."""

import pytest

from magistral_mlx.storage.units import (
    GB,
    GIB,
    format_about,
    format_disk,
    format_memory,
    format_rate,
)


@pytest.mark.parametrize(
    ("count", "disk", "memory"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1536, "1.5 kB", "1.5 KiB"),
        (412_000_000, "412 MB", "393 MiB"),
        (14_149_000_000, "14.1 GB", "13.2 GiB"),
        (24 * GIB, "25.8 GB", "24.0 GiB"),
        (20 * GB, "20.0 GB", "18.6 GiB"),
    ],
)
def test_a_size_names_its_unit(count: int, disk: str, memory: str) -> None:
    assert format_disk(count) == disk
    assert format_memory(count) == memory


def test_a_rate_is_a_size_a_second() -> None:
    assert format_rate(240.4e6) == "240 MB/s"


def test_a_requirement_is_a_round_figure() -> None:
    assert format_about(20 * GB) == "20 GB"
