"""A hub id is converted as its files arrive: little disk, every byte checked, resumed."""

import hashlib
import random
import re
import shutil
from pathlib import Path

import pytest

from magistral_mlx.errors import CheckpointError, ConversionError, MagistralError
from magistral_mlx_convert import Progress, Stage, convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.sources.hub.files import HubFiles
from magistral_mlx_convert.writing import journal, shard_writer, stream
from support.hf_checkpoint import INDEX, NAN, change_json, digests, read_raw, write_raw
from support.hub_server import REPOSITORY, SHARDS, Hub
from support.stopping import StopAt, failing_behind_a_mark

pytestmark = pytest.mark.usefixtures("sorted_shards")


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 60_000)
    monkeypatch.setattr(shard_writer, "MARK_BYTES", 20_000)
    monkeypatch.setattr(stream, "CHUNK_BYTES", 8_000)


@pytest.fixture
def expected(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """What a local conversion of the same files gives, without the two files that name the source."""
    return of_weights(digests(convert(hub.folder, tmp_path / "expected")))


def of_weights(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if name not in ("README.md", "magistral-mlx.json")}


def weights_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if "model-0" in path.name)


class DiskWatch:
    """The most bytes and source files below a folder at any event."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = self.files = 0

    def __call__(self, _: Progress) -> None:
        sizes: list[int] = []
        held = 0
        for path in self.folder.rglob("*"):
            try:
                sizes.append(path.stat().st_size if path.is_file() else 0)
            except FileNotFoundError:  # it went while it was looked at
                continue
            held += path.parent.name == "source"
        self.bytes, self.files = max(self.bytes, sum(sizes)), max(self.files, held)


@pytest.mark.parametrize("room", [False, True])
def test_the_disk_holds_the_output_and_about_one_file(
    hub: Hub,
    tmp_path: Path,
    expected: dict[str, str],
    small_bounds: None,
    monkeypatch: pytest.MonkeyPatch,
    room: bool,
) -> None:
    monkeypatch.setattr(HubFiles, "_has_room", lambda *_: room)
    (tmp_path / "work").mkdir()
    watch = DiskWatch(tmp_path / "work")
    folder = convert(REPOSITORY, tmp_path / "work" / "out", progress=watch)
    output = sum(path.stat().st_size for path in folder.iterdir())
    largest = max((hub.folder / file).stat().st_size for file in SHARDS)
    whole = sum((hub.folder / file).stat().st_size for file in SHARDS)
    spare = 100_000  # the journal, headers
    assert watch.files == (2 if room else 1)
    assert watch.bytes <= output + watch.files * largest + spare
    assert room or watch.bytes < output + 0.6 * whole
    assert set(of_weights(digests(folder)).items()) >= {
        (name, digest) for name, digest in expected.items() if not name.startswith("model")
    }
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]


def test_the_bytes_are_those_of_a_local_conversion_and_the_cache_gets_no_weights(
    hub: Hub, tmp_path: Path, expected: dict[str, str]
) -> None:
    folder = convert(REPOSITORY, tmp_path / "out")
    assert of_weights(digests(folder)) == expected
    assert weights_under(tmp_path / "cache") == []
    assert sorted(hub.downloads()[-3:]) == SHARDS


def test_kept_weights_lie_in_the_cache(hub: Hub, tmp_path: Path, expected: dict[str, str]) -> None:
    folder = convert(REPOSITORY, tmp_path / "out", keep_source=True)
    assert of_weights(digests(folder)) == expected
    assert weights_under(tmp_path / "cache") == SHARDS


def test_what_the_cache_holds_is_used_and_left_there(
    hub: Hub, tmp_path: Path, expected: dict[str, str]
) -> None:
    convert(REPOSITORY, tmp_path / "first", keep_source=True)
    (cached,) = (tmp_path / "cache").rglob(SHARDS[1])
    for file in (SHARDS[0], SHARDS[2]):
        (link,) = (tmp_path / "cache").rglob(file)
        link.resolve().unlink()
        link.unlink()
    hub.requests.clear()
    assert of_weights(digests(convert(REPOSITORY, tmp_path / "out"))) == expected
    assert sorted(hub.downloaded()) == [SHARDS[0], SHARDS[2]]
    assert weights_under(tmp_path / "cache") == [SHARDS[1]]
    assert cached.exists()


@pytest.mark.parametrize("keep", [False, True])
def test_interrupted_again_and_again_no_file_is_fetched_twice_for_nothing(
    hub: Hub, tmp_path: Path, small_bounds: None, keep: bool
) -> None:
    expected = of_weights(digests(convert(hub.folder, tmp_path / "expected")))
    interruptions = 0
    for count in range(8, 400, 8):
        try:
            convert(REPOSITORY, tmp_path / "out", keep_source=keep, progress=StopAt(count))
            break
        except KeyboardInterrupt:
            interruptions += 1
            assert not (tmp_path / "out").exists()
    assert interruptions > 5
    assert of_weights(digests(tmp_path / "out")) == expected
    assert sorted(path.name for path in tmp_path.glob(".out*")) == []


def test_a_file_that_arrives_damaged_is_fetched_again(
    hub: Hub, tmp_path: Path, expected: dict[str, str]
) -> None:
    hub.spoil = 1
    events: list[Progress] = []
    folder = convert(REPOSITORY, tmp_path / "out", progress=events.append)
    assert of_weights(digests(folder)) == expected
    assert any("arrived damaged: it is fetched again" in event.note for event in events)


def test_a_file_that_arrives_damaged_twice_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.spoil = 2
    with pytest.raises(MagistralError, match=rf"{SHARDS[0]} of {REPOSITORY} arrived damaged twice"):
        convert(REPOSITORY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fetched_file_that_changes_between_two_runs_is_noticed(
    hub: Hub, tmp_path: Path, small_bounds: None
) -> None:
    expected = of_weights(digests(convert(hub.folder, tmp_path / "expected")))
    with pytest.raises(KeyboardInterrupt):
        convert(REPOSITORY, tmp_path / "out", progress=StopAt(20))
    waiting = [path for path in (tmp_path / ".out.partial" / "source").iterdir() if path.suffix != ".part"]
    assert waiting
    for path in waiting:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    events: list[Progress] = []
    folder = convert(REPOSITORY, tmp_path / "out", progress=events.append)
    notes = [event.note for event in events if "differs from the hub's file" in event.note]
    assert any(waiting[0].name in note for note in notes)
    assert of_weights(digests(folder)) == expected


def test_any_changed_byte_of_an_unfinished_job_is_named_and_made_good(
    hub: Hub, tmp_path: Path, small_bounds: None
) -> None:
    expected = of_weights(digests(convert(hub.folder, tmp_path / "expected")))
    partial = tmp_path / ".out.partial"
    with failing_behind_a_mark():
        convert(REPOSITORY, tmp_path / "out")
    shutil.copytree(partial, saved := tmp_path / "saved")
    done = journal.load(saved)
    assert done is not None
    assert done.mark is not None
    fetched = [path.name for path in (saved / "source").iterdir()]
    assert fetched, "the file in use waits for its next tensor"
    for place in ("journal.json", f"model/{done.mark.file}", *(f"source/{name}" for name in fetched)):
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(saved, partial)
        content = bytearray((partial / place).read_bytes())
        # In what the journal vouches for: what follows its mark is not kept anyway.
        content[random.Random(place).randrange(min(len(content), done.mark.nbytes))] ^= 4
        (partial / place).write_bytes(content)
        events: list[Progress] = []
        convert(REPOSITORY, tmp_path / "out", progress=events.append)
        name = place.rpartition("/")[2].removesuffix(".part")
        name = name.partition("-")[2] if place.startswith("source") else name
        assert any(name in event.note for event in events), (place, [event.note for event in events])
        assert of_weights(digests(tmp_path / "out")) == expected
        shutil.rmtree(tmp_path / "out")


def test_a_damaged_file_of_the_cache_is_named_and_left_alone(
    hub: Hub, tmp_path: Path, expected: dict[str, str]
) -> None:
    convert(REPOSITORY, tmp_path / "first", keep_source=True)
    (link,) = (tmp_path / "cache").rglob(SHARDS[1])
    (gone,) = (tmp_path / "cache").rglob(SHARDS[2])
    gone.unlink()
    damaged = bytearray(link.read_bytes())
    damaged[-3] ^= 1
    link.resolve().write_bytes(damaged)
    events: list[Progress] = []
    folder = convert(REPOSITORY, tmp_path / "out", progress=events.append)
    assert any(f"{link.resolve()} is damaged" in event.note for event in events)
    assert of_weights(digests(folder)) == expected
    assert link.read_bytes() == damaged


def test_a_damaged_cache_is_named_when_it_is_all_there_is(hub: Hub, tmp_path: Path) -> None:
    convert(REPOSITORY, tmp_path / "first", keep_source=True)
    (link,) = (tmp_path / "cache").rglob(SHARDS[1])
    damaged = bytearray(link.read_bytes())
    damaged[-3] ^= 1
    link.resolve().write_bytes(damaged)
    with pytest.raises(CheckpointError, match=rf"{SHARDS[1]} is damaged.*SHA256") as caught:
        convert(REPOSITORY, tmp_path / "out")
    assert str(link.resolve()) in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_any_byte_of_a_download_with_a_note_of_its_checksum(hub: Hub, tmp_path: Path) -> None:
    """`hf download --local-dir` leaves the etag of each file beside it."""
    folder = Path(shutil.copytree(hub.folder, tmp_path / "downloaded"))
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    for file in SHARDS:
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        (notes / f"{file}.metadata").write_text(f"{'0' * 40}\n{digest}\n1700000000.0\n")
    convert(folder, tmp_path / "good")
    content = bytearray((folder / SHARDS[2]).read_bytes())
    content[-1] ^= 1
    (folder / SHARDS[2]).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{SHARDS[2]} is damaged"):
        convert(folder, tmp_path / "out")


def test_a_value_that_is_not_finite_is_named_by_tensor_and_file(hub: Hub, tmp_path: Path) -> None:
    tensors = read_raw(hub.folder / SHARDS[2])
    tensors["language_model.lm_head.weight"].data[:2] = NAN["BF16"]
    write_raw(hub.folder / SHARDS[2], tensors)
    with pytest.raises(ConversionError, match=rf"lm_head.weight in {SHARDS[2]} holds a value"):
        convert(REPOSITORY, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_an_index_that_contradicts_the_headers_is_noticed_before_any_download(
    hub: Hub, tmp_path: Path
) -> None:
    change_json(
        hub.folder / INDEX,
        lambda index: index["weight_map"].update(ghost=SHARDS[0]),  # type: ignore[attr-defined]
    )
    with pytest.raises(ConversionError, match=f"places ghost in {SHARDS[0]}"):
        convert(REPOSITORY, tmp_path / "out")
    assert not set(SHARDS) & hub.downloaded()


def test_the_preflight_counts_the_download_and_one_file(hub: Hub, tmp_path: Path) -> None:
    events: list[Progress] = []
    convert(REPOSITORY, tmp_path / "out", progress=events.append)
    lines = [event.note for event in events if event.stage is Stage.PREFLIGHT and event.note]
    assert [line.partition(":")[0] for line in lines] == ["Source", "Result", "Disk", "Memory", "Time"]
    assert re.search(r"in 3 files, 45 tensors; [78]\d\d kB to fetch", lines[0])
    assert "the result and one file of the source at a time" in lines[2]
    assert "at 100 Mbit/s" in lines[4]


def test_a_report_reads_the_source_once_more(hub: Hub, tmp_path: Path) -> None:
    folder = convert(REPOSITORY, tmp_path / "out", report=True)
    here = convert(hub.folder, tmp_path / "local", report=True)
    assert (folder / "report.json").read_bytes() == (here / "report.json").read_bytes()
