"""A conversion succeeds whole or leaves nothing that looks whole, however it ends; it can be continued."""

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import Progress, Stage, convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.planning.recipe import choose_recipe
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.mapping import map_tensors
from magistral_mlx_convert.writing import journal, shard_writer, stream
from magistral_mlx_convert.writing.journal import JOURNAL_FILE
from magistral_mlx_convert.writing.shard_file import ShardFile
from magistral_mlx_convert.writing.staging import open_workplace
from support.hf_checkpoint import digests
from support.random_checkpoint import write_source
from support.stopping import failing_behind_a_mark

SMALL = {"SHARD_BYTES": 60_000, "MARK_BYTES": 20_000, "CHUNK_BYTES": 8_000}
"""Bounds that make a tiny checkpoint a long job: several shards, marks inside them, many chunks."""


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", SMALL["SHARD_BYTES"])
    monkeypatch.setattr(shard_writer, "MARK_BYTES", SMALL["MARK_BYTES"])
    monkeypatch.setattr(stream, "CHUNK_BYTES", SMALL["CHUNK_BYTES"])


class Case(NamedTuple):
    """A source, a target that does not exist yet, and the digests that an undisturbed run gives."""

    source: Path
    target: Path
    expected: dict[str, str]

    @property
    def partial(self) -> Path:
        return self.target.parent / f".{self.target.name}.partial"

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    source = write_source(tmp_path / "hf", shards=2)
    expected = digests(convert(source, tmp_path / "undisturbed"))
    (tmp_path / "work").mkdir()
    return Case(source=source, target=tmp_path / "work" / "out", expected=expected)


