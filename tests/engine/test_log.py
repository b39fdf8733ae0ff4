"""The logs of engines: one each, only the newest kept, and no log never prevents a start."""

from pathlib import Path

from magistral_mlx.engine.child import KEPT, open_log
from magistral_mlx.storage import paths


def opened() -> Path:
    log = open_log()
    assert log is not None
    file, path = log
    file.write(b"started")
    file.close()
    return path


def test_only_the_newest_logs_are_kept() -> None:
    logs = [opened() for _ in range(KEPT + 3)]
    kept = sorted(paths.log_directory().glob("engine-*.log"))
    assert kept == logs[-KEPT:]
    assert kept[-1].read_bytes() == b"started"


def test_other_logs_are_left_alone() -> None:
    paths.log_directory().mkdir(parents=True)
    other = paths.log_directory() / "magistral.log"
    other.write_text("a defect")
    for _ in range(KEPT + 3):
        opened()
    assert other.read_text() == "a defect"


def test_a_folder_that_cannot_be_written_gives_no_log() -> None:
    paths.data_directory().mkdir(parents=True)
    paths.log_directory().write_text("a file where the folder should be")
    assert open_log() is None
