"""Hub ids, against a stand-in server on loopback: only what is needed, resumed, pinned, honest offline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert import Progress, Stage, convert
from support.hf_checkpoint import digests, write_single_file_source
from support.hub_server import COMMIT, REPOSITORY, Hub


def test_only_the_needed_files_are_downloaded(hub: Hub, tmp_path: Path) -> None:
    folder = convert(REPOSITORY, tmp_path / "out")
    assert hub.downloaded() == {
        "SYSTEM_PROMPT.txt",
        "config.json",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
        "tekken.json",
    }
    here = digests(convert(hub.folder, tmp_path / "local"))
    there = digests(folder)
    same = {name for name in here if here[name] == there[name]}
    assert set(here) - same == {"README.md", "magistral-mlx.json"}, "these two name the source"


def test_a_single_file_repository(hub: Hub, tmp_path: Path) -> None:
    shutil.rmtree(hub.folder)
    write_single_file_source(hub.folder)
    convert(REPOSITORY, tmp_path / "out")
    assert "model.safetensors" in hub.downloaded()


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_the_commit_is_recorded(hub: Hub, tmp_path: Path, revision: str | None) -> None:
    folder = convert(REPOSITORY, tmp_path / "out", revision=revision)
    card = (folder / "README.md").read_text()
    assert f"base_model: {REPOSITORY}" in card
    assert COMMIT in card
    assert COMMIT in (folder / "magistral-mlx.json").read_text()


def test_nothing_is_downloaded_twice(hub: Hub, tmp_path: Path) -> None:
    convert(REPOSITORY, tmp_path / "one", keep_source=True)
    hub.requests.clear()
    convert(REPOSITORY, tmp_path / "two")
    assert hub.downloaded() == set()


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut_after = 10_000
    convert(REPOSITORY, tmp_path / "out")
    assert any("bytes=10000-" in line for line in hub.requests), hub.requests
    assert capfd.readouterr().err == ""


def test_what_is_cached_converts_without_a_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = digests(convert(REPOSITORY, tmp_path / "one", keep_source=True))
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert digests(convert(REPOSITORY, tmp_path / "two")) == online
    assert hub.requests == []


@pytest.mark.parametrize("keep", [False, True])
def test_progress_counts_the_bytes_of_the_weights(hub: Hub, tmp_path: Path, keep: bool) -> None:
    events: list[Progress] = []
    convert(REPOSITORY, tmp_path / "out", keep_source=keep, progress=events.append)
    last = [event for event in events if event.bytes_to_fetch][-1]
    size = sum(path.stat().st_size for path in hub.folder.glob("model-*-of-00003.safetensors"))
    assert last.stage is Stage.CONVERT
    assert last.bytes_fetched == last.bytes_to_fetch == size


def test_offline_without_a_cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkError, match=r"could not be fetched.*HF_HUB_OFFLINE is set") as caught:
        convert(REPOSITORY, tmp_path / "out")
    assert "give their folder" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_hub_that_does_not_answer(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match=r"could not be fetched from http://127\.0\.0\.1:9"):
        convert(REPOSITORY, tmp_path / "out")


@pytest.mark.parametrize("status", [500, 503])
def test_a_hub_that_is_broken(tmp_path: Path, hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(NetworkError, match="could not be fetched"):
        convert(REPOSITORY, tmp_path / "out")


def test_an_unknown_repository(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="knows no repository someone/else"):
        convert("someone/else", tmp_path / "out")


def test_an_unknown_revision(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no revision 'v9'"):
        convert(REPOSITORY, tmp_path / "out", revision="v9")


def test_a_repository_without_weights(hub: Hub, tmp_path: Path) -> None:
    for path in (*hub.folder.glob("model*"), hub.folder / "consolidated.safetensors"):
        path.unlink()
    with pytest.raises(ConversionError, match=r"someone/Tiny-Magistral holds no model\.safetensors, no con"):
        convert(REPOSITORY, tmp_path / "out")


@pytest.mark.parametrize("name", ["../../no/where", "a/b/c", "http://evil/x", "/no/such/folder", "a b/c"])
def test_what_is_neither_a_folder_nor_an_id_never_reaches_the_network(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConversionError, match="does not exist"):
        convert(name, tmp_path / "out")
    assert hub.requests == []


def test_the_environment_chooses_the_hub(hub: Hub, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = "from magistral_mlx.commands.main import main; raise SystemExit(main())"
    finished = subprocess.run(
        [sys.executable, "-c", command, "convert", REPOSITORY, "--to", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"{tmp_path / 'out'}\n"
    assert hub.downloaded()


def test_every_kind_of_request_is_documented(hub: Hub, tmp_path: Path) -> None:
    convert(REPOSITORY, tmp_path / "out")
    page = (Path(__file__).parents[4] / "docs" / "network.md").read_text("utf-8")
    kinds = {line.split(" ")[1].split(REPOSITORY)[0].rstrip("/") for line in hub.requests}
    assert kinds <= {"", "/api/models", "/api/agent-harnesses"}
    assert "`/api/agent-harnesses`" in page


# Xet.


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("installed", [False, True])
def test_files_in_a_xet_storage_that_does_not_answer_come_by_http(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, keep: bool
) -> None:
    expected = digests(convert(hub.folder, tmp_path / "local"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not installed)
    # The client of the storage would try for minutes, and is no part of what is tested.
    asked: list[object] = []

    def unreachable(**options: object) -> None:
        asked.append(options)
        raise RuntimeError("Task error: File reconstruction error: CAS Client Error")

    monkeypatch.setattr(file_download, "xet_get", unreachable)
    hub.xet = True
    found = digests(convert(REPOSITORY, tmp_path / "out", keep_source=keep))
    assert {name for name in found if found[name] != expected[name]} == {"README.md", "magistral-mlx.json"}
    assert len(asked) == installed, "once, not for every file"
