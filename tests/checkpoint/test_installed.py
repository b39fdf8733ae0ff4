"""Which model a name means, and the miniature's conversion on first use."""

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

import magistral_mlx as mm
from magistral_mlx.checkpoint import installed
from magistral_mlx.checkpoint.installed import (
    InstalledModel,
    best_installed,
    installed_models,
    miniature_folder,
    resolve,
)
from magistral_mlx.storage.paths import data_directory, models_directory
from support.random_checkpoint import write_converted, write_source

GB = 2**30


def model(name: str, size: float, day: int = 1) -> InstalledModel:
    return InstalledModel(name, Path(name), int(size * GB), datetime(2026, 1, day, tzinfo=UTC))


@pytest.mark.parametrize(
    ("machine", "best"), [(16, "small"), (24, "4bit-new"), (32, "4bit-new"), (48, "8bit"), (128, "16bit")]
)
def test_the_best_model_is_the_largest_that_leaves_room(machine: int, best: str) -> None:
    models = [
        model("16bit", 47),
        model("8bit", 25),
        model("4bit-new", 13.5, 9),
        model("4bit-old", 13.5),
        model("small", 12),
    ]
    found = best_installed(models, total_bytes=machine * GB)
    assert found is not None
    assert found.name == best


def test_no_models() -> None:
    assert installed_models() == []
    assert best_installed([]) is None


@pytest.fixture
def two_models() -> list[Path]:
    """One installed model, and a folder in the models directory that is none."""
    (models_directory() / "leftovers").mkdir(parents=True)
    return [
        write_converted(models_directory() / name, seed=seed) for seed, name in enumerate(["mine", "other"])
    ]


def test_installed_models_are_listed(two_models: list[Path]) -> None:
    listed = installed_models()
    assert [each.name for each in listed] == ["mine", "other"]
    assert [each.path for each in listed] == two_models
    weights = two_models[0] / "model-00001-of-00001.safetensors"
    assert listed[0].size_bytes == weights.stat().st_size


def test_names_and_folders(two_models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert resolve("mine") == two_models[0]
    assert resolve("./mine") == Path("mine")
    assert resolve(Path("mine")) == Path("mine")
    assert resolve(str(two_models[1])) == two_models[1]
    assert resolve("~") == Path.home()
    assert resolve(None) in two_models


@pytest.mark.parametrize("name", ["nothing", "../models/mine/x", "", "leftovers", "a\x1b[31m\nb"])
def test_what_is_not_there(two_models: list[Path], name: str) -> None:
    with pytest.raises(mm.CheckpointError, match=r"Installed are: miniature, mine, other") as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_folder_that_is_not_converted(tmp_path: Path) -> None:
    with pytest.raises(mm.CheckpointError, match="convert"):
        mm.load(write_source(tmp_path / "hf"))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint in the miniature's place, with a file of code beside it."""
    source = write_source(tmp_path / "bundled")
    (source / "__init__.py").write_text("", "utf-8")
    monkeypatch.setattr("magistral_mlx.miniature.checkpoint_directory", lambda: source)
    return source


def entries() -> list[str]:
    return sorted(path.name for path in (data_directory() / "miniature").iterdir())


def test_the_miniature_is_converted_once(bundled: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder = miniature_folder(progress=lambda *moment: told.append(moment))
    assert told[-1][0] == "Converting the miniature"
    assert told[-1][1] == told[-1][2] > 0
    assert entries() == [folder.name]
    told.clear()
    assert miniature_folder(progress=lambda *moment: told.append(moment)) == folder
    assert told == []
    assert resolve(None) == resolve("miniature") == folder
    assert installed_models() == []


def test_the_miniature_says_what_it_is(bundled: Path) -> None:
    stages: list[str] = []
    with mm.load("miniature", progress=lambda stage, done, total: stages.append(stage)) as model:
        assert (model.name, model.is_miniature) == ("miniature", True)
    assert list(dict.fromkeys(stages)) == ["Converting the miniature", "Loading the weights"]


def test_another_miniature_is_converted_anew(bundled: Path) -> None:
    first = miniature_folder()
    (bundled / "__init__.py").write_text("# changed", "utf-8")
    assert miniature_folder() == first
    shutil.rmtree(bundled)
    write_source(bundled, seed=1)
    second = miniature_folder()
    assert second != first
    assert len(entries()) == 2


def test_a_damaged_miniature_is_converted_anew(bundled: Path) -> None:
    folder = miniature_folder()
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-10])
    assert miniature_folder() == folder
    assert mm.load("miniature").name == "miniature"
    assert len(entries()) == 1


def test_two_at_once(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both convert before either has published; both get the one folder."""
    both = threading.Barrier(2, timeout=60)
    rename = Path.rename

    def meet(path: Path, target: Path) -> Path:
        if path.name.startswith("draft-") and target.parent == path.parent and target.name[0].isdigit():
            both.wait()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", meet)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(miniature_folder())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 2
    assert folders[0] == folders[1]
    assert entries() == [folders[0].name]


def test_a_place_that_cannot_be_written(bundled: Path) -> None:
    data_directory().parent.mkdir(parents=True, exist_ok=True)
    data_directory().write_text("a file where the folder should be", "utf-8")
    with pytest.raises(mm.ConversionError, match="MAGISTRAL_MLX_HOME"):
        miniature_folder()


def test_a_conversion_that_fails_leaves_nothing(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = next(bundled.glob("*.safetensors"))
    weights.write_bytes(b"")
    with pytest.raises(mm.MagistralError):
        miniature_folder()
    assert entries() == []


def test_a_missing_converter(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "entry_points", lambda **_: ())
    with pytest.raises(mm.ConversionError, match="Install magistral-mlx again"):
        miniature_folder()
