"""A hub on loopback, and the hub library turned towards it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from support.hf_checkpoint import INDEX, change_json, read_raw, write_raw
from support.hub_server import SHARDS, Hub, serving
from support.random_checkpoint import write_source


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A repository like the official one: shards, the same weights in another format, and other things."""
    folder = write_source(tmp_path / "repository", shards=3)
    for stray in ("consolidated.safetensors", "params.json", "model-99999-of-99999.safetensors", "evil.py"):
        (folder / stray).write_bytes(b"never to be downloaded")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(folder) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield hub


@pytest.fixture
def sorted_shards(hub: Hub) -> None:
    """Whole parts of the model in each file, in the order in which Transformers saves them, as on the hub."""
    tensors = {name: tensor for file in SHARDS for name, tensor in read_raw(hub.folder / file).items()}
    places = {name: SHARDS[_part_of(name)] for name in tensors}
    for file in SHARDS:
        write_raw(hub.folder / file, {name: tensors[name] for name in tensors if places[name] == file})
    change_json(hub.folder / INDEX, lambda index: index.update(weight_map=places))


def _part_of(name: str) -> int:
    if name.startswith(("vision_tower.", "multi_modal_projector.", "language_model.model.embed_tokens.")):
        return 0
    return 1 if name.startswith("language_model.model.layers.0.") else 2
