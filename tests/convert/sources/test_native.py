"""Mistral's own format: what becomes of it equals, to the byte, what becomes of the Hugging Face files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import MagistralError
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.renaming import read_permuted
from magistral_mlx_convert.writing import stream
from support.hf_checkpoint import change_json, digests, read_raw, write_raw
from support.native_checkpoint import hf_to_native, write_native
from support.random_checkpoint import tiny_config, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "hf", shards=2)


def made_of(folder: Path, to: Path, **options: Any) -> dict[str, str]:
    """Digests of a conversion's files, but for the two that name the source."""
    files = digests(convert(folder, to, **options))
    return {name: files[name] for name in files if name not in ("README.md", "magistral-mlx.json")}


@pytest.mark.parametrize("options", [{}, {"bits": 16, "dtype": "float32"}], ids=str)
def test_the_bytes_are_those_of_the_hugging_face_files(
    source: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    native = write_native(tmp_path / "native", source)
    assert made_of(native, tmp_path / "one", **options) == made_of(source, tmp_path / "two", **options)


def test_heads_that_a_chunk_cuts_through(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = write_native(tmp_path / "native", source)
    whole = made_of(native, tmp_path / "one")
    monkeypatch.setattr(stream, "CHUNK_BYTES", 7 * 128)
    assert made_of(native, tmp_path / "two") == whole


@given(
    heads=st.integers(1, 5),
    half=st.integers(1, 6),
    columns=st.integers(1, 4),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_range_of_rows_is_the_permuted_matrix(
    heads: int, half: int, columns: int, cut: tuple[float, float]
) -> None:
    rows = heads * 2 * half
    wanted = np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)
    native = hf_to_native(wanted, heads)
    first, last = sorted(round(share * rows) for share in cut)
    into = bytearray(wanted[first:last].nbytes)

    def read(row: int, buffer: memoryview) -> None:
        count = buffer.nbytes // (2 * columns)
        buffer[:] = native[row : row + count].tobytes()

    if into:
        read_permuted(read, first, memoryview(into), row_bytes=2 * columns, head_dim=2 * half)
    assert bytes(into) == wanted[first:last].tobytes()


def test_a_text_only_native_checkpoint(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", config=tiny_config(vision=False))
    native = write_native(tmp_path / "native", source)
    folder = convert(native, tmp_path / "out")
    assert open_checkpoint(folder).config.vision is None
    weights = "model-00001-of-00001.safetensors"
    assert made_of(native, tmp_path / "one")[weights] == made_of(source, tmp_path / "two")[weights]


def test_the_hugging_face_files_are_preferred(source: Path, tmp_path: Path) -> None:
    write_native(tmp_path / "native", source)
    for file in ("params.json", "consolidated.safetensors"):
        (tmp_path / "native" / file).rename(source / file)
    folder = convert(source, tmp_path / "out")
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    assert manifest["source"]["kind"] == "huggingface-folder"


def test_an_index_whose_shards_were_not_downloaded_does_not_hide_the_native_file(
    source: Path, tmp_path: Path
) -> None:
    native = write_native(tmp_path / "native", source)
    for file in ("config.json", "model.safetensors.index.json"):
        (native / file).write_bytes((source / file).read_bytes())
    folder = convert(native, tmp_path / "out")
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    assert manifest["source"]["kind"] == "mistral-folder"


def params(**changes: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        change_json(folder / "params.json", lambda document: document.update(changes))

    return spoil


def eye(**changes: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        change_json(
            folder / "params.json",
            lambda document: document["vision_encoder"].update(changes),  # type: ignore[attr-defined]
        )

    return spoil


def without(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "consolidated.safetensors"
        write_raw(path, {key: tensor for key, tensor in read_raw(path).items() if key != name})

    return spoil


def cut_short(folder: Path) -> None:
    path = folder / "consolidated.safetensors"
    path.write_bytes(path.read_bytes()[:-2])


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no params.json": (lambda folder: (folder / "params.json").unlink(), r"params\.json is missing"),
    "params.json is no JSON": (
        lambda folder: (folder / "params.json").write_text("{"),
        r"params\.json is not valid JSON",
    ),
    "more layers than weights": (params(n_layers=3), r"native lacks layers\.2\.attention_norm\.weight"),
    "fewer layers than weights": (params(n_layers=1), r"layers\.1\..*no place for"),
    "another width": (params(hidden_dim=64), r"layers\.0\.feed_forward\.w1\.weight .*params\.json asks for"),
    "heads that do not fit": (params(n_kv_heads=3), r"params\.json: text_config\.num_key_value_heads"),
    "a key is missing": (params(rope_theta=None), r"params\.json: rope_theta is missing"),
    "experts": (params(moe={"num_experts": 8}), "moe names experts"),
    "another projector": (eye(mm_projector_id=""), r"vision_encoder\.mm_projector_id must be patch_merge"),
    "no projector norm": (eye(add_pre_mm_projector_layer_norm=False), "add_pre_mm_projector_layer_norm"),
    "a bias": (eye(adapter_bias=True), "multimodal_projector_bias"),
    "a vision key is missing": (eye(patch_size=None), r"params\.json: vision_encoder\.patch_size is missing"),
    "no vision weights": (
        without("vision_encoder.ln_pre.weight"),
        r"native lacks vision_encoder\.ln_pre\.weight",
    ),
    "cut off": (cut_short, r"consolidated\.safetensors is cut off"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_folder_is_named(source: Path, tmp_path: Path, case: str) -> None:
    native = write_native(tmp_path / "native", source)
    spoil, complaint = SPOILED[case]
    spoil(native)
    with pytest.raises(MagistralError, match=complaint) as caught:
        convert(native, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "native"]
