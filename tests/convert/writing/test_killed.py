"""Death by SIGKILL: nothing looks whole, and the same command goes on to the bytes of an undisturbed run."""

import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from magistral_mlx_convert import Progress, Stage, convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.writing import journal
from support.hf_checkpoint import digests
from support.hub_server import REPOSITORY, SHARDS, Hub
from support.killed_conversion import BOUNDS, Job, run_and_kill
from support.random_checkpoint import tiny_config, write_source

SMALL = {"SHARD_BYTES": 60_000, "MARK_BYTES": 20_000, "CHUNK_BYTES": 8_000, "LONGEST": 24}
"""Bounds that make a tiny checkpoint a long job (marks inside shards, many chunks), a report short."""

# Seconds each on a quiet machine, but a busy one starts every process anew for long.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(BOUNDS[name], name, value)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where nothing but the conversion writes."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def steps_of(job: Job, folder: Path) -> int:
    """How many steps an undisturbed run takes."""
    undisturbed = replace(job, target=folder / "counted")
    assert run_and_kill(undisturbed, at=0, steps_file=folder / "steps") == 0
    return int((folder / "steps").read_text())


def kill(job: Job, *, at: int) -> None:
    assert run_and_kill(job, at=at, steps_file=job.target.parent.with_name("none")) == -signal.SIGKILL


def notes_of(job: Job) -> list[str]:
    """Finishes the job here, and gives what is said of it."""
    events: list[Progress] = []
    convert(job.source, job.target, progress=events.append, **job.options)
    return [event.note for event in events if event.note and event.stage is not Stage.PREFLIGHT]


# A folder.


