"""What is said before the work: a time with the disk in it, and free space with our own leftovers counted."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import Progress, convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.writing.preflight import Preflight, disk_speed
from support.random_checkpoint import write_source
from support.stopping import StopAt

GB = 10**9

MAGISTRAL = Preflight(
    source="Magistral",
    source_bytes=48 * GB,
    stored_bytes=48 * GB,
    source_files=10,
    tensors=585,
    to_fetch=0,
    target="out",
    recipe="4bit",
    output_bytes=14 * GB,
    output_files=16,
    kept_bytes=0,
    disk_needed=15 * GB,
    disk_free=50 * GB,
    memory_needed=300 << 20,
    memory_available=8 << 30,
    bytes_per_second=400e6,
    disk_bytes_per_second=500e6,
)


def test_the_time_is_a_range_from_overlapping_to_one_after_the_other() -> None:
    least, most = MAGISTRAL.seconds
    assert least == pytest.approx(48 / 0.4)
    assert most == pytest.approx(48 / 0.4 + 48 / 0.5 + 14 / 0.5)
    assert MAGISTRAL.lines()[-1] == "Time: 2 minutes to 4 minutes, converting 400 MB/s and writing 500 MB/s"


def test_a_slow_disk_bounds_the_time_from_below() -> None:
    least, _ = replace(MAGISTRAL, disk_bytes_per_second=50e6).seconds
    assert least == pytest.approx(14 / 0.05)


def test_what_is_there_already_takes_no_time() -> None:
    half = replace(MAGISTRAL, kept_bytes=7 * GB)
    assert half.seconds == pytest.approx([seconds / 2 for seconds in MAGISTRAL.seconds])


def test_memory_is_in_gib_and_files_in_gb() -> None:
    lines = MAGISTRAL.lines()
    assert lines[2] == "Disk: 15.0 GB needed, 50.0 GB free"
    assert lines[3] == "Memory: 300 MiB needed, 8.0 GiB available"


def test_measuring_the_disk_leaves_nothing(tmp_path: Path) -> None:
    assert disk_speed(tmp_path, nbytes=3_000_000) > 0
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_the_next_run_cuts_off_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 60_000)
    source = write_source(tmp_path / "hf")
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", progress=StopAt(20))
    (tmp_path / ".out.partial" / "model" / "unfinished").write_bytes(b"x" * 90_000_000)

    def nearly_full(_: object) -> Any:
        return shutil._ntuple_diskusage(10**9, 10**9 - 10**7, 10**7)  # type: ignore[attr-defined]

    facts: list[Progress] = []
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", nearly_full)
        folder = convert(source, tmp_path / "out", progress=facts.append)
    assert folder.is_dir()
    (free,) = [event.facts["disk_free"] for event in facts if event.facts]
    assert isinstance(free, int)
    assert free >= 10**7 + 89_000_000


def test_nothing_of_ours_is_counted_on_a_disk_that_is_full_of_other_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: object) -> Any:
        return shutil._ntuple_diskusage(10**9, 10**9 - 10**7, 10**7)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(ConversionError, match="has 10 MB free"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out")
