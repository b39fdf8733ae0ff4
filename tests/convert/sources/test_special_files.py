"""Pipes, devices, oversized and unreadable files in a source are refused at once, in one line."""

import os
from pathlib import Path

import pytest

from magistral_mlx.errors import MagistralError
from magistral_mlx_convert import convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.sources.gguf.files import find_gguf_files
from magistral_mlx_convert.writing import side_files
from support.gguf_checkpoint import write_text
from support.hf_checkpoint import digests
from support.random_checkpoint import write_source
from support.stopping import StopAt


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json", "tekken.json"])
def test_a_special_file_in_a_folder(tmp_path: Path, kind: str, name: str) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    (source / name).unlink()
    put(source / name, kind)
    with pytest.raises(MagistralError) as caught:
        convert(source, tmp_path / "out")
    assert caught.value.remedy


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["Tiny-Q8_0.gguf", "mmproj-F16.gguf"])
def test_a_special_gguf_file(tmp_path: Path, kind: str, name: str) -> None:
    put(tmp_path / name, kind)
    with pytest.raises(MagistralError, match="can't be read: not a regular file"):
        convert(tmp_path, tmp_path / "out")


def test_params_that_are_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "consolidated.safetensors").write_bytes(bytes(8))
    os.mkfifo(tmp_path / "params.json")
    with pytest.raises(MagistralError, match=r"params\.json can't be read: not a regular file"):
        convert(tmp_path, tmp_path / "out")


def test_a_tokenizer_of_any_size_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "hf")
    monkeypatch.setattr(side_files, "MOST_TOKENIZER_BYTES", 1000)
    with pytest.raises(MagistralError, match=r"tekken\.json can't be read: larger than 1000 bytes"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("name", ["x-00001-of-00000.gguf", "x-00003-of-00002.gguf", "x-00000-of-00002.gguf"])
def test_a_part_of_an_impossible_number_is_named(tmp_path: Path, source_gguf: Path, name: str) -> None:
    path = source_gguf.rename(tmp_path / name)
    with pytest.raises(MagistralError, match="is named as part"):
        find_gguf_files(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    source.chmod(0o600)
    try:
        with pytest.raises(MagistralError, match="can't be read: Permission denied"):
            convert(source, tmp_path / "out")
    finally:
        source.chmod(0o700)


def test_what_the_system_refuses_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for whoever runs the tests as root."""
    source = write_source(tmp_path / "hf")
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.parent == source:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(MagistralError, match="can't be read: Permission denied"):
        convert(source, tmp_path / "out")


def put(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.fixture
def source_gguf(tmp_path: Path) -> Path:
    return write_text(tmp_path / "Tiny-F16.gguf", write_source(tmp_path / "hf"), kind="F16")


def test_a_source_that_changes_between_two_runs_is_noticed_whatever_its_time_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 60_000)
    source = write_source(tmp_path / "hf")
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", progress=StopAt(20))
    weights = max(source.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    state, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    notes: list[str] = []
    convert(source, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert any("of another source" in note for note in notes)
    assert digests(tmp_path / "out") == digests(convert(source, tmp_path / "again"))


def test_a_header_of_more_tensors_than_any_model_has_is_refused(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = ("{" + ",".join(f'"{number}":{entry}' for number in range(100_001)) + "}").encode()
    max(source.glob("*.safetensors")).write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(MagistralError, match="claims 100001 tensors"):
        convert(source, tmp_path / "out")