@pytest.mark.parametrize(
    ("kills", "share", "layers"), [(5, 8, 1), pytest.param(50, 25, 12, marks=pytest.mark.thorough)]
)
def test_many_kills_over_one_conversion(
    tmp_path: Path, work: Path, kills: int, share: int, layers: int
) -> None:
    config = tiny_config()
    config["text_config"]["num_hidden_layers"] = layers  # work for so many lives
    source = write_source(tmp_path / "hf", config=config, shards=2)
    expected = digests(convert(source, tmp_path / "undisturbed"))
    job, chance = Job(str(source), work / "out", SMALL), random.Random(50)
    steps = steps_of(job, tmp_path)
    assert steps > 20 * kills
    # Each run gets at most such a share of the way and loses what follows its last mark.
    for _ in range(kills):
        kill(job, at=chance.randint(1, steps // share))
        assert not job.target.exists()
    assert "Continuing where an earlier run stopped" in notes_of(job)
    assert digests(job.target) == expected
    assert [path.name for path in work.iterdir()] == ["out"]


def test_killed_at_any_step_nothing_looks_whole_and_the_next_run_finishes(tmp_path: Path, work: Path) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    expected = digests(convert(source, tmp_path / "undisturbed"))
    job = Job(str(source), work / "out", SMALL)
    steps = steps_of(job, tmp_path)
    # the last steps (small files, rename, clearing up) one by one, the long middle here and there
    for fatal in [1, 2, 3, *range(30, steps - 24, steps // 4), *range(steps - 24, steps + 1, 2)]:
        kill(job, at=fatal)
        if job.target.exists():
            # only once the rename is done
            assert fatal >= steps - 3
        else:
            convert(job.source, job.target)
        assert digests(job.target) == expected, f"killed at step {fatal} of {steps}"
        shutil.rmtree(job.target)
        shutil.rmtree(work / ".out.partial", ignore_errors=True)


# Progress.


@pytest.fixture
def one_shard(tmp_path: Path, work: Path) -> Job:
    """A job whose journal only grows by what is done unasked: no shard ends, no mark is due."""
    config = tiny_config(vision=False)
    config["text_config"]["num_hidden_layers"] = 1
    source = write_source(tmp_path / "hf", config=config)
    return Job(str(source), work / "out", {**SMALL, "SHARD_BYTES": 10**9, "MARK_BYTES": 10**9})


def durable(job: Job) -> int:
    """Parameters of the one shard that the journal vouches for; more than it can have once it is finished."""
    done = journal.load(job.target.parent / ".out.partial")
    if done is None:
        return 0
    return 1000 if done.finished else done.mark.units if done.mark else 0


def test_killed_always_at_the_same_early_point_every_run_leaves_more_than_it_found(
    tmp_path: Path, one_shard: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 10**9)
    expected = digests(convert(one_shard.source, tmp_path / "undisturbed"))
    fatal = 72  # far enough for the largest parameter: 16 chunks, as many scales and biases
    before = lives = 0
    while run_and_kill(one_shard, at=fatal, steps_file=tmp_path / "none") != 0:
        assert durable(one_shard) > before
        before, lives = durable(one_shard), lives + 1
    assert lives > 3
    assert digests(one_shard.target) == expected


def test_killed_before_the_first_parameter_it_says_that_nothing_is_left(
    one_shard: Job,
) -> None:
    for _ in range(2):
        kill(one_shard, at=8)
        assert durable(one_shard) == 0
    assert notes_of(one_shard) == [
        "An earlier run was stopped before its first weight was finished: starting over"
    ]


# The hub.


@pytest.fixture
def from_hub(hub: Hub, sorted_shards: None, tmp_path: Path, work: Path) -> Iterator[Job]:
    """A job whose source files come one at a time and go once they are used up."""
    yield Job(REPOSITORY, work / "out", SMALL, hub=(hub.endpoint, tmp_path / "cache"))
    assert [path.name for path in work.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "cache").rglob("*model-0*")] == []


def test_killed_again_and_again_while_files_come_and_go(tmp_path: Path, from_hub: Job) -> None:
    expected = digests(convert(REPOSITORY, tmp_path / "undisturbed"))
    chance = random.Random(12)
    steps = steps_of(from_hub, tmp_path)
    lives = 0
    while run_and_kill(from_hub, at=chance.randint(steps // 20, steps // 4), steps_file=tmp_path / "none"):
        lives += 1
        assert not from_hub.target.exists()
    assert lives > 3
    assert digests(from_hub.target) == expected


def test_killed_once_at_seeded_points_of_a_job_from_the_hub(tmp_path: Path, from_hub: Job) -> None:
    expected = digests(convert(REPOSITORY, tmp_path / "undisturbed"))
    steps = steps_of(from_hub, tmp_path)
    chance = random.Random(7)
    for fatal in sorted(chance.sample(range(2, steps - 8), 8)):
        kill(from_hub, at=fatal)
        assert not from_hub.target.exists()
        convert(REPOSITORY, from_hub.target)
        assert digests(from_hub.target) == expected, f"killed at step {fatal} of {steps}"
        shutil.rmtree(from_hub.target)
    convert(REPOSITORY, from_hub.target)


# The report.


def test_killed_while_the_files_of_a_report_are_written(tmp_path: Path, work: Path) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    job = Job(str(source), work / "out", SMALL, options={"report": True}, only="write_bytes")
    expected = digests(convert(source, tmp_path / "undisturbed", report=True))
    files = len(expected) - len([name for name in expected if name.startswith("model-")])
    for fatal in (files - 2, files):
        kill(job, at=fatal)
        assert not job.target.exists()
    assert "Continuing where an earlier run stopped" in notes_of(job)
    assert digests(job.target) == expected
    assert [path.name for path in work.iterdir()] == ["out"]


@pytest.mark.usefixtures("sorted_shards")
def test_killed_while_both_models_run_for_the_report_of_a_hub_id(
    hub: Hub, tmp_path: Path, work: Path
) -> None:
    cache = tmp_path / "cache"
    job = Job(REPOSITORY, work / "out", SMALL, (hub.endpoint, cache), {"report": True}, only="pass_layer")
    kill(job, at=3)
    hub.requests.clear()
    convert(REPOSITORY, job.target, report=True)
    assert not set(SHARDS) & hub.downloaded(), "they lay in the cache"
    assert digests(job.target) == digests(convert(REPOSITORY, tmp_path / "undisturbed", report=True))
