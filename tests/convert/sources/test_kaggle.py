"""Kaggle handles, on a stand-in for kagglehub: only what is needed, once, and plain words where it fails."""

import json
import sys
from pathlib import Path

import pytest
import requests

from magistral_mlx.errors import ConversionError, MagistralError, NetworkError, UsageError
from magistral_mlx_convert import convert
from support.fake_kagglehub import HANDLE, Kaggle, UnauthenticatedError, install, status
from support.gguf_checkpoint import write_eye, write_text
from support.hf_checkpoint import digests, write_single_file_source
from support.native_checkpoint import write_native
from support.random_checkpoint import write_source


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    """The model as on the hub: shards, and the same weights in Mistral's own format."""
    folder = write_source(tmp_path / "model", shards=2)
    (folder / "consolidated.safetensors").write_bytes(b"never to be fetched")
    kaggle = Kaggle(folder, cache=tmp_path / "cache")
    install(kaggle, monkeypatch)
    return kaggle


@pytest.mark.parametrize("handle", [HANDLE, f"{HANDLE}/1"])
def test_only_the_needed_files_are_fetched(
    kaggle: Kaggle, tmp_path: Path, handle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = convert(f"kaggle:{handle}", tmp_path / "out")
    assert sorted(kaggle.fetched) == [
        "SYSTEM_PROMPT.txt",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tekken.json",
    ]
    here, there = digests(convert(kaggle.folder, tmp_path / "local")), digests(folder)
    assert {name for name in here if here[name] != there[name]} == {"README.md", "magistral-mlx.json"}
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    assert manifest["source"] == {"kind": "kaggle", "name": HANDLE, "revision": "1"}
    assert capsys.readouterr().out == "", "stdout is for the result"


def test_nothing_is_fetched_twice(kaggle: Kaggle, tmp_path: Path) -> None:
    convert(f"kaggle:{HANDLE}/1", tmp_path / "one")
    kaggle.fetched.clear()
    convert(f"kaggle:{HANDLE}", tmp_path / "two")
    assert kaggle.fetched == []


def test_a_version_is_pinned_with_the_first_file(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = kaggle.model_download

    def recording(handle: str, path: str) -> str:
        asked.append(handle)
        return original(handle, path)

    monkeypatch.setattr(sys.modules["kagglehub"], "model_download", recording)
    convert(f"kaggle:{HANDLE}", tmp_path / "out")
    assert asked[0] == HANDLE
    assert set(asked[1:]) == {f"{HANDLE}/1"}


def test_a_single_file(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.folder = write_single_file_source(tmp_path / "single")
    convert(f"kaggle:{HANDLE}", tmp_path / "out")
    assert "model.safetensors" in kaggle.fetched


def test_mistrals_own_format_alone(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.folder = write_native(tmp_path / "native", write_source(tmp_path / "hf"))
    convert(f"kaggle:{HANDLE}", tmp_path / "out")
    assert sorted(kaggle.fetched) == [
        "SYSTEM_PROMPT.txt",
        "consolidated.safetensors",
        "params.json",
        "tekken.json",
    ]


def test_a_gguf_file_is_named_and_its_vision_part_found(kaggle: Kaggle, tmp_path: Path) -> None:
    original = write_source(tmp_path / "hf")
    kaggle.folder = tmp_path / "ggufs"
    kaggle.folder.mkdir()
    for kind in ("BF16", "Q8_0"):
        write_text(kaggle.folder / f"Tiny-{kind}.gguf", original, kind=kind)
    write_eye(kaggle.folder / "mmproj-F16.gguf", original, kind="F16")
    folder = convert(f"kaggle:{HANDLE}/Tiny-BF16.gguf", tmp_path / "out")
    assert kaggle.fetched == ["Tiny-BF16.gguf", "mmproj-F16.gguf"]
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    assert manifest["source"] == {"kind": "kaggle", "name": HANDLE, "revision": "1"}
    assert json.loads((folder / "config.json").read_text())["vision_config"]
    with pytest.raises(ConversionError, match=r"holds no Other\.gguf"):
        convert(f"kaggle:{HANDLE}/1/Other.gguf", tmp_path / "other")


@pytest.mark.parametrize(
    "handle",
    ["mistral-ai/magistral-small-2509", "", "a/b/c/d/latest", "a/b/c/d/0", "a/b/c/d/1/e", "../b/c/d/.."],
)
def test_what_is_no_handle_is_said(kaggle: Kaggle, tmp_path: Path, handle: str) -> None:
    with pytest.raises(MagistralError, match=r"Kaggle") as caught:
        convert(f"kaggle:{handle}", tmp_path / "out")
    assert "kaggle:mistral-ai/magistral-small-2509/transformers/" in caught.value.remedy


def test_a_model_that_kaggle_does_not_have(kaggle: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(
        ConversionError, match=r"a/b/c/d on Kaggle holds no model\.safetensors.*no such model"
    ):
        convert("kaggle:a/b/c/d", tmp_path / "out")


def test_a_revision_is_wrong_usage(kaggle: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whose last part is the version"):
        convert(f"kaggle:{HANDLE}", tmp_path / "out", revision="main")


@pytest.mark.parametrize(
    ("failure", "kind", "complaint"),
    [
        (status(403), NetworkError, "Kaggle does not show .* to you"),
        (status(401), NetworkError, "Kaggle does not show .* to you"),
        (status(500), NetworkError, r"config\.json of .* could not be fetched from Kaggle"),
        (requests.ConnectionError("no route"), NetworkError, "could not be fetched from Kaggle"),
        (UnauthenticatedError(), NetworkError, "could not be fetched from Kaggle"),
        (OSError(28, "No space left on device"), ConversionError, "cache can't be written: No space left"),
    ],
)
def test_failures_are_one_line(
    kaggle: Kaggle, tmp_path: Path, failure: Exception, kind: type[MagistralError], complaint: str
) -> None:
    kaggle.failure = failure
    with pytest.raises(kind, match=complaint) as caught:
        convert(f"kaggle:{HANDLE}", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_without_the_library_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ConversionError, match="need the library kagglehub, which is not installed") as caught:
        convert(f"kaggle:{HANDLE}", tmp_path / "out")
    assert caught.value.remedy == "Install it: pip install 'magistral-mlx[kaggle]'."
