"""Sources that can't be converted: each is refused with a line that names the fault, and nothing is left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magistral_mlx.errors import CheckpointError, ConversionError, UsageError
from magistral_mlx_convert import convert
from support.hf_checkpoint import INDEX, RawTensor, change_json, change_weights, read_raw, write_raw
from support.random_checkpoint import write_source
from support.tekken import write_tekken

Spoil = Callable[[Path], object]


def first_shard(folder: Path) -> Path:
    return folder / "model-00001-of-00002.safetensors"


def cut(nbytes: int) -> Spoil:
    def spoil(folder: Path) -> None:
        path = first_shard(folder)
        path.write_bytes(path.read_bytes()[: -nbytes or None])

    return spoil


def rewrite(file: str, change: Callable[[bytes], bytes]) -> Spoil:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def change_header(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Changes the JSON of the first shard's header and nothing else."""

    def spoil(folder: Path) -> None:
        path = first_shard(folder)
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[start:])

    return spoil


def shift_offsets(header: dict[str, Any]) -> None:
    entry = next(value for name, value in header.items() if name != "__metadata__")
    entry["data_offsets"] = [offset + 2 for offset in entry["data_offsets"]]


def change_index(change: Callable[[dict[str, Any]], object]) -> Spoil:
    return lambda folder: change_json(folder / INDEX, lambda document: change(document["weight_map"]))  # type: ignore[arg-type]


def change_config(change: Callable[[dict[str, Any]], object]) -> Spoil:
    return lambda folder: change_json(folder / "config.json", change)


def set_text(key: str, value: object) -> Spoil:
    return change_config(lambda config: config["text_config"].__setitem__(key, value))


def swap_shards(weight_map: dict[str, str]) -> None:
    name = min(weight_map)
    others = set(weight_map.values()) - {weight_map[name]}
    weight_map[name] = others.pop()


def remove(*names: str) -> Spoil:
    return lambda folder: [(folder / name).unlink() for name in names]


