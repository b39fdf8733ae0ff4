"""Hub repositories in other formats, on loopback: Mistral's own, GGUF in many types, MLX conversions."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from huggingface_hub import constants

from magistral_mlx.errors import CheckpointError, ConversionError
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.hub.gguf import chosen_files
from support.gguf_checkpoint import write_eye, write_text
from support.hf_checkpoint import digests
from support.hub_server import COMMIT, REPOSITORY, Hub
from support.native_checkpoint import write_native
from support.random_checkpoint import write_converted, write_source

WEIGHTS = "model-00001-of-00001.safetensors"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return write_source(tmp_path / "original")


@pytest.fixture
def bare(hub: Hub) -> Hub:
    """A repository without any file."""
    for path in hub.folder.iterdir():
        path.unlink()
    return hub


def test_a_native_repository(bare: Hub, original: Path, tmp_path: Path) -> None:
    write_native(bare.folder, original)
    folder = convert(REPOSITORY, tmp_path / "out")
    assert digests(folder)[WEIGHTS] == digests(convert(original, tmp_path / "local"))[WEIGHTS]
    assert json.loads((folder / "magistral-mlx.json").read_text())["source"] == {
        "kind": "huggingface-hub",
        "name": REPOSITORY,
        "revision": COMMIT,
    }
    assert {"params.json", "tekken.json", "SYSTEM_PROMPT.txt"} < bare.downloaded()


def test_the_other_half_of_the_official_repository_is_left_there(
    hub: Hub, original: Path, tmp_path: Path
) -> None:
    write_native(hub.folder, original)
    convert(REPOSITORY, tmp_path / "out")
    assert not {"consolidated.safetensors", "params.json"} & hub.downloaded()


def write_ggufs(folder: Path, original: Path) -> None:
    for kind in ("BF16", "Q8_0"):
        write_text(folder / f"Tiny-{kind}.gguf", original, kind=kind)
    write_eye(folder / "mmproj-F16.gguf", original, kind="F16")
    write_eye(folder / "mmproj-BF16.gguf", original, kind="BF16")


def test_a_gguf_repository_by_type(bare: Hub, original: Path, tmp_path: Path) -> None:
    write_ggufs(bare.folder, original)
    folder = convert(f"{REPOSITORY}:bf16", tmp_path / "out")
    assert bare.downloaded() == {"Tiny-BF16.gguf", "mmproj-BF16.gguf"}
    assert digests(folder)[WEIGHTS] == digests(convert(original, tmp_path / "local"))[WEIGHTS]
    bare.requests.clear()
    convert(f"{REPOSITORY}:BF16", tmp_path / "again")
    assert bare.downloaded() == set(), "never twice"


def test_a_folder_for_each_type_the_vision_part_above(bare: Hub, original: Path, tmp_path: Path) -> None:
    write_ggufs(bare.folder, original)
    for kind in ("BF16", "Q8_0"):
        (bare.folder / kind).mkdir()
        (bare.folder / f"Tiny-{kind}.gguf").rename(bare.folder / kind / f"Tiny-{kind}.gguf")
    folder = convert(f"{REPOSITORY}:BF16", tmp_path / "out")
    assert bare.downloaded() == {"Tiny-BF16.gguf", "mmproj-BF16.gguf"}
    expected = digests(convert(original, tmp_path / "local"))[WEIGHTS]
    assert digests(folder)[WEIGHTS] == expected
    with pytest.MonkeyPatch.context() as offline:
        offline.setattr(constants, "HF_HUB_OFFLINE", True)
        for number, source in enumerate((REPOSITORY, f"{REPOSITORY}:bf16")):
            assert digests(convert(source, tmp_path / f"offline-{number}"))[WEIGHTS] == expected


def test_which_type_must_be_said(bare: Hub, original: Path, tmp_path: Path) -> None:
    write_ggufs(bare.folder, original)
    with pytest.raises(ConversionError, match=r"holds Tiny-BF16, Tiny-Q8_0\. Say which, such as someone"):
        convert(REPOSITORY, tmp_path / "out")
    assert bare.downloaded() == set()


@pytest.mark.parametrize(
    ("names", "tag", "chosen"),
    [
        (["a-Q8_0.gguf"], None, ["a-Q8_0.gguf"]),
        (["a-Q8_0.gguf", "mmproj-a-F16.gguf"], "q8_0", ["a-Q8_0.gguf", "mmproj-a-F16.gguf"]),
        (
            ["a-UD-Q4_K_XL.gguf", "a-Q4_K_M.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf"],
            "UD-Q4_K_XL",
            ["a-UD-Q4_K_XL.gguf", "mmproj-BF16.gguf"],
        ),
        (
            ["a-BF16-00001-of-00002.gguf", "a-BF16-00002-of-00002.gguf", "a-Q8_0.gguf"],
            "BF16",
            ["a-BF16-00001-of-00002.gguf", "a-BF16-00002-of-00002.gguf"],
        ),
        (
            [
                "BF16/a-BF16-00001-of-00002.gguf",
                "BF16/a-BF16-00002-of-00002.gguf",
                "Q8_0/a-Q8_0.gguf",
                "mmproj-BF16.gguf",
                "BF16/mmproj-F16.gguf",
            ],
            "BF16",
            ["BF16/a-BF16-00001-of-00002.gguf", "BF16/a-BF16-00002-of-00002.gguf", "BF16/mmproj-F16.gguf"],
        ),
    ],
)
def test_the_files_of_one_model(names: Sequence[str], tag: str | None, chosen: Sequence[str]) -> None:
    assert chosen_files(names, tag, repository="a/b") == chosen


@pytest.mark.parametrize(
    ("names", "tag"), [([], None), (["a-Q8_0.gguf"], "Q4_0"), (["mmproj-F16.gguf"], None)]
)
def test_no_model_of_that_type(names: Sequence[str], tag: str | None) -> None:
    with pytest.raises(ConversionError, match="a/b holds"):
        chosen_files(names, tag, repository="a/b")


def test_an_mlx_conversion_is_completed(bare: Hub, tmp_path: Path) -> None:
    write_converted(bare.folder, bits=4, shards=2)
    (bare.folder / "SYSTEM_PROMPT.txt").unlink()
    folder = convert(REPOSITORY, tmp_path / "out")
    assert (folder / "SYSTEM_PROMPT.txt").is_file()
    assert json.loads((folder / "magistral-mlx.json").read_text())["recipe"]["name"] == "kept"


def test_a_repository_without_weights(bare: Hub, tmp_path: Path) -> None:
    (bare.folder / "config.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"no consolidated\.safetensors and no GGUF file"):
        convert(REPOSITORY, tmp_path / "out")


def test_a_damaged_native_file_is_noticed(bare: Hub, original: Path, tmp_path: Path) -> None:
    write_native(bare.folder, original)
    path = bare.folder / "consolidated.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=r"consolidated\.safetensors of someone.* is cut off"):
        convert(REPOSITORY, tmp_path / "out")
