"""A hub on loopback, and the hub library turned towards it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from support.hub_server import Hub, serving
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