SPOILED: dict[str, tuple[Spoil, str]] = {
    "config gone": (remove("config.json"), "config.json is missing"),
    "config empty": (rewrite("config.json", lambda _: b""), "config.json is not valid JSON"),
    "config not an object": (rewrite("config.json", lambda _: b"[1]"), "config.json is not a JSON object"),
    "config of another model": (
        change_config(lambda config: config.update(model_type="llama")),
        "model_type",
    ),
    "config wider than the weights": (set_text("hidden_size", 128), r"is \[1124, 64\].*\[1124, 128\]"),
    "config deeper than the weights": (set_text("num_hidden_layers", 3), "lacks .*layers.2.input_layernorm"),
    "config shallower than the weights": (set_text("num_hidden_layers", 1), "layers.1.*no place"),
    "config without vision": (
        change_config(lambda config: config.pop("vision_config")),
        "multi_modal_projector.*no place",
    ),
    "config of a quantized model": (
        change_config(lambda config: config.update(quantization={"bits": 4, "group_size": 64})),
        r"hf lacks vision_tower\.vision_model\.patch_conv\.weight",
    ),
    "config of an fp8 model": (
        change_config(lambda config: config.update(quantization_config={"quant_method": "fp8"})),
        "fp8",
    ),
    "shard gone": (remove("model-00001-of-00002.safetensors"), "00001-of-00002.*is missing"),
    "shard cut by a byte": (cut(1), "00001-of-00002.* cut off"),
    "shard cut to its header": (cut(10**6), "00001-of-00002"),
    "shard empty": (rewrite("model-00001-of-00002.safetensors", lambda _: b""), "00001-of-00002.*cut off"),
    "shard with trailing bytes": (
        rewrite("model-00001-of-00002.safetensors", lambda content: content + b"\0"),
        "longer than its header says",
    ),
    "header length absurd": (
        rewrite("model-00001-of-00002.safetensors", lambda content: b"\xff" * 8 + content[8:]),
        "00001-of-00002",
    ),
    "header not JSON": (
        rewrite("model-00001-of-00002.safetensors", lambda content: content[:8] + b"}" + content[9:]),
        "not valid JSON",
    ),
    "offsets shifted": (change_header(shift_offsets), "00001-of-00002"),
    "index gone": (remove(INDEX), "holds no model.safetensors"),
    "index not JSON": (rewrite(INDEX, lambda content: content[:-5]), "index.json is not valid JSON"),
    "index without map": (rewrite(INDEX, lambda _: b"{}"), "no weight_map"),
    "index with an absent tensor": (
        change_index(lambda places: places.update(ghost="model-00001-of-00002.safetensors")),
        "places ghost in model-00001-of-00002.safetensors, which does not hold it",
    ),
    "index without a present tensor": (
        change_index(lambda places: places.pop("language_model.lm_head.weight")),
        "lm_head.weight, which .* does not place there",
    ),
    "index with the wrong shard": (
        change_index(swap_shards),
        "lm_head.weight, which .* does not place there",
    ),
    "index that leaves the folder": (
        change_index(lambda places: places.update(ghost="../secret.safetensors")),
        "places ghost in '../secret.safetensors'",
    ),
    "tokenizer gone": (remove("tekken.json"), "no tekken.json.*--tokenizer"),
    "tokenizer of another kind": (rewrite("tekken.json", lambda _: b"{}"), "not a tekken tokenizer"),
    "tokenizer larger than the model": (
        lambda folder: write_tekken(folder, text_count=1025),
        "1125 tokens, but the model has 1124",
    ),
    "system prompt without a thought": (
        rewrite("SYSTEM_PROMPT.txt", lambda _: b"You are helpful."),
        "SYSTEM_PROMPT.txt has 0",
    ),
    "system prompt in another encoding": (
        rewrite("SYSTEM_PROMPT.txt", lambda content: "é".encode("latin-1") + content),
        "SYSTEM_PROMPT.txt is not UTF-8",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_folder_is_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    spoil, complaint = SPOILED[case]
    spoil(source)
    with pytest.raises((ConversionError, CheckpointError), match=complaint) as caught:
        convert(source, tmp_path / "out")
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no-such-folder does not exist"):
        convert(tmp_path / "no-such-folder", tmp_path / "out")


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    with pytest.raises(ConversionError, match="is not a folder"):
        convert(source / "model-00001-of-00001.safetensors", tmp_path / "out")


def test_a_folder_of_images_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").write_bytes(b"\x89PNG")
    with pytest.raises(ConversionError, match=r"config\.json is missing"):
        convert(tmp_path / "pictures", tmp_path / "out")


def test_a_revision_of_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no revisions"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out", revision="main")


def test_fp8_weights_without_their_scale_are_refused_by_name(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")

    def pack(tensors: dict[str, RawTensor]) -> None:
        head = tensors["language_model.lm_head.weight"]
        head.dtype, head.data = "F8_E4M3", head.data[::2]

    change_weights(source, pack)
    with pytest.raises(ConversionError, match=r"lm_head.*fp8 without its scale"):
        convert(source, tmp_path / "out")


def test_a_tokenizer_may_come_from_elsewhere(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    (source / "tekken.json").rename(tmp_path / "other-name.json")
    folder = convert(source, tmp_path / "out", tokenizer=tmp_path / "other-name.json")
    assert (folder / "tekken.json").read_bytes() == (tmp_path / "other-name.json").read_bytes()


def test_a_missing_system_prompt_is_said(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    (source / "SYSTEM_PROMPT.txt").unlink()
    notes: list[str] = []
    folder = convert(source, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert any("SYSTEM_PROMPT.txt" in note for note in notes)
    assert "[THINK]" in (folder / "SYSTEM_PROMPT.txt").read_text(), "that of the model card"


def test_the_source_is_never_touched(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", shards=2)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()}
    convert(source, tmp_path / "out")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()} == before


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    (file,) = source.glob("*.safetensors")
    changed = False

    def change(_: object) -> None:
        nonlocal changed
        if not changed:
            tensors = read_raw(file)
            tensors["language_model.lm_head.weight"].data[:2] = b"\0\0"
            write_raw(file, tensors)
            changed = True

    with pytest.raises(ConversionError, match="hf was changed while it was read"):
        convert(source, tmp_path / "out", progress=change)
    assert not (tmp_path / "out").exists()
