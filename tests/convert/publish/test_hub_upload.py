"""Uploads, against a stand-in hub on loopback: whole or not at all, resumed, private, only our files."""

import random
import signal
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

import pytest
from huggingface_hub import constants

from magistral_mlx.commands.main import main
from magistral_mlx.errors import CheckpointError, NetworkError
from magistral_mlx_convert import convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.publish.hub_upload import upload_to_hub
from support.hub_upload_server import UploadHub, taking_uploads
from support.killed_command import start_command
from support.random_checkpoint import write_source

# The hub library hands a file to its HTTP client in a way that the client wants to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    with taking_uploads() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        yield hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(plan, "SHARD_BYTES", 150_000)
    return convert(write_source(tmp_path / "hf"), tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_repository_holds_the_folder(hub: UploadHub, folder: Path) -> None:
    written = contents(folder)
    (folder / "notes.md").write_text("mine")
    (folder / ".DS_Store").write_text("")
    told: list[tuple[str, int, int]] = []
    address = upload_to_hub(folder, "me/model", progress=lambda *each: told.append(each))
    assert address == f"{hub.endpoint}/me/model"
    assert hub.files == written, "and nothing that the manifest does not know"
    assert hub.private in (True, "private")
    assert hub.commits == 1
    total = sum(map(len, written.values()))
    assert told[-1][1:] == (total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_public_only_when_asked(hub: UploadHub, folder: Path) -> None:
    upload_to_hub(folder, "me/model", public=True)
    assert hub.private in (False, "public")


def test_what_broke_off_shows_nothing_and_goes_on(hub: UploadHub, folder: Path) -> None:
    hub.refuse_after = 1
    with pytest.raises(NetworkError, match="me/model") as caught:
        upload_to_hub(folder, "me/model")
    assert caught.value.remedy
    assert (hub.files, len(hub.sent)) == ({}, 1)
    hub.refuse_after = None
    upload_to_hub(folder, "me/model")
    assert hub.files == contents(folder)
    assert len(hub.sent) == len(set(hub.sent)) == len(list(folder.glob("*.safetensors"))) > 2


def test_weights_of_an_earlier_version_go_in_the_same_commit(hub: UploadHub, folder: Path) -> None:
    hub.files = {"model-00001-of-00099.safetensors": b"old", "LICENSE": b"kept"}
    upload_to_hub(folder, "me/model")
    assert hub.files == contents(folder) | {"LICENSE": b"kept"}
    assert hub.commits == 1


def test_a_damaged_folder_is_not_uploaded(hub: UploadHub, folder: Path) -> None:
    with (folder / "tekken.json").open("r+b") as file:
        file.write(b"!")
    with pytest.raises(CheckpointError, match=r"tekken\.json has changed.*nothing was uploaded"):
        upload_to_hub(folder, "me/model")
    assert (hub.files, hub.sent, hub.private) == ({}, [], None)


def test_no_right_to_write(hub: UploadHub, folder: Path) -> None:
    hub.forbidden = True
    with pytest.raises(NetworkError, match="does not let you write to me/model") as caught:
        upload_to_hub(folder, "me/model")
    assert "HF_TOKEN" in caught.value.remedy


def test_offline(hub: UploadHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE is set"):
        upload_to_hub(folder, "me/model")


def test_the_command_says_where_it_went(
    hub: UploadHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_source(tmp_path / "hf")
    assert main(["convert", str(source), "--to", str(tmp_path / "out"), "--upload", "me/model"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out'}\n"
    assert f"Uploaded to {hub.endpoint}/me/model" in captured.err
    assert hub.commits == 1


def test_an_upload_that_fails_leaves_the_conversion(
    hub: UploadHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.forbidden = True
    source, out = write_source(tmp_path / "hf"), tmp_path / "out"
    assert main(["convert", str(source), "--to", str(out), "--upload", "me/model"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert f"magistral models publish {out}" in captured.err
    hub.forbidden = False
    assert main(["models", "publish", str(out), "--upload", "me/model"]) == 0
    assert hub.files == contents(out)


@pytest.mark.timeout(600)
def test_killed_at_seeded_requests_the_same_command_goes_on(
    hub: UploadHub, folder: Path, tmp_path: Path
) -> None:
    written = contents(folder)
    chance = random.Random(3)
    for fatal in (1, chance.randint(2, 4), chance.randint(5, 7)):
        victim = Victim(hub, fatal)
        victim.started(
            start_command(["models", "publish", str(folder), "--upload", "me/model"], hub.endpoint)
        )
        assert victim.exit_code() == -signal.SIGKILL
        assert (hub.files, hub.commits) == ({}, 0), "nothing is visible before the one commit"
    hub.at_request = None
    assert main(["convert", str(tmp_path / "hf"), "--to", str(folder), "--upload", "me/model"]) == 0
    assert hub.files == contents(folder) == written
    assert len(hub.sent) == len(set(hub.sent)), "what arrived is not sent twice"


class Victim:
    """A process that is killed when half of its `fatal`th request is here."""

    def __init__(self, hub: UploadHub, fatal: int) -> None:
        self._fatal, self._known = fatal, Event()
        hub.requests, hub.at_request = 0, self._look

    def started(self, process: BaseProcess) -> None:
        self._process = process
        self._known.set()

    def exit_code(self) -> int | None:
        self._process.join(240)
        return self._process.exitcode

    def _look(self, number: int) -> None:
        if number == self._fatal:
            assert self._known.wait(60)
            self._process.kill()
            # Only when it is dead the request goes on. Not `join`, which takes the exit code away from a
            # thread that joins at the same time (it then sees 255).
            connection.wait([self._process.sentinel], 60)


@pytest.mark.parametrize(
    ("options", "goes_on"),
    [([], True), (["--bits", "8"], False), (["--dtype", "float16"], False), (["--report"], False)],
)
def test_only_the_same_conversion_is_published_without_converting(
    hub: UploadHub,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    goes_on: bool,
) -> None:
    command = ["convert", str(tmp_path / "hf"), "--to", str(folder), *options]
    assert main(command) == 1, "without a place to publish to, there is nothing left to do"
    assert "magistral models publish" in capsys.readouterr().err
    assert main([*command, "--upload", "me/model"]) == (0 if goes_on else 1)
    said = capsys.readouterr().err
    assert ("it only remains to publish it" in said) == goes_on
    assert ("already exists" in said) != goes_on
    assert hub.commits == int(goes_on)


@pytest.mark.parametrize(
    "options", [[], ["--upload", "model"], ["--lmstudio", "../x"], ["--public", "--lmstudio"]]
)
def test_wrong_usage(options: list[str], tmp_path: Path) -> None:
    assert main(["models", "publish", str(tmp_path), *options]) == 2
