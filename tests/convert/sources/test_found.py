"""Models that are here already, found by name: in LM Studio's folder and the hub's cache; never fetched."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.found import find_model, lm_studio_folders
from support.gguf_checkpoint import write_text
from support.hf_checkpoint import digests
from support.hub_server import COMMIT
from support.random_checkpoint import tiny_config, write_source
from support.tekken import VOCAB_SIZE

CACHED = "models--mistralai--Magistral-Small-2509"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def studio(own_home: Path, cache: Path) -> Path:
    """LM Studio's folder of models, empty."""
    folder = own_home / ".lmstudio" / "models"
    folder.mkdir(parents=True)
    return folder


def source_of(folder: Path) -> dict[str, object]:
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    return manifest["source"]


@pytest.mark.parametrize("name", ["someone/Tiny", "Tiny", "SOMEONE/tiny"])
def test_a_model_of_lm_studio(studio: Path, tmp_path: Path, name: str) -> None:
    write_source(studio / "someone" / "Tiny")
    before = digests(studio / "someone" / "Tiny")
    notes: list[str] = []
    folder = convert(name, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert source_of(folder) == {"kind": "lm-studio", "name": "someone/Tiny", "revision": None}
    assert f"someone/Tiny is here already: {studio / 'someone' / 'Tiny'}" in notes
    assert digests(studio / "someone" / "Tiny") == before


def test_a_gguf_of_lm_studio(studio: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", config=tiny_config(vision=False))
    write_text(studio / "lmstudio-community" / "Tiny-GGUF" / "Tiny-Q8_0.gguf", source, kind="Q8_0")
    folder = convert("lmstudio-community/Tiny-GGUF", tmp_path / "out")
    assert source_of(folder)["name"] == "lmstudio-community/Tiny-GGUF"


def test_another_folder_of_its_settings(own_home: Path, cache: Path, tmp_path: Path) -> None:
    (own_home / ".lmstudio").mkdir()
    (own_home / ".lmstudio" / "settings.json").write_text(
        json.dumps({"downloadsFolder": str(tmp_path / "disk")})
    )
    write_source(tmp_path / "disk" / "someone" / "Tiny")
    assert source_of(convert("Tiny", tmp_path / "out"))["kind"] == "lm-studio"


@pytest.mark.parametrize("settings", ["", "{", "[]", '{"downloadsFolder": 3}', '{"downloadsFolder": ""}'])
def test_settings_that_say_nothing(own_home: Path, settings: str) -> None:
    (own_home / ".lmstudio" / "models").mkdir(parents=True)
    (own_home / ".lmstudio" / "settings.json").write_text(settings)
    assert lm_studio_folders() == [own_home / ".lmstudio" / "models"]


def test_older_and_moved_homes(own_home: Path, tmp_path: Path) -> None:
    for folder in (own_home / ".cache" / "lm-studio" / "models", tmp_path / "moved" / "models"):
        folder.mkdir(parents=True)
    (own_home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'moved'}\n")
    assert lm_studio_folders() == [
        tmp_path / "moved" / "models",
        own_home / ".cache" / "lm-studio" / "models",
    ]


def in_cache(cache: Path, repository: str = CACHED, commit: str = COMMIT) -> Path:
    return cache / repository / "snapshots" / commit


def test_a_model_of_the_hubs_cache_by_its_name_alone(cache: Path, tmp_path: Path) -> None:
    write_source(in_cache(cache))
    folder = convert("magistral-small-2509", tmp_path / "out")
    assert source_of(folder) == {
        "kind": "huggingface-hub",
        "name": "mistralai/Magistral-Small-2509",
        "revision": COMMIT,
    }


def test_two_of_one_name_are_listed(studio: Path, cache: Path, tmp_path: Path) -> None:
    write_source(studio / "someone" / "Tiny")
    write_source(in_cache(cache, "models--other--Tiny"))
    with pytest.raises(ConversionError, match="Several models here are called Tiny: other/Tiny, someone"):
        convert("Tiny", tmp_path / "out")


def test_a_folder_of_that_name_goes_before(
    studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_source(studio / "someone" / "Tiny")
    write_source(tmp_path / "Tiny")
    monkeypatch.chdir(tmp_path)
    assert source_of(convert("Tiny", tmp_path / "out"))["kind"] == "huggingface-folder"


def test_a_name_that_nobody_has(studio: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="Tiny does not exist, and no model of that name is in"):
        convert("Tiny", tmp_path / "out")


def test_a_revision_is_asked_of_the_hub(studio: Path, tmp_path: Path) -> None:
    write_source(studio / "someone" / "Tiny")
    with pytest.raises(NetworkError):
        convert("someone/Tiny", tmp_path / "out", revision="main")


def test_an_empty_folder_is_no_model(studio: Path) -> None:
    (studio / "someone" / "Tiny").mkdir(parents=True)
    assert find_model("Tiny") is None


def test_a_tokenizer_is_found_in_the_hubs_cache(cache: Path, tmp_path: Path) -> None:
    source, cached = write_source(tmp_path / "hf"), write_source(in_cache(cache))
    tekken = (cached / "tekken.json").read_bytes()
    (source / "tekken.json").unlink()
    notes: list[str] = []
    folder = convert(source, tmp_path / "out", progress=lambda event: notes.append(event.note))
    assert (folder / "tekken.json").read_bytes() == tekken
    assert f"The source has no tekken.json: {cached / 'tekken.json'} is used" in notes
    assert json.loads(tekken)["config"]["default_vocab_size"] == VOCAB_SIZE


@pytest.mark.parametrize("repository", ["models--someone--Magistral-Small-2509", CACHED])
def test_a_tokenizer_of_somebody_else_or_of_another_size_is_not_taken(
    cache: Path, tmp_path: Path, repository: str
) -> None:
    source, cached = write_source(tmp_path / "hf"), write_source(in_cache(cache, repository))
    if repository == CACHED:
        document = json.loads((cached / "tekken.json").read_text())
        document["config"]["default_vocab_size"] = 9
        (cached / "tekken.json").write_text(json.dumps(document))
    (source / "tekken.json").unlink()
    with pytest.raises(ConversionError, match=r"holds no tekken\.json"):
        convert(source, tmp_path / "out")
    shutil.rmtree(cache)
