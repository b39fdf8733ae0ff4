"""Native noise goes into the log; what Textual draws goes to the terminal, which is given back whole."""

import os
import subprocess
import sys
from pathlib import Path

_NOISE = """
import os, sys
from pathlib import Path
from magistral_mlx_tui.terminal.quiet_stderr import quiet_stderr
with quiet_stderr(Path(sys.argv[1])):
    os.write(2, b"native noise\\n")
    sys.__stderr__.write("drawn\\n")
    print("said", file=sys.stderr)
os.write(2, b"after\\n")
print("python", file=sys.stderr)
"""


def run(log: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _NOISE, str(log)], capture_output=True, text=True, timeout=200, check=True
    )
    return done.stderr


def test_native_noise_never_reaches_the_screen(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "app.log"
    assert run(log) == "drawn\nsaid\nafter\npython\n"
    assert log.read_text() == "native noise\n"
    assert run(log)
    assert log.read_text() == "native noise\n" * 2


def test_a_log_that_cannot_be_written_keeps_nobody_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "app.log") == "drawn\nsaid\nafter\npython\n"


_GONE = """
import os, sys
from pathlib import Path
from magistral_mlx_tui.terminal.quiet_stderr import quiet_stderr
with quiet_stderr(Path(sys.argv[1])):
    sys.__stderr__.write("drawn\\n")
os.close(2)
print("left")
"""


def test_a_terminal_that_is_gone_is_left_in_silence(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _GONE, str(tmp_path / "app.log")],
            stdout=subprocess.PIPE,
            stderr=writing,
            text=True,
            timeout=200,
            check=True,
        )
    finally:
        os.close(writing)
    assert done.stdout == "left\n"
