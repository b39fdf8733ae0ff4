"""R7: a broken model folder. Each file is deleted, cut and altered in turn: loading names it, or the folder
still is what it was. That a converter killed at any step leaves nothing that looks whole is proved in
tests/convert/writing/test_whole_or_nothing.py."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magistral_mlx as mm
from magistral_mlx_convert import convert
from support.random_checkpoint import write_source

NEEDED = ("config.json", "tekken.json", "model.safetensors.index.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What our converter writes."""
    source = write_source(tmp_path_factory.mktemp("hf") / "source", shards=2)
    return convert(source, tmp_path_factory.mktemp("mlx") / "tiny")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(whole, tmp_path / "tiny"))


def weights_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def refusal(folder: Path) -> mm.CheckpointError:
    """How loading refuses it: in one line that says what to do."""
    with pytest.raises(mm.CheckpointError) as refused:
        mm.load(folder)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)
    return refused.value


def test_as_it_was_it_loads(folder: Path) -> None:
    with mm.load(folder) as model:
        assert model.sees


@pytest.mark.parametrize("name", NEEDED)
def test_each_small_file_is_missed_by_name(folder: Path, name: str) -> None:
    if name.endswith("index.json") and len(weights_of(folder)) == 1:
        weights_of(folder)[0].rename(folder / "other.safetensors")
    (folder / name).unlink(missing_ok=True)
    assert name in str(refusal(folder)) or "safetensors" in str(refusal(folder))


@pytest.mark.parametrize("name", ["config.json", "tekken.json"])
@pytest.mark.parametrize("break_", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"[]"])
def test_each_small_file_is_named_when_cut_or_emptied(
    folder: Path, name: str, break_: Callable[[bytes], bytes]
) -> None:
    file = folder / name
    file.write_bytes(break_(file.read_bytes()))
    assert name in str(refusal(folder))


def test_each_weight_file_is_missed_by_name(folder: Path) -> None:
    for file in weights_of(folder):
        kept = file.read_bytes()
        file.unlink()
        assert file.name in str(refusal(folder)) or "safetensors" in str(refusal(folder))
        file.write_bytes(kept)


@settings(max_examples=25)
@given(share=st.floats(0, 0.999))
def test_a_weight_file_cut_anywhere_is_named(whole: Path, share: float) -> None:
    """An interrupted download passes the "config.json exists" test of others."""
    folder = whole.parent / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    file = weights_of(folder)[-1]
    raw = file.read_bytes()
    file.write_bytes(raw[: int(len(raw) * share)])
    assert file.name in str(refusal(folder))


def test_bytes_that_do_not_belong_there_are_named(folder: Path) -> None:
    file = weights_of(folder)[-1]
    file.write_bytes(file.read_bytes() + b"\0")
    assert file.name in str(refusal(folder))


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"])
def test_a_config_of_another_model_is_refused(folder: Path, key: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"][key] += 1
    (folder / "config.json").write_text(json.dumps(config))
    refusal(folder)


def test_a_tokenizer_without_its_special_tokens_is_refused(folder: Path) -> None:
    """14 of 18 conversions of one model on the hub have lost them (docling issue 3943)."""
    document = json.loads((folder / "tekken.json").read_text())
    document["special_tokens"] = []
    document["config"]["default_num_special_tokens"] = 0
    (folder / "tekken.json").write_text(json.dumps(document))
    assert "tekken.json" in str(refusal(folder))


def test_altered_weights_are_found_by_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One byte changed in the tensors: loading cannot know, the manifest does."""
    from magistral_mlx.commands.main import main

    file = weights_of(folder)[-1]
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 0xFF
    file.write_bytes(raw)
    assert main(["models", "verify", str(folder)]) == 1
    told = capsys.readouterr()
    assert file.name in told.out + told.err