def stop_at(count: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[[Progress], None]:
    """A progress callback that stops the run at its `count`th call after the preflight."""
    calls = 0

    def tell(event: Progress) -> None:
        nonlocal calls
        calls += event.stage is not Stage.PREFLIGHT
        if calls == count:
            raise error

    return tell


def notes_of(case: Case, **arguments: Any) -> list[str]:
    """What is said of the work itself."""
    events: list[Progress] = []
    convert(case.source, case.target, progress=events.append, **arguments)
    return [event.note for event in events if event.note and event.stage is not Stage.PREFLIGHT]


# Interruption.


@pytest.mark.parametrize("count", [1, 2, 7, 30, 60, 90])
def test_an_interrupted_run_is_continued_to_the_same_bytes(case: Case, count: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(count))
    assert case.leftovers() == [".out.partial"]
    convert(case.source, case.target)
    assert digests(case.target) == case.expected
    assert case.leftovers() == ["out"]


def test_interrupted_again_and_again(case: Case) -> None:
    interruptions = 0
    for count in range(2, 200):
        try:
            convert(case.source, case.target, progress=stop_at(count))
            break
        except KeyboardInterrupt:
            interruptions += 1
            assert not case.target.exists()
    assert interruptions > 5
    assert digests(case.target) == case.expected


def test_finished_work_is_not_done_again(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(60))
    events: list[Progress] = []
    convert(case.source, case.target, progress=events.append)
    assert "Continuing where an earlier run stopped" in [event.note for event in events]
    steps = [event for event in events if event.bytes_total and not event.note]
    assert steps[0].bytes_done == steps[0].bytes_kept > 0


def test_without_resume_an_interruption_leaves_nothing(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, resume=False, progress=stop_at(60))
    assert case.leftovers() == []


def test_without_resume_earlier_work_is_not_used(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(60))
    assert notes_of(case, resume=False) == []
    assert digests(case.target) == case.expected


def test_work_of_another_recipe_is_discarded_and_said(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(60), bits=8)
    assert notes_of(case) == ["An unfinished conversion of another source, recipe or version is discarded"]
    assert digests(case.target) == case.expected


def test_work_on_a_changed_source_is_discarded(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(60))
    for path in case.source.glob("*.safetensors"):
        os.utime(path, ns=(1, 1))
    assert notes_of(case) == ["An unfinished conversion of another source, recipe or version is discarded"]
    assert digests(case.target) == case.expected


def spoil_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # in the data section of a shard, but not behind a mark: that part is not kept anyway
    content[min(16384, len(content) // 2)] ^= 1
    path.write_bytes(content)


def test_a_changed_byte_in_what_the_journal_vouches_for_is_noticed(case: Case) -> None:
    with failing_behind_a_mark():
        convert(case.source, case.target)
    saved = case.target.parent / "saved"
    shutil.copytree(case.partial, saved)
    done = journal.load(saved)
    assert done is not None
    assert done.mark is not None
    for name in (JOURNAL_FILE, *done.finished, done.mark.file):
        shutil.rmtree(case.partial, ignore_errors=True)
        shutil.copytree(saved, case.partial)
        spoil_byte(case.partial / name if name == JOURNAL_FILE else case.partial / "model" / name)
        notes = notes_of(case)
        expected = "without a readable journal" if name == JOURNAL_FILE else name
        assert any(expected in note for note in notes), name
        assert digests(case.target) == case.expected
        shutil.rmtree(case.target)


def sealed_journal(case: Case) -> bytes:
    """The journal of a conversion that was stopped half-way; `case.partial` holds the rest."""
    with pytest.raises(KeyboardInterrupt):
        convert(case.source, case.target, progress=stop_at(60))
    return (case.partial / JOURNAL_FILE).read_bytes()


def test_any_changed_byte_of_the_journal_makes_it_unreadable(case: Case, tmp_path: Path) -> None:
    content = sealed_journal(case)
    assert journal.load(case.partial) is not None
    for position in range(len(content)):
        spoiled = bytearray(content)
        spoiled[position] ^= 1 << position % 8
        (tmp_path / JOURNAL_FILE).write_bytes(spoiled)
        assert journal.load(tmp_path) is None, position


def test_any_changed_byte_that_the_journal_vouches_for_is_named(case: Case) -> None:
    sealed_journal(case)
    claimed = journal.load(case.partial)
    assert claimed is not None
    vouched = {name: shard.nbytes for name, shard in claimed.finished.items()}
    vouched |= {claimed.mark.file: claimed.mark.nbytes} if claimed.mark else {}
    made = plan_of(case)
    chance = random.Random(7)
    assert journal.confirmed_part(case.partial / "model", made, claimed) == (claimed, [])
    for name, nbytes in vouched.items():
        path = case.partial / "model" / name
        content = path.read_bytes()
        for position in {0, nbytes - 1, *(chance.randrange(nbytes) for _ in range(30))}:
            spoiled = bytearray(content)
            spoiled[position] ^= 1 << chance.randrange(8)
            path.write_bytes(spoiled)
            confirmed, complaints = journal.confirmed_part(case.partial / "model", made, claimed)
            assert [name in complaint for complaint in complaints] == [True], (name, position)
            assert name not in confirmed.finished
            assert confirmed.mark is None or confirmed.mark.file != name
        path.write_bytes(content)


def plan_of(case: Case) -> plan.Plan:
    source = HuggingFaceFolder(case.source)
    config = parse_config(source.config)
    return plan.make_plan(config, map_tensors(config, source.tensors), choose_recipe())


# The disk.


def test_a_disk_that_fills_up_says_so_and_keeps_what_is_done(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, room = ShardFile.append, 150_000

    def append_while_there_is_room(self: ShardFile, data: bytes | memoryview) -> None:
        nonlocal room
        room -= memoryview(data).nbytes
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, data)

    with monkeypatch.context() as full:
        full.setattr(ShardFile, "append", append_while_there_is_room)
        with pytest.raises(ConversionError, match=rf"disk of {case.target.parent} is full") as caught:
            convert(case.source, case.target)
    assert "run the same command again" in caught.value.remedy
    assert case.leftovers() == [".out.partial"]
    assert "Continuing where an earlier run stopped" in notes_of(case)
    assert digests(case.target) == case.expected


def test_a_disk_that_is_too_small_is_refused_before_any_work(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: object) -> Any:
        return shutil._ntuple_diskusage(10**9, 10**9 - 10**7, 10**7)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(ConversionError, match=r"has 10 MB free, but the conversion needs 6\d MB"):
        convert(case.source, case.target)
    assert case.leftovers() == []


def test_a_parent_that_cannot_be_written(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConversionError, match="can't be written: Read-only file system") as caught:
        convert(case.source, case.target)
    assert "--to" in caught.value.remedy


def test_a_parent_that_is_a_file(case: Case) -> None:
    with pytest.raises(ConversionError, match="can't be written"):
        convert(case.source, case.source / "config.json" / "out")


def test_missing_parents_are_made(case: Case) -> None:
    assert digests(convert(case.source, case.target / "a" / "b")) == case.expected


# The target.


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_an_existing_target_is_refused_and_left_alone(case: Case, kind: str) -> None:
    if kind == "file":
        case.target.write_text("mine")
    elif kind == "dangling link":
        case.target.symlink_to("nowhere")
    else:
        case.target.mkdir()
    if kind == "folder":
        (case.target / "precious").write_text("mine")
    with pytest.raises(ConversionError, match="out already exists") as caught:
        convert(case.source, case.target)
    assert caught.value.remedy
    assert case.leftovers() == ["out"]
    assert kind != "folder" or (case.target / "precious").read_text() == "mine"


def test_a_target_that_appears_meanwhile_is_not_overwritten(case: Case) -> None:
    def appear(_: Progress) -> None:
        case.target.mkdir(exist_ok=True)
        (case.target / "precious").write_text("mine")

    with pytest.raises(ConversionError, match="already exists"):
        convert(case.source, case.target, progress=appear)
    assert (case.target / "precious").read_text() == "mine"


def test_a_second_run_on_the_same_target_is_refused_and_disturbs_nothing(case: Case) -> None:
    refused = 0

    def start_another(event: Progress) -> None:
        nonlocal refused
        if event.tensors_done in (0, 20) and not event.note:
            with pytest.raises(ConversionError, match="Another conversion is writing"):
                convert(case.source, case.target)
            refused += 1

    convert(case.source, case.target, progress=start_another)
    assert refused > 1
    assert digests(case.target) == case.expected
    assert case.leftovers() == ["out"]


def with_usual_bounds(case: Case) -> Path:
    with pytest.MonkeyPatch.context() as usual:
        usual.setattr(plan, "SHARD_BYTES", 1_000_000_000)
        return convert(case.source, case.source.parent / "usual")


def test_of_several_processes_one_wins(case: Case) -> None:
    program = "import sys; from magistral_mlx_convert import convert; convert(sys.argv[1], sys.argv[2])"
    command = [sys.executable, "-c", program, str(case.source), str(case.target)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment, stdout=subprocess.DEVNULL
        )
        for _ in range(3)
    ]
    complaints = [process.communicate()[1] for process in running]
    won = [process.returncode == 0 for process in running]
    assert sum(won) == 1, complaints
    for winner, complaint in zip(won, complaints, strict=True):
        assert winner or "Another conversion is writing" in complaint or "already exists" in complaint
    # their shards have the usual size
    assert digests(case.target) == digests(with_usual_bounds(case))
    assert case.leftovers() == ["out"]


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    with open_workplace(tmp_path / "out"):
        assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_without_a_holder_is_no_obstacle(case: Case) -> None:
    (case.target.parent / ".out.lock").touch()
    assert digests(convert(case.source, case.target)) == case.expected
    assert case.leftovers() == ["out"]
